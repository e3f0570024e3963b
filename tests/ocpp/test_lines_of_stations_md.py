"""What docs/stations.md says of stations, line by line, where no other file has it: scripted stations on the server.

Each name begins with its line ("line_9") or with "wire" for what was seen of independent software.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text

from app.charging import connectivity, gateways, queries, remote
from app.charging.connectivity import Connected
from app.charging.lifecycle import SessionStatus
from app.charging.models import CommunicationLog, UnknownStation
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit
from tests.support.gateway import Cast, House, ago, eventually
from tests.support.scripted_station import CallFailed, ScriptedStation, connect, sample, stamp

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def writer(database_url: str) -> Iterator[GroupCommit]:
    """The gateway's group commit, in the test's process."""
    running = GroupCommit("test", lambda: connect_raw(database_url)).start()
    yield running
    running.stop()


def test_every_line_names_tests_that_exist() -> None:
    """A table that names tests nobody runs is worse than none."""
    page = (ROOT / "docs" / "stations.md").read_text()
    lines = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.M)}
    assert lines == set(range(1, 25))
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 60
    files = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    there = {
        (name, node.name)
        for name in {name for name, _ in named}
        if name in files
        for node in ast.walk(ast.parse(files[name].read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert [each for each in named if each not in there] == []


# ---------------------------------------------------------------------- connection


def test_line_2_an_older_socket_whose_beginning_is_written_late_takes_nothing(
    people: Cast, writer: GroupCommit
) -> None:
    """Greenlets reach the writer in any order; then the old one's end must not mark the new one offline."""
    charge_point, at = people.station(), ago(minutes=1)
    newer, older = Connected(charge_point.id, 1, "gw:10", at), Connected(charge_point.id, 1, "gw:9", at)
    connectivity.record_connected(writer, newer)
    connectivity.record_connected(writer, older)
    connectivity.record_disconnected(writer, older)
    state = people.state(charge_point)
    assert (state.connected, state.connection_ref) == (True, "gw:10")
    both = people.station()
    pair = [Connected(both.id, 1, "gw:12", at), Connected(both.id, 1, "gw:11", at)]
    writer.write_all([(connectivity.CONNECTED, each) for each in pair])
    assert people.state(both).connection_ref == "gw:12"
    connectivity.record_connected(writer, Connected(both.id, 1, "other:1", at))
    assert people.state(both).connection_ref == "other:1", "another gateway counts for itself"


def test_line_2_and_3_the_newest_of_many_sockets_is_the_one_that_is_reached(house: House) -> None:
    """Whatever the order, claim, row and socket agree in the end."""
    charge_point = house.station()
    url, identifier = house.server.ws, charge_point.identifier

    def arrive(_: int) -> ScriptedStation | None:
        station = connect(url, identifier)
        house.stations.append(station)
        try:
            station.boot()
        except Exception:  # the newest wins: the others are closed
            return None
        return station

    with ThreadPoolExecutor(4) as pool:
        left = [station for station in pool.map(arrive, range(4)) if station is not None]
    alive = [station for station in left if _answers(station)]
    assert len(alive) == 1
    ref = house.state(charge_point).connection_ref
    assert ref is not None
    # claims are gathered for a moment: the newest one's is the last of them
    eventually(
        lambda: house.server.redis.hget(gateways.OWNERS, str(charge_point.id)) == ref.encode(),
        why="an older connection owns it",
    )
    operator = house.operator()
    remote.reset(
        house.session, charge_point=charge_point, hard=False, reason="x", actor=operator, now=datetime.now(UTC)
    )
    house.session.commit()
    alive[0].expect_call("Reset").answer(status="Accepted")


def _answers(station: ScriptedStation) -> bool:
    try:
        return bool(station.heartbeat())
    except Exception:  # closed
        return False


def test_line_4_a_dead_station_is_shown_offline_and_what_it_said_last_is_kept(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        station.status(1, "Available")
    eventually(lambda: not house.state(charge_point).connected, why="the end was not noticed")
    later = datetime.now(UTC) + timedelta(seconds=400)
    connectivity.climb_ladder(house.session, now=later)
    house.session.commit()
    fresh = house.again().get_one(type(charge_point), charge_point.id)
    line = queries.station_status(house.session, fresh, now=later).evses[0]
    assert line.shown.status.value == "long_term_unavailable"
    assert line.shown.last_reported.value == "available"


def test_line_5_a_storm_is_accepted_and_written(house: House) -> None:
    """A hundred stations at once, each with boot and statuses: all accepted, all on disk, nobody told an error."""
    stations = [house.station(priced=False) for _ in range(100)]
    names, url = [each.identifier for each in stations], house.server.ws

    def arrive(identifier: str) -> str:
        station = connect(url, identifier)
        house.stations.append(station)
        answer = station.boot()
        station.status(0, "Available")
        station.status(1, "Preparing")
        return str(answer["status"])

    began_s = time.monotonic()
    with ThreadPoolExecutor(25) as pool:
        assert set(pool.map(arrive, names)) == {"Accepted"}
    assert time.monotonic() - began_s < 60
    written = house.again().scalar(
        text("SELECT count(*) FROM charge_point_state s JOIN evse e USING (charge_point_id) JOIN evse_state t"
             " ON t.evse_id = e.id WHERE s.connected AND s.vendor = 'Scripted' AND t.status = 'preparing'")
    )  # fmt: skip
    assert written == 100


def test_line_6_a_401_every_second_for_ever_costs_one_row(house: House) -> None:
    """Wrong password again and again: counted, not collected, and the right one works at once after."""
    charge_point = house.station(password="right-right-right-1")
    for _ in range(20):
        with pytest.raises(Exception, match="401"):
            connect(house.server.ws, charge_point.identifier, "wrong-wrong-wrong-1")
    row = eventually(
        lambda: (
            (found := house.again().get(UnknownStation, charge_point.identifier)) and found.attempts >= 20 and found
        ),
        timeout_s=15,
        why="the attempts are not counted",
    )
    assert row.attempts == 20
    assert house.again().scalar(select(func.count()).select_from(CommunicationLog)) == 0
    assert house.connect(charge_point, password="right-right-right-1").boot()["status"] == "Accepted"


# ---------------------------------------------------------------------- transactions


def test_line_9_a_stop_before_its_start_is_kept_and_the_start_gets_a_number(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    tag = user.rfid_tags[0].tag_id
    with house.connect(charge_point) as station:
        station.boot()
        assert station.stop(-1, meter_stop_wh=2000, at=ago(minutes=5)) == {}
        started = station.start(1, tag, meter_start_wh=1000, at=ago(minutes=30))
        assert started["transactionId"] > 0
        station.stop(started["transactionId"], meter_stop_wh=2000, at=ago(minutes=5))
    assert len(house.strays(charge_point)) == 1
    (session,) = house.charges(charge_point)
    assert (session.status, session.energy_wh) == (SessionStatus.FINISHED, Decimal(1000))


def test_line_11_numbers_come_from_one_sequence_for_all_stations(house: House) -> None:
    tags = [house.driver().rfid_tags[0].tag_id for _ in range(3)]
    numbers = []
    for tag in tags:
        with house.connect(house.station()) as station:
            station.boot()
            numbers.append(station.start(1, tag)["transactionId"])
    assert numbers == sorted(set(numbers)) and min(numbers) > 0


# ---------------------------------------------------------------------- house


def test_line_23_no_database_session_is_held_while_a_station_thinks(
    house: House, cleaner: psycopg.Connection[Any]
) -> None:
    """A command waits for its answer for seconds; a connection in a transaction would run the pool dry."""
    charge_point, operator = house.station(), house.operator()
    station = house.connect(charge_point)
    station.boot()
    remote.reset(
        house.session, charge_point=charge_point, hard=False, reason="x", actor=operator, now=datetime.now(UTC)
    )
    house.session.commit()
    asked = station.expect_call("Reset")
    house.session.rollback()
    idle = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state LIKE 'idle in transaction%%' AND datname = current_database()"
    )
    eventually(lambda: cleaner.execute(idle).fetchone() == (0,), why="somebody holds a transaction")
    time.sleep(0.2)
    assert cleaner.execute(idle).fetchone() == (0,)
    asked.answer(status="Accepted")


def test_line_23_the_gateway_talks_to_nobody_but_stations_database_and_redis() -> None:
    """Payment, mail and geocoding belong to jobs: a slow mail server must not hold up a station."""
    foreign = {"smtplib", "stripe", "twilio", "geopy", "what3words", "requests", "httpx", "urllib3"}
    found = []
    for path in (ROOT / "ocpp_ws").rglob("*.py"):
        if "simulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in foreign]
    assert found == []


def test_line_24_a_log_that_cannot_be_written_holds_nobody_up(house: House, admin_url: str) -> None:
    charge_point, tag = house.station(), house.driver().rfid_tags[0].tag_id
    station = house.connect(charge_point)
    station.boot()
    with psycopg.connect(admin_url) as locker:
        locker.execute("LOCK TABLE communication_log IN ACCESS EXCLUSIVE MODE")
        began_s = time.monotonic()
        started = station.start(1, tag, meter_start_wh=0)
        station.meter(1, started["transactionId"], 500)
        station.stop(started["transactionId"], meter_stop_wh=900)
        assert time.monotonic() - began_s < 5
        locker.rollback()
    wanted = {"StartTransaction", "MeterValues", "StopTransaction"}
    query = select(CommunicationLog.action).where(CommunicationLog.charge_point_id == charge_point.id)
    eventually(lambda: wanted <= set(house.again().scalars(query)), why="what waited was not written after all")


# ---------------------------------------------------------------------- seen on the wire


def test_wire_a_replay_after_an_outage_without_boot(house: House) -> None:
    """Old readings between new ones, clock-aligned ones without a number, the stop with its offline time."""
    charge_point, tag = house.station(), house.driver().rfid_tags[0].tag_id
    began = ago(hours=2)

    def at(minutes: int) -> datetime:
        return began + timedelta(minutes=minutes)

    with house.connect(charge_point) as station:
        station.boot()
        number = station.start(1, tag, meter_start_wh=10_000, at=began)["transactionId"]
        station.meter(1, number, 11_000, at=at(10))
        station.close(abruptly=True)
    with house.connect(charge_point) as again:  # no BootNotification
        again.meter(1, number, 14_000, at=at(40))
        again.meter(1, number, 12_000, at=at(20))
        again.meter(1, None, 13_000, at=at(30))
        again.meter(1, number, 15_000, at=at(50), samples=[sample(16, "Current.Import", "A", phase="L1")])
        again.stop(number, meter_stop_wh=16_000, at=at(60))
    (session,) = house.charges(charge_point)
    assert (session.status, session.energy_wh) == (SessionStatus.FINISHED, Decimal(6000))
    assert session.stopped_at == at(60) and session.started_at == began
    readings = [(row.measured_at, row.register_wh) for row in house.readings(session.id) if row.register_wh is not None]
    assert [register for _, register in readings if register] == sorted(
        register for _, register in readings if register
    )


def test_wire_message_ids_repeat_across_stations_and_restarts(house: House) -> None:
    """Two stations and a restart all say "1": three messages, not one with two repetitions."""
    one, two = house.station(), house.station()
    tags = [house.driver().rfid_tags[0].tag_id for _ in range(3)]

    def start(station: ScriptedStation, tag: str, at: datetime) -> int:
        payload = {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": stamp(at)}
        return int(station.call("StartTransaction", payload, message_id="1")["transactionId"])

    with house.connect(one) as first, house.connect(two) as second:
        numbers = [start(first, tags[0], ago(minutes=9)), start(second, tags[1], ago(minutes=9))]
        first.stop(numbers[0], meter_stop_wh=0, at=ago(minutes=8))
    with house.connect(one) as restarted:
        numbers.append(start(restarted, tags[2], ago(minutes=1)))
    assert len(set(numbers)) == 3


def test_wire_errors_that_answer_nothing_are_survived(house: House) -> None:
    with house.connect(house.station()) as station:
        station.boot()
        for frame in (
            '[4,"-1","GenericError","",{}]',
            '[4,"-1",null,null,null]',
            '[4,null,"InternalError","",{}]',
            '[3,"nobody-asked",{}]',
            '[4,"nobody-asked","",""]',
        ):
            station.send_raw(frame)
        assert "currentTime" in station.heartbeat()


def test_wire_nulls_where_none_belong(house: House) -> None:
    charge_point, tag = house.station(), house.driver().rfid_tags[0].tag_id
    with house.connect(charge_point) as station:
        station.send_raw('[2,"h1","Heartbeat",null]')
        assert "currentTime" in station.wait_result("h1")
        number = station.start(1, tag, meter_start_wh=0, reservationId=None)["transactionId"]
        reading = {"timestamp": stamp(), "sampledValue": [{"value": "100", "context": None, "unit": None}]}
        assert station.call("MeterValues", {"connectorId": 1, "transactionId": None, "meterValue": [reading]}) == {}
        stop = {"transactionId": number, "meterStop": 200, "timestamp": stamp(), "idTag": None, "reason": None}
        assert station.call("StopTransaction", stop) == {}
    assert house.charges(charge_point)[0].status is SessionStatus.FINISHED


def test_wire_a_status_where_none_belongs_and_misspelt_names(house: House) -> None:
    """Further fields in requests and answers harm nothing; what is not known is answered as the protocol wants."""
    charge_point, operator = house.station(), house.operator()
    with house.connect(charge_point) as station:
        station.boot(status="Accepted", firmwareVersoin="1.0")
        assert "currentTime" in station.call("Heartbeat", {"status": "Accepted", "uptime": 12})
        station.status(1, "Available", conectorId=1, status_="x")
        with pytest.raises(CallFailed) as failed:
            station.call("SendPriceToDisplay", {"text": "0.40"})
        assert failed.value.code in ("NotImplemented", "NotSupported")
        action = remote.reset(
            house.session, charge_point=charge_point, hard=False, reason="x", actor=operator, now=datetime.now(UTC)
        )
        house.session.commit()
        station.expect_call("Reset").answer(status="Accepted", currentTime=stamp(), extra={"a": None})

        def outcome() -> str:
            house.again().refresh(action)
            return action.status.value

        eventually(lambda: outcome() == "accepted", why="the answer was not taken")
