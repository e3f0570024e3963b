"""Sockets, boots and statuses: who is let in, which socket counts, what silence means, what a station may say.

stations.md, "Connection" 1 to 6, "Commands" 21, "House" 24 and "Seen on the wire".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_websocket
from websockets.typing import Subprotocol

from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus
from app.charging import connectivity, hardware
from app.charging.connectivity import Connected, Seen
from app.charging.models import CommunicationLog, HardwareStatusLog, NetworkStatusLog, UnknownStation
from app.core import events
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit
from tests.support.gateway import Cast, House, ago, eventually, station_of
from tests.support.scripted_station import CallFailed, connect


@pytest.fixture
def writer(database_url: str) -> Iterator[GroupCommit]:
    """The gateway's group commit, in the test's process."""
    running = GroupCommit("test", lambda: connect_raw(database_url)).start()
    yield running
    running.stop()


def refused(house: House, identifier: str, **options: Any) -> int:
    """The HTTP status a station is refused with."""
    with pytest.raises(InvalidStatus) as refusal:
        connect(house.server.ws, identifier, **options)
    return refusal.value.response.status_code


def unknown(house: House, identifier: str) -> UnknownStation | None:
    """What is counted of a station that was refused."""
    return house.again().get(UnknownStation, identifier)


# ---------------------------------------------------------------------- 6: the door


def test_an_unknown_station_is_refused_and_counted(house: House) -> None:
    identifier = f"NOBODY-{ago().timestamp()}"
    for _ in range(3):
        assert refused(house, identifier, subprotocols=("ocpp2.0.1", "ocpp1.6")) == 404
    row = eventually(lambda: unknown(house, identifier), why="it was not counted")
    assert (row.attempts, row.reason, row.protocols) == (3, "unknown", "ocpp2.0.1, ocpp1.6")
    assert row.remote_address == "127.0.0.1"


def test_whoever_was_unknown_comes_in_once_an_operator_has_made_it(house: House) -> None:
    identifier = f"SOON-{ago().timestamp()}"
    assert refused(house, identifier) == 404
    eventually(lambda: unknown(house, identifier), why="it was not counted")
    charge_point = house.station(identifier=identifier)
    assert connectivity.forget_admitted(house.session) == 0  # it is not in yet
    events.announce(house.session, "charge_point.changed", partner_id=1, charge_point_id=charge_point.id)
    house.session.commit()

    def comes_in() -> bool:
        try:
            return house.connect(charge_point).boot()["status"] == "Accepted"
        except InvalidStatus:
            return False

    eventually(comes_in, timeout_s=2.5, why="the door still does not know it")
    assert connectivity.forget_admitted(house.session) == 1
    house.session.commit()
    assert unknown(house, identifier) is None


def test_a_password_is_asked_for_before_the_upgrade(house: House) -> None:
    charge_point = house.station(password="s3cret:with:colons")
    assert refused(house, charge_point.identifier) == 401
    assert refused(house, charge_point.identifier, password="wrong") == 401
    other = base64.b64encode(b"SOMEBODY-ELSE:s3cret:with:colons").decode()
    assert refused(house, charge_point.identifier, headers={"Authorization": f"Basic {other}"}) == 401
    with house.connect(charge_point, password="s3cret:with:colons") as station:
        assert station.boot()["status"] == "Accepted"
    row = eventually(lambda: unknown(house, charge_point.identifier), why="it was not counted")
    assert (row.attempts, row.reason) == (3, "wrong password")


def test_a_key_set_as_hex_may_come_as_its_bytes(house: House) -> None:
    key = bytes(range(16, 36))
    charge_point = house.station(password=key.hex())
    pair = base64.b64encode(charge_point.identifier.encode() + b":" + key).decode()
    with house.connect(charge_point, headers={"Authorization": f"Basic {pair}"}) as station:
        assert station.boot()["status"] == "Accepted"
    with house.connect(charge_point, password=key.hex().upper()) as station:
        assert station.boot()["status"] == "Accepted"


def test_a_new_password_ends_the_connection_that_used_the_old_one(house: House) -> None:
    from app.core.passwords import hash_station_password

    charge_point = house.station(password="the-old-password")
    station = house.connect(charge_point, password="the-old-password")
    charge_point.password_hash = hash_station_password(b"the-new-password", house.secret_key)
    events.announce(house.session, "charge_point.changed", partner_id=1, charge_point_id=charge_point.id)
    house.session.commit()
    assert station.expect_close() == 1000
    assert refused(house, charge_point.identifier, password="the-old-password") == 401
    with house.connect(charge_point, password="the-new-password") as again:
        again.boot()


def test_a_station_that_is_not_ours_to_manage_is_refused(house: House) -> None:
    assert refused(house, house.station(managed_by_operator=False).identifier) == 403


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("ocpp1.6",), "ocpp1.6"),
        (("ocpp2.0.1", "ocpp1.6"), "ocpp1.6"),
        (("mqtt", "ocpp1.6", "ocpp1.5"), "ocpp1.6"),
        (None, None),
    ],
)
def test_subprotocol_lists_in_any_order(house: House, offered: tuple[str, ...] | None, chosen: str | None) -> None:
    with house.connect(house.station(), subprotocols=offered) as station:
        assert station.subprotocol == chosen
        assert station.boot()["status"] == "Accepted"


def test_subprotocols_in_several_headers(house: House) -> None:
    charge_point = house.station()
    websocket = open_websocket(
        f"{house.server.ws}/{charge_point.identifier}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers=[("Sec-WebSocket-Protocol", "ocpp2.0.1")],
        compression=None,
        proxy=None,
    )
    with websocket:
        assert websocket.subprotocol == "ocpp1.6"


def test_without_a_common_protocol_the_station_is_told_and_counted(house: House) -> None:
    charge_point = house.station()
    station = connect(house.server.ws, charge_point.identifier, subprotocols=("ocpp9.9",))
    assert station.subprotocol is None
    assert station.expect_close() == 1002
    row = eventually(lambda: unknown(house, charge_point.identifier), why="it was not counted")
    assert row.reason == "no common protocol"


@pytest.mark.parametrize("spelling", ["{0}/", "{1}", "%{2:02X}{3}"])
def test_the_same_station_under_many_spellings(house: House, spelling: str) -> None:
    charge_point = house.station(identifier=f"Säule*{ago().timestamp()}")
    name = charge_point.identifier
    quoted = spelling.format(name, name.upper(), ord("S"), name[1:])
    from urllib.parse import quote

    with open_websocket(
        f"{house.server.ws}/{quote(quoted, safe='%/*')}",
        subprotocols=[Subprotocol("ocpp1.6")],
        compression=None,
        proxy=None,
    ) as websocket:
        websocket.send(json.dumps([2, "1", "Heartbeat", {}]))
        assert json.loads(websocket.recv(5))[0] == 3
        eventually(lambda: house.state(charge_point).connected)
    eventually(lambda: not house.state(charge_point).connected)


# ---------------------------------------------------------------------- 2: the newest socket wins


def test_the_newest_socket_wins_and_the_end_of_the_old_one_harms_nothing(house: House) -> None:
    charge_point = house.station()
    old = house.connect(charge_point)
    old.boot()
    ref = house.state(charge_point).connection_ref
    new = house.connect(charge_point)
    assert old.expect_close() == 1000
    new.boot()
    state = house.state(charge_point)
    assert state.connected
    assert state.connection_ref not in (None, ref)
    new.heartbeat()
    new.close()
    eventually(lambda: not house.state(charge_point).connected)
    assert house.state(charge_point).connection_ref is None


def test_ten_sockets_at_once_leave_one(house: House) -> None:
    charge_point = house.station()
    url, identifier = house.server.ws, charge_point.identifier
    with ThreadPoolExecutor(10) as pool:
        stations = list(pool.map(lambda _: connect(url, identifier), range(10)))
    house.stations += stations

    def closed() -> int:
        ended = 0
        for station in stations:
            try:
                station.receive_raw(0)
            except TimeoutError:
                pass
            except Exception:  # however it was closed
                ended += 1
        return ended

    eventually(lambda: closed() == 9, why="nine sockets too many")
    assert house.state(charge_point).connected


def test_a_socket_that_is_reset_is_noticed_and_the_station_still_available(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    station.boot()
    station.close(abruptly=True)
    eventually(lambda: not house.state(charge_point).connected)
    assert house.state(charge_point).connection == "available", "the ladder takes it down, not a reconnect"


# ---------------------------------------------------------------------- 3: first contact


def test_three_boots_at_once_on_the_first_connection_ever(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        payload = {"chargePointVendor": "Vestel", "chargePointModel": "EVC04", "firmwareVersion": "3.1"}
        ids = [station.send_call("BootNotification", payload) for _ in range(3)]
        answers = [station.wait_result(each) for each in ids]
    assert {answer["status"] for answer in answers} == {"Accepted"}
    assert answers[0]["interval"] == 300
    state = house.state(charge_point)
    assert (state.vendor, state.model, state.firmware_version) == ("Vestel", "EVC04", "3.1")
    assert state.booted_at is not None


def test_three_sockets_that_boot_at_once_get_no_error_from_the_database(house: House) -> None:
    charge_point = house.station()

    url, identifier = house.server.ws, charge_point.identifier

    def arrive(_: int) -> str:
        station = connect(url, identifier)
        house.stations.append(station)
        try:
            return str(station.boot()["status"])
        except Exception as error:  # the newest wins: the others are closed
            return type(error).__name__

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(arrive, range(3)))
    assert "Accepted" in outcomes
    assert set(outcomes) <= {"Accepted", "ConnectionClosedOK", "ConnectionClosedError"}
    assert house.state(charge_point).connected


def test_what_comes_before_the_boot_is_answered_and_a_second_boot_too(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        assert station.status(1, "Available") == {}
        assert "currentTime" in station.heartbeat()
        assert station.boot(firmwareVersion="1.0")["status"] == "Accepted"
        assert station.boot(firmwareVersion="1.1")["status"] == "Accepted", "after a Reset, on the same socket"
    assert house.state(charge_point).firmware_version == "1.1"


# ---------------------------------------------------------------------- 1 and 4: silence


def log_of(house: Cast, charge_point: ChargePoint) -> list[str]:
    """The connection's log, oldest first."""
    query = select(NetworkStatusLog.status).where(NetworkStatusLog.charge_point_id == charge_point.id)
    return [str(status) for status in house.again().scalars(query.order_by(NetworkStatusLog.id))]


def test_the_ladder_of_silence_and_its_log(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(1, "Available")
    eventually(lambda: not house.state(charge_point).connected)
    seen = house.state(charge_point).last_seen_at

    def after(seconds: float) -> str:
        connectivity.climb_ladder(house.session, now=seen + timedelta(seconds=seconds))
        house.session.commit()
        return str(house.state(charge_point).connection)

    assert [after(s) for s in (0, 119, 120, 299, 300, 300, 100_000)] == [
        "available",
        "available",
        "temporarily_unavailable",
        "temporarily_unavailable",
        "long_term_unavailable",
        "long_term_unavailable",
        "long_term_unavailable",
    ]
    with house.connect(charge_point) as station:
        station.heartbeat()
        eventually(lambda: house.state(charge_point).connection == "available", why="a new socket is no sign of life")
    assert log_of(house, charge_point) == [
        "available",
        "temporarily_unavailable",
        "long_term_unavailable",
        "available",
    ]
    (evse,) = charge_point.evses
    reported = house.again().scalar(text("SELECT status FROM evse_state WHERE evse_id = :id"), {"id": evse.id})
    assert reported == "available", "what the station said last is kept beside it"


def test_a_station_that_never_came_is_on_no_rung(people: Cast) -> None:
    charge_point = people.station()
    connectivity.climb_ladder(people.session, now=datetime.now(UTC) + timedelta(days=9))
    people.session.commit()
    assert people.state(charge_point).connection == ConnectionStatus.NEVER_CONNECTED
    assert log_of(people, charge_point) == []


def test_signs_of_life_go_by_connection(people: Cast, writer: GroupCommit) -> None:
    """A half-open socket says nothing, so its station goes down the ladder; a pong is a sign of life like any other."""
    charge_point, began = people.station(), ago(minutes=10)
    connectivity.record_connected(writer, Connected(charge_point.id, 1, "gw:1", began, "ocpp1.6", "192.0.2.7"))
    connectivity.climb_ladder(people.session, now=began + timedelta(seconds=130))
    people.session.commit()
    assert people.state(charge_point).connection == "temporarily_unavailable"
    assert people.state(charge_point).connected, "the socket is still open: both truths are kept"
    connectivity.record_seen(writer, [Seen(charge_point.id, "gw:1", began + timedelta(seconds=125))])
    connectivity.record_seen(writer, [Seen(charge_point.id, "gw:0", began + timedelta(seconds=999))])
    connectivity.climb_ladder(people.session, now=began + timedelta(seconds=135))
    people.session.commit()
    assert people.state(charge_point).connection == "available"
    assert people.state(charge_point).last_seen_at == began + timedelta(seconds=125), "of the old socket nothing counts"


def test_the_stations_of_a_dead_gateway_are_let_go_and_taken_back_by_a_living_one(
    people: Cast, writer: GroupCommit
) -> None:
    """Redis had died, not the gateway: the next frame of the station says so."""
    charge_point, began = people.station(), ago(minutes=10)
    end = Connected(charge_point.id, 1, "gw:7", began + timedelta(seconds=50))
    connectivity.record_connected(writer, Connected(charge_point.id, 1, "gw:7", began))
    assert connectivity.forget_gateway(people.session, alive=["gw"], now=began) == 0
    assert connectivity.forget_gateway(people.session, alive=[], now=began) == 1
    people.session.commit()
    assert not people.state(charge_point).connected
    connectivity.record_seen(writer, [Seen(charge_point.id, "gw:7", began)])
    assert not people.state(charge_point).connected, "what was seen before proves nothing"
    connectivity.record_seen(writer, [Seen(charge_point.id, "gw:7", began + timedelta(seconds=30))])
    state = people.state(charge_point)
    assert (state.connected, state.connection_ref) == (True, "gw:7")
    connectivity.record_disconnected(writer, end)
    connectivity.record_seen(writer, [Seen(charge_point.id, "gw:7", began + timedelta(seconds=40))])
    state = people.state(charge_point)
    assert (state.connected, state.connection_ref) == (False, None), "a last frame does not reopen a socket that ended"


def test_an_old_sockets_end_written_after_the_new_ones_beginning(people: Cast, writer: GroupCommit) -> None:
    charge_point, at = people.station(), ago(minutes=1)
    connectivity.record_connected(writer, Connected(charge_point.id, 1, "a:1", at))
    connectivity.record_connected(writer, Connected(charge_point.id, 1, "b:1", at + timedelta(seconds=1)))
    connectivity.record_disconnected(writer, Connected(charge_point.id, 1, "a:1", at + timedelta(seconds=2)))
    state = people.state(charge_point)
    assert (state.connected, state.connection_ref) == (True, "b:1")


# ---------------------------------------------------------------------- 21 and 9: statuses


def reported(house: Cast, charge_point: ChargePoint) -> str:
    """What EVSE 1 has reported last."""
    evse_id = charge_point.evses[0].id
    return str(house.again().scalar(text("SELECT status FROM evse_state WHERE evse_id = :id"), {"id": evse_id}))


def hardware_log(house: Cast, charge_point: ChargePoint) -> list[tuple[int, str]]:
    """Network id and status of each entry, oldest first."""
    query = select(HardwareStatusLog).where(HardwareStatusLog.charge_point_id == charge_point.id)
    rows = house.again().scalars(query.order_by(HardwareStatusLog.at, HardwareStatusLog.id))
    return [(row.network_id, str(row.status)) for row in rows]


def test_connector_0_is_the_station_and_unregistered_ones_are_only_logged(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(0, "Available")
        station.status(1, "Charging")
        station.status(1, "Charging")
        station.status(2, "Faulted", error_code="GroundFailure", vendorErrorCode="E7", info="relay")
    assert house.state(charge_point).status == "available"
    assert reported(house, charge_point) == "charging"
    assert hardware_log(house, charge_point) == [(0, "available"), (1, "charging"), (2, "faulted")]


def test_a_late_status_does_not_overwrite_a_newer_one(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(1, "Charging", at=ago(minutes=1))
        station.status(1, "Preparing", at=ago(minutes=9))
    assert reported(house, charge_point) == "charging"
    assert hardware_log(house, charge_point) == [(1, "charging"), (1, "preparing")]


@pytest.mark.parametrize("fallen_back", ["1970-01-01T00:00:09Z", "2024-02-29T23:59:59Z", "not a time"])
def test_a_clock_that_falls_back_does_not_freeze_the_status(house: House, fallen_back: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(1, "Available", at=ago(minutes=1))
        station.status(1, "Faulted", error_code="GroundFailure", at=fallen_back)
    assert reported(house, charge_point) == "faulted"


def test_a_clock_that_is_far_ahead_does_not_freeze_the_status(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(1, "Available", at="9999-12-31T23:59:59Z")
        station.status(1, "Charging", at=ago())
    assert reported(house, charge_point) == "charging"


@pytest.mark.parametrize(
    "payload",
    [
        {"connectorId": 1, "errorCode": "NoError"},
        {"connectorId": 1, "errorCode": "NoError", "status": None},
        {"connectorId": 1, "errorCode": "NoError", "status": "Sleepy"},
        {"connectorId": 1, "errorCode": "NoError", "status": 7},
    ],
)
def test_what_is_no_status_is_answered_and_changes_nothing(house: House, payload: dict[str, Any]) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.status(1, "Charging")
        assert station.call("StatusNotification", payload) == {}
    assert reported(house, charge_point) == "charging"


@pytest.mark.parametrize("connector_id", [-1, 40_000, 2**31, 2**63, 10**30])
def test_a_connector_that_cannot_be_is_refused_politely(house: House, connector_id: int) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        with pytest.raises(CallFailed) as refusal:
            station.status(connector_id)
        assert refusal.value.code == "PropertyConstraintViolation"
        assert "connector" in refusal.value.description
        assert "currentTime" in station.heartbeat()


def test_thousands_of_statuses_in_one_batch_end_in_the_last(people: Cast, writer: GroupCommit) -> None:
    charge_point = people.station()
    station = station_of(charge_point)
    began = ago(minutes=1)
    words = [ReportedStatus.PREPARING, ReportedStatus.CHARGING, ReportedStatus.FINISHING, ReportedStatus.AVAILABLE]

    def report(number: int) -> None:
        at = began + timedelta(milliseconds=number)
        hardware.record_status(writer, station, network_id=1, status=words[number % 4], reported_at=at, now=at)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, range(40)))
    assert reported(people, charge_point) == "available"


# ---------------------------------------------------------------------- what else a station may say


def test_private_and_unknown_actions_are_answered(house: House) -> None:
    with house.connect(house.station()) as station:
        for action, code in (("Frobnicate", "NotImplemented"), ("ReserveNow", "NotSupported")):
            with pytest.raises(CallFailed) as refusal:
                station.call(action, {})
            assert refusal.value.code == code
        assert station.call("DataTransfer", {"vendorId": "com.example", "data": "x"}) == {"status": "UnknownVendorId"}
        assert station.call("FirmwareStatusNotification", {"status": "Idle"}) == {}
        assert station.call("DiagnosticsStatusNotification", {"status": "Uploaded"}) == {}
        assert station.call("DiagnosticsStatusNotification", {"status": "Dreaming"}) == {}


def test_null_payloads_and_odd_frames_are_survived(house: House) -> None:
    with house.connect(house.station()) as station:
        station.send_raw('[2,"a","Heartbeat",null]')
        assert "currentTime" in station.wait_result("a")
        station.send_raw('[2,"b","Heartbeat"]')
        assert "currentTime" in station.wait_result("b")
        station.send_raw("[4,null,null]")
        station.send_raw('[4,"-1","GenericError","",{}]')
        station.send_raw('[3,"nobody asked",{}]')
        station.send_raw("not json")
        station.send_raw('[2,"c","MeterValues",{"connectorId":1}]')
        assert station.wait_result("c") == {}
        station.send_raw('[2,"d","Authorize",{}]')
        with pytest.raises(CallFailed) as refusal:
            station.wait_result("d")
        assert refusal.value.code == "OccurenceConstraintViolation"
        assert "currentTime" in station.heartbeat()


def test_several_calls_may_be_under_way_and_are_answered_in_order_as_compact_text(house: House) -> None:
    with house.connect(house.station()) as station:
        for number in range(5):
            station.send_call(
                "Heartbeat" if number % 2 else "Authorize", {} if number % 2 else {"idTag": "X"}, message_id=str(number)
            )
        frames = [station.receive_raw() for _ in range(5)]
    assert [json.loads(frame)[1] for frame in frames] == ["0", "1", "2", "3", "4"]
    assert not any(": " in str(frame) or ", " in str(frame) for frame in frames)


def test_a_message_without_end_is_cut_off_and_harms_nobody_else(house: House) -> None:
    quiet = house.connect(house.station())
    loud = house.connect(house.station())
    loud.send_raw('[2,"big","DataTransfer",{"vendorId":"x","data":"' + "A" * 300_000 + '"}]')
    assert loud.expect_close() == 1009
    assert "currentTime" in quiet.heartbeat()


def test_every_frame_is_in_the_communication_log(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.call("Heartbeat", {}, message_id="hb-1")
        station.send_raw("rubbish \x00")
        query = select(CommunicationLog).where(CommunicationLog.charge_point_id == charge_point.id)
        rows = eventually(
            lambda: (
                (found := house.again().scalars(query.order_by(CommunicationLog.id)).all())
                and len(found) == 4
                and found
            )
        )
    assert [(row.direction, row.kind, row.action) for row in rows] == [
        ("in", "request", "Heartbeat"),
        ("out", "answer", "Heartbeat"),
        ("in", "error", ""),
        ("out", "error", ""),
    ]
    assert json.loads(rows[0].payload) == [2, "hb-1", "Heartbeat", {}]


# ---------------------------------------------------------------------- 10: boots in the middle of a charge


def test_a_charge_goes_on_after_a_reboot_that_really_resumes_it(house: House) -> None:
    from app.charging import clockwork

    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        station.boot()
        number = station.start(1, user.rfid_tags[0].tag_id, meter_start_wh=0, at=ago(minutes=30))["transactionId"]
        station.status(1, "Charging")
        station.meter(1, number, 1000, at=ago(minutes=20))
    with house.connect(charge_point) as station:
        station.boot()
        station.status(1, "Available")
        station.status(1, "Charging")
        station.meter(1, number, 1500, at=ago(minutes=5))
        assert clockwork.close_ghosts(house.session, now=datetime.now(UTC) + timedelta(minutes=30)) == 0
        house.session.commit()
        station.stop(number, meter_stop_wh=2000, at=ago())
    row = house.charge(number)
    assert (row.energy_wh, row.flags) == (2000, [])


def test_a_charge_that_the_station_forgot_in_a_reboot_is_closed_by_rule(house: House) -> None:
    from app.charging import clockwork

    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        station.boot()
        number = station.start(1, user.rfid_tags[0].tag_id, meter_start_wh=0, at=ago(minutes=30))["transactionId"]
        station.status(1, "Charging")
        station.meter(1, number, 1000, at=ago(minutes=20))
    with house.connect(charge_point) as station:
        station.boot()
        station.status(1, "Available")
        station.status(1, "Available")
        # a meter that is read by the clock, whoever charges, keeps nobody's session alive
        station.meter(1, None, 1000, at=ago())
        now = datetime.now(UTC)
        assert clockwork.close_ghosts(house.session, now=now + timedelta(seconds=50)) == 0
        assert clockwork.close_ghosts(house.session, now=now + timedelta(seconds=70)) == 1
        house.session.commit()
        row = house.charge(number)
        assert (row.status, row.stop_reason, row.flags) == ("finished", "ghost_closed", ["no_stop_message"])
        assert row.energy_wh == 1000
        assert row.stopped_at is not None
        assert row.stopped_at <= house.state(charge_point).booted_at + timedelta(seconds=1)
        # and the gateway has heard of it: what comes now is of a session that has ended
        eventually(lambda: _after_end(house, station, number), why="the gateway goes on with a session that has ended")


def _after_end(house: House, station: Any, number: int) -> bool:
    station.meter(1, number, 1200, at=ago())
    return house.readings(number)[-1].flags == ["after_end"]
