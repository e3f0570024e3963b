"""What independent station software does to us, each defect it found once: see docs/acceptance.md.

The stations are the `ocpp` package's own ChargePoint on `websockets`, or frames as fuzzers send them.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from app.assets.models import ChargePoint, ReportedStatus
from app.charging import remote
from app.charging.hardware import STATUS, StatusReport
from app.charging.lifecycle import SessionStatus
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit, WriteFailed
from app.core.models import Action, ActionStatus
from app.core.passwords import hash_station_password
from ocpp_ws.head import LimitedHead, StationHead
from tests.support.gateway import PRICES, Cast, House, ago, eventually, station_of
from tests.support.scripted_station import CallFailed, ScriptedStation
from tests.support.scripted_station import connect as connect_station
from tests.support.vendor import VendorStation, bill, iso, story, vendor_station

# ---------------------------------------------------------------------- a charge, to the cent


@story
async def test_an_unmodified_client_charges_and_the_bill_is_what_we_compute_ourselves(house: House) -> None:
    charge_point = house.station(evses=2)
    user = house.driver(balance="50.00")
    tag, began = user.rfid_tags[0].tag_id, ago(minutes=40).replace(microsecond=0)
    async with vendor_station(house.server.ws, charge_point.identifier) as station:
        boot = await station.say("BootNotification", charge_point_vendor="Vendor", charge_point_model="Wall 22")
        assert boot.status == "Accepted" and boot.interval > 0
        for connector_id in (0, 1, 2):
            await station.say("StatusNotification", connector_id=connector_id, error_code="NoError", status="Available")
        assert (await station.say("Authorize", id_tag=tag.lower())).id_tag_info["status"] == "Accepted"
        start = {"connector_id": 2, "id_tag": tag, "meter_start": 1_000, "timestamp": iso(began)}
        started = await station.say("StartTransaction", **start)
        assert started.id_tag_info["status"] == "Accepted"
        again = await station.say("StartTransaction", **start)
        assert again.transaction_id == started.transaction_id
        for minute in range(5, 40, 5):
            await station.say(
                "MeterValues",
                connector_id=2,
                transaction_id=started.transaction_id,
                meter_value=[_reading(began + timedelta(minutes=minute), 1_000 + 185 * minute)],
            )
        stop = {
            "transaction_id": started.transaction_id,
            "meter_stop": 8_400,
            "timestamp": iso(began + timedelta(minutes=40)),
        }
        await station.say("StopTransaction", **stop)
        await station.say("StopTransaction", **stop)
    prices = {"fee": PRICES["connection_fee"], "per_minute": PRICES["price_per_minute"]}
    gross, net, vat = bill(seconds=2_400, energy_wh=7_400, per_kwh=PRICES["price_per_kwh"], **prices)
    assert (gross, net, vat) == (Decimal("4.26"), Decimal("3.55"), Decimal("0.71"))
    charge = house.charge(started.transaction_id)
    assert (charge.status, charge.total_gross, charge.total_net, charge.total_vat) == (
        SessionStatus.FINISHED, gross, net, vat,
    )  # fmt: skip
    entries, transactions = house.bills(charge.id)
    assert [(entry.credit, entry.debit) for entry in entries] == [(0, gross)] and len(transactions) == 1
    assert house.balance(user) == Decimal("50.00") - gross
    exported = _exported(house, charge.id)
    told = {name: Decimal(exported[name]) for name in ("total_gross", "total_net", "total_vat", "energy_kwh")}
    assert told == {"total_gross": gross, "total_net": net, "total_vat": vat, "energy_kwh": Decimal("7.4")}
    priced = house.server.product.flask("price", str(charge.id))
    assert priced.returncode == 0 and f"{gross}" in priced.stdout, priced.stderr


def _reading(at: datetime, register_wh: int) -> dict[str, Any]:
    return {
        "timestamp": iso(at),
        "sampledValue": [
            {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "11.1", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": "16.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        ],
    }


def _exported(house: House, session_id: int) -> dict[str, str]:
    done = house.server.product.flask("export", "sessions")
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in csv.DictReader(io.StringIO(done.stdout)) if row["id"] == str(session_id))
    return row


# ---------------------------------------------------------------------- it obeys


@story
async def test_an_unmodified_client_obeys_every_command(house: House) -> None:
    charge_point = house.station()
    operator, driver = house.operator(), house.driver()
    common = {"reason": "Acceptance", "actor": operator}

    async def done(act: Callable[[], Action]) -> tuple[ActionStatus, dict[str, Any] | None]:
        action_id = await asyncio.to_thread(_sent, house, act)
        return await asyncio.to_thread(_outcome, house, action_id)

    def now() -> datetime:
        return datetime.now(UTC)

    session, evse = house.session, charge_point.evses[0]
    async with vendor_station(house.server.ws, charge_point.identifier) as station:
        await station.say("BootNotification", charge_point_vendor="Vendor", charge_point_model="Wall 22")
        assert await done(lambda: remote.reset(session, charge_point=charge_point, hard=True, now=now(), **common)) == (
            ActionStatus.ACCEPTED,
            {"status": "Accepted"},
        )
        assert await done(
            lambda: remote.change_availability(
                session, charge_point=charge_point, evse=evse, operative=False, now=now(), **common
            )
        ) == (ActionStatus.SCHEDULED, {"status": "Scheduled"})
        assert await done(lambda: remote.unlock(session, evse=evse, now=now(), **common)) == (
            ActionStatus.REJECTED,
            {"status": "UnlockFailed"},
        )
        assert (
            await done(
                lambda: remote.trigger_message(
                    session, charge_point=charge_point, evse=evse, message="status", now=now(), **common
                )
            )
        )[0] is ActionStatus.ACCEPTED
        assert (await done(lambda: remote.clear_cache(session, charge_point=charge_point, now=now(), **common)))[
            0
        ] is ActionStatus.ACCEPTED
        assert [name for name, _ in station.asked] == [
            "Reset", "ChangeAvailability", "UnlockConnector", "TriggerMessage", "ClearCache",
        ]  # fmt: skip
        assert station.asked[0][1] == {"type": "Hard"}
        pending: list[int] = []

        def start() -> Action:
            row, action = remote.start_session(session, evse=evse, user=driver, tariff_id=None, now=now(), **common)
            pending.append(row.id)
            return action

        assert (await done(start))[0] is ActionStatus.ACCEPTED
        started = await asyncio.wait_for(station.started, 10)
        assert started.transaction_id == pending[0] and started.id_tag_info["status"] == "Accepted"

        def stop() -> Action:
            action = remote.stop_session(session, charging_session=house.charge(pending[0]), now=now(), **common)
            assert action is not None
            return action

        assert (await done(stop))[0] is ActionStatus.ACCEPTED
        await asyncio.wait_for(station.stopped, 10)
    charge = house.charge(pending[0])
    assert (charge.status, charge.stop_reason, charge.energy_wh) == (SessionStatus.FINISHED, "Remote", 500)


def _sent(house: House, act: Callable[[], Action]) -> int:
    action = act()
    house.session.commit()
    return action.id


def _outcome(house: House, action_id: int) -> tuple[ActionStatus, dict[str, Any] | None]:
    def decided() -> Action | None:
        row = house.again().get_one(Action, action_id)
        return row if row.status is not ActionStatus.PENDING else None

    row = eventually(decided, why="the command has no outcome", timeout_s=10)
    assert row is not None
    return row.status, row.response


# ---------------------------------------------------------------------- the ways in


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("Гараж 1", "%D0%93%D0%B0%D1%80%D0%B0%D0%B6%201"),
        ("Yard 7", "Yard%207"),
        ("Mixed-Case", "mIXED-cASE"),
        ("SLASH-1", "SLASH-1/"),
        ("QUERY-1", "QUERY-1?token=1&x=%2F"),
        ("AB:CD:EF", "AB:CD:EF"),
    ],
)
@story
async def test_however_a_station_writes_its_address_it_is_let_in(house: House, identifier: str, path: str) -> None:
    house.station(identifier=identifier)
    async with vendor_station(house.server.ws, path) as station:
        boot = await station.say("BootNotification", charge_point_vendor="V", charge_point_model="M")
        assert boot.status == "Accepted"


@pytest.mark.parametrize("offered", [["ocpp1.6"], ["ocpp2.0.1", "ocpp1.6"], ["soap", "ocpp1.6", "ocpp1.5"]])
@pytest.mark.parametrize("compression", [None, "deflate"])
@story
async def test_subprotocols_in_any_order_with_and_without_deflate(
    house: House, offered: list[str], compression: str | None
) -> None:
    charge_point = house.station()
    names = [Subprotocol(name) for name in offered]
    async with vendor_station(
        house.server.ws, charge_point.identifier, subprotocols=names, compression=compression
    ) as station:
        assert station._connection.subprotocol == "ocpp1.6"
        answer = await station.say("DataTransfer", vendor_id="com.example", data="x" * 60_000)
        assert answer.status == "UnknownVendorId"


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("{id}", "right", 101),
        ("{ID}", "right", 101),
        ("admin", "right", 401),
        ("", "right", 401),
        ("{id}", "wrong", 401),
        ("{id}", "", 401),
        (None, None, 401),
    ],
)
@story
async def test_the_password_counts_with_the_stations_own_name_only(
    house: House, user: str | None, password: str | None, status: int
) -> None:
    charge_point = house.station(password="right", identifier=f"cp-{user}-{password}".replace("{", "").replace("}", ""))
    headers = {}
    if user is not None:
        name = user.format(id=charge_point.identifier, ID=charge_point.identifier.upper())
        headers["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    try:
        async with vendor_station(house.server.ws, charge_point.identifier, additional_headers=headers) as station:
            assert (await station.say("Heartbeat")).current_time
            assert status == 101
    except InvalidStatus as refused:
        assert refused.response.status_code == status


@story
async def test_calls_sent_without_waiting_are_answered_in_turn(house: House) -> None:
    charge_point = house.station()
    async with open_websocket(
        f"{house.server.ws}/{charge_point.identifier}", subprotocols=[Subprotocol("ocpp1.6")], proxy=None
    ) as socket:
        for number in range(200):
            action, payload = ("Heartbeat", "{}")
            if number % 4 == 0:
                action, payload = "StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":"Available"}'
            frame = f'[2,"{number}","{action}",{payload}]'
            await socket.send(frame if number % 3 else frame.encode())  # some send text as binary frames
        answers = [json.loads(await asyncio.wait_for(socket.recv(), 20)) for _ in range(200)]
    assert [answer[:2] for answer in answers] == [[3, str(number)] for number in range(200)]


@story
async def test_a_frame_without_end_costs_its_sender_the_connection_and_nobody_else(house: House) -> None:
    greedy, other = house.station(), house.station()
    async with vendor_station(house.server.ws, other.identifier) as neighbour:
        async with open_websocket(
            f"{house.server.ws}/{greedy.identifier}", subprotocols=[Subprotocol("ocpp1.6")], proxy=None
        ) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.send('[2,"1","DataTransfer",{"vendorId":"v","data":"' + "x" * 16_000_000 + '"}]')
                await socket.recv()
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        assert (await neighbour.say("Heartbeat")).current_time


# ---------------------------------------------------------------------- whatever a field holds

_TIME = "2026-11-22T10:00:00Z"
_VALUE = {
    "value": "1000", "context": "Sample.Periodic", "format": "Raw", "measurand": "Energy.Active.Import.Register",
    "phase": "L1", "location": "Outlet", "unit": "Wh",
}  # fmt: skip
_VALUES = [
    _VALUE,
    {**_VALUE, "measurand": "Power.Active.Import", "unit": "kW"},
    {**_VALUE, "measurand": "SoC", "unit": "Percent"},
]
_MESSAGES: dict[str, dict[str, Any]] = {
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1", "imsi": "2"},
    "StatusNotification": {
        "connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "i", "timestamp": _TIME,
        "vendorErrorCode": "e",
    },
    "Authorize": {"idTag": "TAG"},
    "StartTransaction": {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": _TIME},
    "MeterValues": {
        "connectorId": 1, "transactionId": 1, "meterValue": [{"timestamp": _TIME, "sampledValue": _VALUES}],
    },
    "StopTransaction": {
        "transactionId": 1, "idTag": "TAG", "meterStop": 10, "timestamp": _TIME, "reason": "Local",
        "transactionData": [{"timestamp": _TIME, "sampledValue": [_VALUE]}],
    },
    "DataTransfer": {"vendorId": "v", "messageId": "m", "data": "d"},
    "SecurityEventNotification": {"type": "StartupOfTheDevice", "timestamp": _TIME},
}  # fmt: skip
_ODD = [
    None, "", "x" * 300, -1, 10**12, 10**30, -(10**30), 1e308, True, [], {}, "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", "\ud800", "a\x00b", "SYNC-²", "SYNC-" + "9" * 5_000, "9e999999", "1e-999999",
    "99999999999.96", float("nan"), float("inf"),
]  # fmt: skip


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _with(payload: dict[str, Any], path: tuple[str | int, ...], odd: Any) -> dict[str, Any]:
    changed = deepcopy(payload)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("action", _MESSAGES)
def test_no_value_of_any_field_is_an_error_of_ours(house: House, action: str) -> None:
    charge_point = house.station()
    failed: list[str] = []
    with house.connect(charge_point) as station:
        for path in _places(_MESSAGES[action]):
            for odd in _ODD:
                try:
                    station.call(action, _with(_MESSAGES[action], path, odd))
                except CallFailed as refusal:
                    if refusal.code == "InternalError":
                        failed.append(f"{path}: {odd!r:.40}")
        assert "currentTime" in station.heartbeat()
    assert failed == []


def test_a_number_beyond_all_numbers_is_kept_as_it_came_beside_the_good_ones(house: House) -> None:
    charge_point, driver = house.station(), house.driver()
    with house.connect(charge_point) as station:
        started = station.start(1, driver.rfid_tags[0].tag_id, meter_start_wh=0, at=ago(minutes=10))
        odd = {"value": "9e999999", "measurand": "Power.Active.Import", "unit": "kW"}
        assert station.meter(1, started["transactionId"], 500, at=ago(minutes=5), samples=[odd]) == {}
    (reading,) = house.readings(started["transactionId"])
    assert (reading.raw_register_wh, reading.power_w) == (500, None)
    assert reading.other == {"Power.Active.Import kW": "9e999999"}
    assert "value_not_a_number" in reading.flags


def test_a_card_whose_number_is_too_long_is_kept_short_and_never_let_in(house: House) -> None:
    charge_point, driver = house.station(), house.driver(tag="04A2" * 10)
    long_tag = driver.rfid_tags[0].tag_id + "F" * 100
    with house.connect(charge_point) as station:
        assert station.authorize(long_tag) == "Invalid"
        started = station.start(1, long_tag, meter_start_wh=0, at=ago(minutes=10))
        assert started["idTagInfo"]["status"] == "Invalid"
        assert station.stop(started["transactionId"], meter_stop_wh=900, id_tag=long_tag)["idTagInfo"]
    charge = house.charge(started["transactionId"])
    assert (charge.user_id, charge.total_gross, charge.status) == (None, None, SessionStatus.FINISHED)
    assert charge.id_tag is not None and long_tag.startswith(charge.id_tag)


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": _TIME}, {}),
        ("LogStatusNotification", {"status": "Idle"}, {}),
        ("SignedFirmwareStatusNotification", {"status": "Idle"}, {}),
        ("SignCertificate", {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}, {"status": "Rejected"}),
    ],
)
def test_what_stations_with_the_security_extension_say_is_answered(
    house: House, action: str, payload: dict[str, Any], answer: dict[str, Any]
) -> None:
    with house.connect(house.station()) as station:
        assert station.call(action, payload) == answer


# ---------------------------------------------------------------------- the whole fleet at once


@story
async def test_a_fleet_that_comes_back_twice_at_once_is_connected_once_each(house: House) -> None:
    fleet = [house.station().identifier for _ in range(60)]

    async def come(identifier: str) -> VendorStation | None:
        try:
            async with vendor_station(house.server.ws, identifier) as station:
                boot = await station.say("BootNotification", charge_point_vendor="V", charge_point_model="M")
                assert boot.status == "Accepted"
                for connector_id in (0, 1):
                    await station.say(
                        "StatusNotification", connector_id=connector_id, error_code="NoError", status="Available"
                    )
                await asyncio.wait_for(asyncio.shield(everybody.wait()), 60)
                await station.say("Heartbeat")
                return station
        except ConnectionClosed:
            return None  # the newer socket of the same station won

    everybody = asyncio.Event()
    coming = [asyncio.create_task(come(identifier)) for identifier in [*fleet, *fleet]]

    def all_there() -> bool:
        rows = house.again().execute(
            text("SELECT count(*), count(DISTINCT connection_ref) FROM charge_point_state WHERE connected")
        )
        return tuple(rows.one()) == (60, 60)

    await asyncio.to_thread(eventually, all_there, timeout_s=60, why="not everybody is connected")
    held = house.server.redis.hgetall("sync:owners")
    refs = house.again().scalars(text("SELECT connection_ref FROM charge_point_state WHERE connected")).all()
    assert sorted(refs) == sorted(ref.decode() for ref in held.values())  # type: ignore[union-attr]
    everybody.set()
    done = await asyncio.gather(*coming)
    assert sum(station is not None for station in done) == 60
    states = house.again().execute(text("SELECT vendor, status FROM charge_point_state")).all()
    assert {tuple(row) for row in states} == {("V", "available")}


# ---------------------------------------------------------------------- the door remembers, and hears of changes


def test_a_new_password_counts_at_once_though_the_door_remembers_for_minutes(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        charge_point.password_hash = hash_station_password(b"new", house.secret_key)
        _tell_of(house, charge_point)
        assert station.expect_close(timeout=5) == 1000
    with pytest.raises(InvalidStatus):
        connect_station(house.server.ws, charge_point.identifier)
    with house.connect(charge_point, password="new") as station:
        assert station.boot()["status"] == "Accepted"


def test_a_station_that_was_refused_as_unknown_is_let_in_as_soon_as_it_exists(house: House) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect_station(house.server.ws, "SOON-THERE")
    assert refused.value.response.status_code == 404
    charge_point = house.station(identifier="SOON-THERE")
    _tell_of(house, charge_point)

    def let_in() -> ScriptedStation | None:
        try:
            return house.connect(charge_point)
        except InvalidStatus:
            return None

    station = eventually(let_in, timeout_s=2, why="the news has not come")
    assert station is not None and station.boot()["status"] == "Accepted"


def test_a_changed_evse_is_taken_up_without_a_new_connection(house: House) -> None:
    charge_point, driver = house.station(max_power_w=None), house.driver()
    with house.connect(charge_point) as station:
        station.boot()
        charge_point.evses[0].network_id = 7
        _tell_of(house, charge_point)

        def placed() -> bool:
            station.status(7, "Preparing")
            row = house.again().execute(text("SELECT status FROM evse_state")).one()
            return bool(row.status == "preparing")

        eventually(placed, timeout_s=3, why="EVSE 7 is not known")
        assert station.start(7, driver.rfid_tags[0].tag_id)["idTagInfo"]["status"] == "Accepted"


def _tell_of(house: House, charge_point: ChargePoint) -> None:
    from app.assets import verbs

    verbs.announce_changed(house.session, charge_point)
    house.session.commit()


# ---------------------------------------------------------------------- one round trip, and nobody fails with another


def test_a_report_that_cannot_be_stored_fails_alone_in_its_pipeline(people: Cast, database_url: str) -> None:
    stations = [people.station() for _ in range(3)]
    now = datetime.now(UTC)
    writer = GroupCommit("acceptance", lambda: connect_raw(database_url))
    reports = [
        StatusReport(each.id, 1, 1, station_of(each).evses[1].id, ReportedStatus.CHARGING, now, now)
        for each in stations
    ]
    reports[1] = StatusReport(stations[1].id, 1, 2**40, None, ReportedStatus.CHARGING, now, now)
    # queued before the writer runs, so that all three are one batch
    writer._batch.items.extend((STATUS, report) for report in reports)
    batch = writer._batch
    writer.start()
    writer._wake.set()
    assert batch.done.wait(10)
    writer.stop()
    assert list(batch.errors) == [1]
    people.again()
    rows = people.session.execute(text("SELECT evse_id FROM evse_state WHERE status = 'charging' ORDER BY 1")).scalars()
    assert list(rows) == [station_of(each).evses[1].id for each in (stations[0], stations[2])]
    with pytest.raises(WriteFailed):
        writer.write(STATUS, reports[0])


# ---------------------------------------------------------------------- heads of requests, read fast


@pytest.mark.parametrize(
    ("lines", "name", "values"),
    [
        (b"Upgrade: websocket\r\nupgrade:  h2c \r\n\r\n", "UPGRADE", ["websocket", "h2c"]),
        (b"X-Long: one,\r\n  two\r\n\tthree\r\n\r\n", "x-long", ["one, two three"]),
        (b"rubbish without colon\r\nHost : here\r\n\r\n", "host", ["here"]),
        (b"A: 1\n\nB: 2\r\n\r\n", "b", []),
        (b"A: \xe9\xff\r\n\r\n", "a", ["\xe9\xff"]),
        (b"", "a", []),
    ],
)
def test_the_head_of_a_stations_request(lines: bytes, name: str, values: list[str]) -> None:
    head = StationHead(LimitedHead(io.BytesIO(lines)))
    assert head.get_all(name, []) == values
    assert head.get(name) == (values[0] if values else None)


@pytest.mark.parametrize("lines", [b"A: 1\r\n" * 101 + b"\r\n", b"A: " + b"x" * 70_000 + b"\r\n\r\n"])
def test_a_head_without_end_is_refused(lines: bytes) -> None:
    with pytest.raises(ValueError, match="too"):
        StationHead(LimitedHead(io.BytesIO(lines)))
