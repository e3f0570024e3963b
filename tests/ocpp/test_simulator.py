"""The simulated fleet against a small central system built on the `ocpp` package."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import ValidationError
from ocpp.exceptions import InternalError
from ocpp.messages import get_validator
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ocpp_ws.simulator import (
    MAKES,
    EvseSpec,
    Fleet,
    FleetConfig,
    Mishap,
    StationSpec,
    cli,
    demo_mishaps,
    physics,
    quirks,
    run_fleet,
)

TAGS = ("04A2B3C4D5E680", *(f"SIMTAG{n:04d}" for n in range(2, 17)))
NEVER_S = 1e9
SPOKEN = [key for key, make in MAKES.items() if make.version == "ocpp1.6"]
BREAKS_SCHEMA = {"brenta-strada", "lumo-post"}
"""Makes that send what the schema forbids: fields it does not know, null, numbers for text."""


@dataclass
class Seen:
    """One call a station made, as it came."""

    station: str
    connection: int
    action: str
    payload: Any
    at: datetime


@dataclass
class Central:
    """Accepts everybody and everything, and remembers it all."""

    seen: list[Seen] = field(default_factory=list)
    connected: dict[str, _Line] = field(default_factory=dict)
    closings: list[tuple[str, int | None]] = field(default_factory=list)
    invalid_tags: set[str] = field(default_factory=set)
    boot_answers: list[str] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)
    """Actions that get no answer."""
    failing_starts: int = 0
    """How many StartTransactions are answered by a CALLERROR."""
    url: str = ""
    transaction_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(101))
    connection_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        line = _Line(self, socket.request.path.rsplit("/", 1)[1], socket, next(self.connection_ids))
        self.connected[line.id] = line
        try:
            await line.start()
        except ConnectionClosed:
            self.closings.append((line.id, socket.close_code))
            if self.connected.get(line.id) is line:
                del self.connected[line.id]

    def of(self, action: str, station: str | None = None) -> list[Seen]:
        return [one for one in self.seen if one.action == action and station in (None, one.station)]

    async def order(self, station: str, payload: Any) -> Any:
        return await self.connected[station].call(payload, suppress=False)

    def statuses(self, station: str, connector_id: int) -> list[str]:
        found = self.of("StatusNotification", station)
        return [one.payload["status"] for one in found if one.payload["connectorId"] == connector_id]


class _Line(ChargePoint):  # type: ignore[misc]
    def __init__(self, central: Central, station: str, socket: ServerConnection, number: int) -> None:
        quiet = logging.getLogger("tests.central")
        quiet.setLevel(logging.CRITICAL)
        super().__init__(station, socket, response_timeout=5, logger=quiet)
        self.central, self.number = central, number

    async def route_message(self, raw_msg: str) -> None:
        frame = json.loads(raw_msg)
        if frame[0] == 2:
            self._note(frame[2], frame[3])
            if frame[2] in self.central.unanswered:
                return
            raw_msg = json.dumps([2, frame[1], frame[2], frame[3] or {}])
        else:
            self._note("(answer)", frame[2])
        await super().route_message(raw_msg)

    def _note(self, action: str, payload: Any) -> None:
        self.central.seen.append(Seen(self.id, self.number, action, payload, datetime.now(UTC)))

    @on("BootNotification", skip_schema_validation=True)
    def on_boot(self, **_: Any) -> Any:
        status = self.central.boot_answers.pop(0) if self.central.boot_answers else "Accepted"
        interval = 1 if status == "Accepted" else 0.1
        return call_result.BootNotification(current_time=_now(), interval=interval, status=status)

    @on("Heartbeat", skip_schema_validation=True)
    def on_heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=_now())

    @on("Authorize", skip_schema_validation=True)
    def on_authorize(self, id_tag: str) -> Any:
        return call_result.Authorize(id_tag_info=self._judge(id_tag))

    @on("StartTransaction", skip_schema_validation=True)
    def on_start(self, id_tag: str, **_: Any) -> Any:
        if self.central.failing_starts:
            self.central.failing_starts -= 1
            raise InternalError(description="the database is away")
        number = next(self.central.transaction_ids)
        return call_result.StartTransaction(transaction_id=number, id_tag_info=self._judge(id_tag))

    @on("StopTransaction", skip_schema_validation=True)
    def on_stop(self, **_: Any) -> Any:
        return call_result.StopTransaction()

    @on("MeterValues", skip_schema_validation=True)
    def on_meter(self, **_: Any) -> Any:
        return call_result.MeterValues()

    @on("StatusNotification", skip_schema_validation=True)
    def on_status(self, **_: Any) -> Any:
        return call_result.StatusNotification()

    @on("FirmwareStatusNotification", skip_schema_validation=True)
    def on_firmware(self, **_: Any) -> Any:
        return call_result.FirmwareStatusNotification()

    def _judge(self, id_tag: str) -> dict[str, str]:
        known = id_tag.upper() in TAGS and id_tag.upper() not in self.central.invalid_tags
        return {"status": "Accepted" if known else "Invalid"}


def _now() -> str:
    return datetime.now(UTC).isoformat()


@asynccontextmanager
async def central_system(central: Central | None = None, **options: Any) -> AsyncIterator[Central]:
    central = central or Central()
    options = {"compression": None, "subprotocols": ["ocpp1.6"], "close_timeout": 0.2, **options}
    async with serve(central.handle, "127.0.0.1", 0, **options) as server:
        central.url = _url(server)
        yield central


def _url(server: Server) -> str:
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"


@asynccontextmanager
async def fleet_at(
    central: Central, stations: Iterable[StationSpec], *, ends_within_s: float = 2.0, **options: Any
) -> AsyncIterator[Fleet]:
    """A running fleet, quick by default; on leaving, it has to end in time."""
    options = {
        "time_scale": 600.0,
        "meter_interval_s": 0.2,
        "unknown_card_share": 0.0,
        "reconnect_first_s": 0.1,
        "reconnect_most_s": 0.5,
        **options,
    }
    fleet = Fleet(FleetConfig(url=central.url, stations=list(stations), **options))
    stop_event = asyncio.Event()
    running = asyncio.create_task(fleet.run(stop_event))
    try:
        yield fleet
    finally:
        stop_event.set()
        before = time.monotonic()
        await running
        assert time.monotonic() - before < ends_within_s


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def no_station_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The fleet survives a mistake in the simulation of one station; a test must not."""
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def story(scenario: Callable[[], Awaitable[None]], *, timeout_s: float = 45.0) -> None:
    """Run a scenario to its end, or fail after a while."""

    async def bounded() -> None:
        await asyncio.wait_for(scenario(), timeout_s)

    asyncio.run(bounded())


def one_of(make: str, identifier: str = "A-1", **fields: Any) -> StationSpec:
    sold = MAKES[make]
    evses = [EvseSpec(n, sold.current, sold.max_power_w) for n in range(1, sold.evse_count + 1)]
    return StationSpec(identifier, make=make, **{"evses": evses, "id_tags": TAGS, **fields})


async def a_charge(central: Central, station: str, connector_id: int = 1) -> int:
    """Start a charge remotely; gives the transaction's number."""
    before = len(central.of("StartTransaction", station))
    answer = await central.order(station, call.RemoteStartTransaction(id_tag=TAGS[0], connector_id=connector_id))
    assert answer.status == "Accepted"
    await until(lambda: len(central.of("StartTransaction", station)) > before, "the remote start to start")
    await until(lambda: central.statuses(station, connector_id)[-1] == "Charging", "Charging")
    await until(lambda: central.of("MeterValues", station), "meter values")
    return int(central.of("MeterValues", station)[-1].payload["transactionId"])


def energies_wh(central: Central, station: str) -> dict[int, list[float]]:
    """Every register reading of a station in the order sent, in Wh, by connector."""
    found: dict[int, list[float]] = {}
    connector_of: dict[int, int] = {}
    starts = iter(range(101, 10_000))
    for one in central.seen:
        number = next(starts) if one.action == "StartTransaction" else None
        if one.station != station:
            continue
        if one.action == "StartTransaction":
            assert number is not None
            connector_of[number] = one.payload["connectorId"]
            found.setdefault(one.payload["connectorId"], []).append(one.payload["meterStart"])
        elif one.action == "MeterValues":
            found.setdefault(one.payload["connectorId"], []).extend(_registers(one.payload))
        elif one.action == "StopTransaction" and one.payload["transactionId"] in connector_of:
            found[connector_of[one.payload["transactionId"]]].append(one.payload["meterStop"])
    return found


def _registers(payload: Any) -> list[float]:
    return [
        float(value["value"]) * (1000 if value.get("unit") == "kWh" else 1)
        for meter_set in payload["meterValue"]
        for value in meter_set["sampledValue"]
        if value["measurand"] == "Energy.Active.Import.Register"
    ]


def test_every_make_boots_reports_charges_and_stops() -> None:
    stations = [one_of(make, f"M-{make}") for make in SPOKEN]

    async def scenario() -> None:
        async with (
            central_system() as central,
            fleet_at(central, stations, mean_gap_s=300.0, time_scale=2000.0) as fleet,
        ):
            await until(
                lambda: all(central.of("StopTransaction", spec.identifier) for spec in stations),
                "a finished charge at every station",
                25,
            )
            assert fleet.stats().connected == len(stations)
            assert fleet.stats().delivered_wh > 0
        for spec in stations:
            check_station(central, spec)

    story(scenario)


def check_station(central: Central, spec: StationSpec) -> None:
    make = MAKES[spec.make]
    name = spec.identifier
    boot = central.of("BootNotification", name)[0].payload
    assert (boot["chargePointVendor"], boot["chargePointModel"]) == (make.vendor, make.model)
    assert all(central.statuses(name, evse.network_id) for evse in spec.evse_specs)
    assert bool(central.statuses(name, 0)) is make.quirks.reports_connector_zero
    started, stopped = central.of("StartTransaction", name), central.of("StopTransaction", name)
    assert started[0].at <= stopped[0].at
    assert {one.payload["idTag"].upper() for one in started} <= set(TAGS)
    assert central.of("Authorize", name)
    if make.quirks.register_per_session:
        assert all(one.payload["meterStart"] == 0 for one in started)
    else:
        for registers in energies_wh(central, name).values():
            assert registers == sorted(registers)
            assert registers[0] > 100_000


def test_messages_are_valid_except_where_a_make_is_known_to_break_the_schema() -> None:
    stations = [one_of(make, make) for make in SPOKEN]
    broken: set[str] = set()

    async def scenario() -> None:
        async with (
            central_system() as central,
            fleet_at(central, stations, mean_gap_s=300.0, time_scale=2000.0),
        ):
            await until(
                lambda: all(central.of(action, make) for make in SPOKEN for action in ("MeterValues", "Heartbeat")),
                "meter values and heartbeats from every make",
            )
        for one in central.seen:
            if one.action == "(answer)":
                continue
            try:
                get_validator(2, one.action, "1.6").validate(one.payload)
            except ValidationError:
                broken.add(one.station)

    story(scenario)
    assert broken == BREAKS_SCHEMA


def test_an_unknown_card_is_refused_and_charges_nothing() -> None:
    async def scenario() -> None:
        async with central_system() as central:
            async with fleet_at(central, [one_of("oriel-duo")], mean_gap_s=60.0, unknown_card_share=1.0) as fleet:
                await until(lambda: len(central.of("Authorize")) >= 3, "some unknown cards")
                assert fleet.stats().charging == 0
            assert not central.of("StartTransaction")
            assert not {one.payload["idTag"] for one in central.of("Authorize")} & set(TAGS)
            assert {"Preparing", "Available"} >= set(central.statuses("A-1", 1))

    story(scenario)


def test_a_tag_refused_at_the_start_ends_the_charge() -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: "A-1" in central.connected and central.statuses("A-1", 2), "the boot")
            central.invalid_tags.add(TAGS[0])
            await central.order("A-1", call.RemoteStartTransaction(id_tag=TAGS[0], connector_id=1))
            await until(lambda: central.of("StopTransaction"), "the stop")
            assert central.of("StopTransaction")[0].payload["reason"] == "DeAuthorized"

    story(scenario)


def test_remote_start_and_stop() -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            number = await a_charge(central, "A-1")
            start = central.of("StartTransaction")[0].payload
            assert (start["idTag"], start["connectorId"]) == (TAGS[0], 1)
            assert "Preparing" in central.statuses("A-1", 1)
            for refused in (
                call.RemoteStartTransaction(id_tag=TAGS[1], connector_id=1),
                call.RemoteStartTransaction(id_tag=TAGS[1], connector_id=9),
                call.RemoteStopTransaction(transaction_id=number + 1),
            ):
                assert (await central.order("A-1", refused)).status == "Rejected"
            answer = await central.order("A-1", call.RemoteStopTransaction(transaction_id=number))
            assert answer.status == "Accepted"
            await until(lambda: central.of("StopTransaction"), "the stop")
            stop = central.of("StopTransaction")[0].payload
            assert (stop["transactionId"], stop["reason"]) == (number, "Remote")
            assert stop["transactionData"][0]["sampledValue"][0]["context"] == "Transaction.End"
            await until(lambda: central.statuses("A-1", 1)[-2:] == ["Finishing", "Available"], "the free plug")

    story(scenario)


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_a_reset_disconnects_boots_again_and_loses_no_charge(kind: str) -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            number = await a_charge(central, "A-1")
            assert (await central.order("A-1", call.Reset(type=kind))).status == "Accepted"
            await until(lambda: len(central.of("BootNotification")) == 2, "the second boot")
            await until(lambda: central.of("StopTransaction"), "the stop")
            stop, boot = central.of("StopTransaction")[0], central.of("BootNotification")[1]
            assert (stop.payload["transactionId"], stop.payload["reason"]) == (number, f"{kind}Reset")
            assert (stop.connection < boot.connection) is (kind == "Soft")
            assert datetime.fromisoformat(stop.payload["timestamp"]) <= boot.at
            assert central.closings[0] == ("A-1", 1001 if kind == "Soft" else 1006)

    story(scenario)


def test_availability_waits_for_the_charge_to_end() -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            number = await a_charge(central, "A-1")
            off = call.ChangeAvailability(connector_id=0, type="Inoperative")
            assert (await central.order("A-1", off)).status == "Scheduled"
            await until(lambda: central.statuses("A-1", 2)[-1] == "Unavailable", "the free EVSE to go off")
            assert central.statuses("A-1", 1)[-1] == "Charging"
            await central.order("A-1", call.RemoteStopTransaction(transaction_id=number))
            await until(lambda: central.statuses("A-1", 1)[-1] == "Unavailable", "the other to follow")
            start = call.RemoteStartTransaction(id_tag=TAGS[0], connector_id=1)
            assert (await central.order("A-1", start)).status == "Rejected"
            back = call.ChangeAvailability(connector_id=0, type="Operative")
            assert (await central.order("A-1", back)).status == "Accepted"
            await until(lambda: central.statuses("A-1", 1)[-1] in ("Available", "Finishing"), "service again")
            assert central.statuses("A-1", 0)[-2:] == ["Unavailable", "Available"]
            unknown = call.ChangeAvailability(connector_id=7, type="Operative")
            assert (await central.order("A-1", unknown)).status == "Rejected"

    story(scenario)


def test_unlocking_ends_the_charge_and_a_fixed_cable_has_no_lock() -> None:
    async def scenario() -> None:
        stations = [one_of("oriel-duo"), one_of("kestrel-hpc", "DC-1")]
        async with central_system() as central, fleet_at(central, stations, mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2) and central.statuses("DC-1", 2), "the boots")
            await a_charge(central, "A-1")
            assert (await central.order("A-1", call.UnlockConnector(connector_id=1))).status == "Unlocked"
            await until(lambda: central.of("StopTransaction"), "the stop")
            assert central.of("StopTransaction")[0].payload["reason"] == "UnlockCommand"
            for station, connector_id in (("A-1", 5), ("DC-1", 1)):
                answer = await central.order(station, call.UnlockConnector(connector_id=connector_id))
                assert answer.status == "NotSupported"

    story(scenario)


def test_a_make_that_stops_the_charge_before_it_answers_an_unlock() -> None:
    async def scenario() -> None:
        async with (
            central_system() as central,
            fleet_at(central, [one_of("brenta-strada", "B-1")], mean_gap_s=NEVER_S),
        ):
            await until(lambda: len(central.statuses("B-1", 2)) >= 2, "the boot")
            await a_charge(central, "B-1")
            before = len(central.seen)
            unlocked = await central.order("B-1", call.UnlockConnector(connector_id=1))
            assert unlocked.status == "Unlocked"
            actions = [one.action for one in central.seen[before:]]
            assert actions.index("StopTransaction") < actions.index("(answer)")

    story(scenario)


def test_triggered_messages_come_after_the_answer() -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            for message, connector_id in (
                ("BootNotification", None),
                ("StatusNotification", 2),
                ("MeterValues", 1),
                ("FirmwareStatusNotification", None),
            ):
                before = len(central.seen)
                answer = await central.order(
                    "A-1", call.TriggerMessage(requested_message=message, connector_id=connector_id)
                )
                assert answer.status == "Accepted"
                await until(
                    lambda since=before, kind=message: kind in [one.action for one in central.seen[since:]],
                    message,
                )
                assert [one.action for one in central.seen[before:]][:2] == ["(answer)", message]
            assert "transactionId" not in central.of("MeterValues")[0].payload
            absent = call.TriggerMessage(requested_message="StatusNotification", connector_id=4)
            assert (await central.order("A-1", absent)).status == "NotImplemented"

    story(scenario)


def test_configuration_is_read_changed_and_obeyed() -> None:
    async def scenario() -> None:
        stations = [one_of("oriel-duo"), one_of("tessin-wall", "T-1")]
        async with central_system() as central, fleet_at(central, stations, mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2) and central.statuses("T-1", 1), "the boots")
            changes = {
                ("HeartbeatInterval", "3600"): "Accepted",
                ("MeterValueSampleInterval", "1"): "Accepted",
                ("MeterValueSampleInterval", "soon"): "Rejected",
                ("NumberOfConnectors", "9"): "Rejected",
                ("WebSocketPingInterval", "30"): "RebootRequired",
                ("Nonsense", "1"): "NotSupported",
            }
            for (key, value), outcome in changes.items():
                answer = await central.order("A-1", call.ChangeConfiguration(key=key, value=value))
                assert (key, answer.status) == (key, outcome)
            wanted = ["NumberOfConnectors", "MeterValueSampleInterval", "AuthorizationKey", "Nonsense"]
            answer = await central.order("A-1", call.GetConfiguration(key=wanted))
            values = {row["key"]: (row["value"], row["readonly"]) for row in answer.configuration_key}
            assert values == {"NumberOfConnectors": ("2", True), "MeterValueSampleInterval": ("1", False)}
            assert answer.unknown_key == ["AuthorizationKey", "Nonsense"]
            everything = (await central.order("T-1", call.GetConfiguration())).configuration_key
            assert "MeterValuesSampleInterval" in {row["key"] for row in everything}
            beats = len(central.of("Heartbeat", "A-1"))
            await asyncio.sleep(1.3)
            assert len(central.of("Heartbeat", "A-1")) == beats

    story(scenario)


def test_a_new_password_is_used_from_the_next_connection_on() -> None:
    passwords: list[str | None] = []

    def doorkeeper(_: ServerConnection, request: Any) -> None:
        passwords.append(request.headers.get("Authorization"))

    async def scenario() -> None:
        stations = [one_of("oriel-duo"), one_of("norrland-dc", "N-1")]
        async with (
            central_system(process_request=doorkeeper) as central,
            fleet_at(central, stations, mean_gap_s=NEVER_S),
        ):
            for station, connectors in (("A-1", 2), ("N-1", 1)):
                await until(lambda who=station, n=connectors: central.statuses(who, n), "the boot")
                change = call.ChangeConfiguration(key="AuthorizationKey", value="7365637265742D31")
                assert (await central.order(station, change)).status == "Accepted"
                await central.order(station, call.Reset(type="Hard"))
            await until(lambda: len(passwords) == 4, "the new connections")
            assert passwords[:2] == [None, None]
            # One make takes the key literally, the other as the bytes it stands for.
            assert sorted(one for one in passwords if one) == sorted(
                "Basic " + base64.b64encode(pair).decode() for pair in (b"A-1:7365637265742D31", b"N-1:secret-1")
            )

    story(scenario)


def test_a_transaction_message_the_server_fails_on_is_tried_again() -> None:
    async def scenario() -> None:
        central = Central(failing_starts=2)
        async with central_system(central), fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            at_once = call.ChangeConfiguration(key="TransactionMessageRetryInterval", value="0")
            assert (await central.order("A-1", at_once)).status == "Accepted"
            await a_charge(central, "A-1")
            starts = [one.payload for one in central.of("StartTransaction")]
            assert len(starts) == 3
            assert starts[0] == starts[1] == starts[2]

    story(scenario)


def test_data_transfer_and_clear_cache() -> None:
    async def scenario() -> None:
        async with central_system() as central, fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            foreign = call.DataTransfer(vendor_id="Somebody")
            assert (await central.order("A-1", foreign)).status == "UnknownVendorId"
            own = call.DataTransfer(vendor_id="Oriel Power", message_id="Ping")
            assert (await central.order("A-1", own)).data == "Pong"
            assert (await central.order("A-1", call.ClearCache())).status == "Accepted"

    story(scenario)


def test_a_fault_is_reported_and_ends_the_charge() -> None:
    async def scenario() -> None:
        fault = Mishap("A-1", "fault", starts_after_s=900, lasts_s=300)
        async with (
            central_system() as central,
            fleet_at(central, [one_of("oriel-duo")], mean_gap_s=NEVER_S, mishaps=[fault]) as fleet,
        ):
            await until(lambda: central.statuses("A-1", 2), "the boot")
            await a_charge(central, "A-1")
            await until(lambda: "Faulted" in central.statuses("A-1", 1), "the fault")
            await until(lambda: central.of("StopTransaction"), "the stop")
            reports = [one.payload for one in central.of("StatusNotification")]
            report = next(one for one in reports if one["status"] == "Faulted")
            assert (report["errorCode"], report["vendorErrorCode"]) == ("GroundFailure", "RCD-6mA")
            assert fleet.stats().charging == 0
            await until(lambda: central.statuses("A-1", 1)[-1] == "Available", "the repair")

    story(scenario)


def test_a_station_that_dropped_off_replays_what_happened_meanwhile() -> None:
    """Offline it starts and stops charges with a card it knows, and sends them later with their own times."""

    async def scenario() -> None:
        async with central_system() as central:
            async with fleet_at(
                central, [one_of("oriel-duo", id_tags=TAGS[:2])], mean_gap_s=60.0, time_scale=3000.0
            ) as fleet:
                known = fleet.stations["A-1"].known_tags
                await until(lambda: len(known) == 2, "both cards to be known")
                fleet.stations["A-1"].drop_off(2.5)
                away_from = datetime.now(UTC)
                await until(lambda: len(central.of("BootNotification")) == 2, "its return")
                back_at = central.of("BootNotification")[1].at
                assert (back_at - away_from).total_seconds() > 2.0
                await until(lambda: any(one.at > back_at for one in central.of("StartTransaction")), "the replay")
                await asyncio.sleep(0.5)
            assert ("A-1", 1006) in central.closings
            replayed = [
                one
                for one in central.of("StartTransaction")
                if away_from < datetime.fromisoformat(one.payload["timestamp"]) < back_at < one.at
            ]
            assert replayed
            for registers in energies_wh(central, "A-1").values():
                assert registers == sorted(registers)
            numbers = {one.payload["transactionId"] for one in central.of("StopTransaction")}
            assert 0 not in numbers and -1 not in numbers

    story(scenario)


def test_a_question_that_the_connection_did_not_survive_is_given_up_at_once() -> None:
    async def scenario() -> None:
        central = Central(unanswered={"Authorize"})
        async with (
            central_system(central),
            fleet_at(central, [one_of("tessin-wall", "T-1")], mean_gap_s=60.0) as fleet,
        ):
            await until(lambda: central.of("Authorize"), "a card")
            central.unanswered.clear()
            fleet.stations["T-1"].drop_off(0.1)
            await until(lambda: central.of("StartTransaction"), "the next visitor", 8)

    story(scenario)


def test_some_makes_come_back_without_booting_again() -> None:
    async def scenario() -> None:
        stations = [one_of("hartwell-home", "H-1"), one_of("oriel-duo")]
        async with central_system() as central, fleet_at(central, stations, mean_gap_s=NEVER_S) as fleet:
            await until(lambda: fleet.stats().connected == 2, "the boots")
            for station in fleet.stations.values():
                station.drop_off(0.2)
            await until(lambda: len(central.closings) == 2, "the absence")
            await until(lambda: fleet.stats().connected == 2, "the return")
            await until(lambda: len(central.statuses("H-1", 1)) == 2, "its status after the return")
            assert len(central.of("BootNotification", "H-1")) == 1
            assert len(central.of("BootNotification", "A-1")) == 2

    story(scenario)


def test_a_make_with_a_stand_in_number_sends_it_for_an_offline_charge() -> None:
    async def scenario() -> None:
        async with (
            central_system() as central,
            fleet_at(central, [one_of("tessin-wall", "T-1")], mean_gap_s=60.0, time_scale=3000.0) as fleet,
        ):
            station = fleet.stations["T-1"]
            await until(lambda: station.is_online, "the boot")
            station.known_tags.update(TAGS)
            station.drop_off(2.0)
            await until(
                lambda: any(one.payload["transactionId"] == -1 for one in central.of("StopTransaction")),
                "a stop with the stand-in",
            )

    story(scenario)


def test_the_demonstration_has_one_fault_and_one_absence() -> None:
    stations = [one_of("oriel-duo", f"A-{n}") for n in range(4)]
    assert {(one.identifier, one.kind) for one in demo_mishaps(stations)} == {
        ("A-1", "fault"),
        ("A-3", "drop_off"),
    }
    assert demo_mishaps(stations[:1]) == ()


def test_a_refused_handshake_is_survived_and_said_in_words() -> None:
    open_the_door = asyncio.Event()

    def doorkeeper(connection: ServerConnection, _: Any) -> Any:
        if open_the_door.is_set():
            return None
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")

    async def scenario() -> None:
        async with (
            central_system(process_request=doorkeeper) as central,
            fleet_at(central, [one_of("oriel-duo"), one_of("lumo-post", "L-1")], mean_gap_s=NEVER_S) as fleet,
        ):
            await until(lambda: fleet.stats().attempts >= 6, "several attempts")
            assert fleet.stats().ever_connected == 0
            assert fleet.stats().last_failure == "the server refused with HTTP 401 (wrong password?)"
            open_the_door.set()
            await until(lambda: fleet.stats().connected == 2, "the connections")
            assert fleet.stats().last_failure == ""

    story(scenario)


def test_a_station_signs_on_with_its_password_and_waits_to_be_accepted() -> None:
    passwords: list[str | None] = []

    def doorkeeper(_: ServerConnection, request: Any) -> None:
        passwords.append(request.headers.get("Authorization"))

    async def scenario() -> None:
        central = Central(boot_answers=["Pending", "Rejected"])
        spec = one_of("oriel-duo", password="s3cret")
        async with central_system(central, process_request=doorkeeper), fleet_at(central, [spec]) as fleet:
            await until(lambda: fleet.stats().connected == 1, "the acceptance")
            actions = [one.action for one in central.seen]
            assert actions[:3] == ["BootNotification"] * 3
            assert passwords == ["Basic QS0xOnMzY3JldA=="]

    story(scenario)


def test_a_server_without_the_subprotocol_is_no_server() -> None:
    async def scenario() -> None:
        async with (
            central_system(subprotocols=None) as central,
            fleet_at(central, [one_of("oriel-duo")]) as fleet,
        ):
            await until(lambda: fleet.stats().attempts >= 2, "a second attempt")
            assert fleet.stats().last_failure == "the server did not agree to OCPP 1.6"
            assert not central.seen

    story(scenario)


def test_the_end_comes_within_two_seconds_and_stops_what_charges() -> None:
    async def scenario() -> None:
        stations = [one_of("oriel-duo", f"A-{n}", id_tags=TAGS) for n in range(20)]
        async with central_system() as central:
            config = FleetConfig(
                url=central.url, stations=stations, time_scale=60.0, mean_gap_s=120.0, unknown_card_share=0.0
            )
            stop_event = asyncio.Event()
            running = asyncio.create_task(run_fleet(config, stop_event))
            await until(lambda: len(central.of("StartTransaction")) >= 4, "some charges")
            before = time.monotonic()
            stop_event.set()
            await running
            assert time.monotonic() - before < 2.0
            reasons = [one.payload.get("reason") for one in central.of("StopTransaction")]
            assert len(reasons) == len(central.of("StartTransaction"))
            assert "PowerLoss" in reasons
            await until(lambda: not central.connected, "the sockets to be closed", 2)

    story(scenario)


@pytest.mark.slow
def test_a_thousand_stations_run_in_one_process() -> None:
    async def scenario() -> None:
        stations = [one_of("oriel-duo", f"A-{n:04d}") for n in range(1000)]
        async with (
            central_system(ping_interval=None) as central,
            # The server shares this event loop with the fleet, so closing takes both their times.
            fleet_at(central, stations, time_scale=1.0, meter_interval_s=60.0, ends_within_s=10.0) as fleet,
        ):
            await until(lambda: fleet.stats().connected == 1000, "all to be connected", 60)
            await until(lambda: len(central.of("StatusNotification")) >= 3000, "all statuses", 60)

    story(scenario, timeout_s=150)


def test_the_same_seed_makes_the_same_street() -> None:
    def street(seed: int) -> list[tuple[float, float]]:
        config = FleetConfig(url="ws://127.0.0.1:1/ocpp", stations=[one_of("oriel-duo")], seed=seed)
        station = Fleet(config).stations["A-1"]
        cars = [physics.draw_car(evse.rng, evse.kind) for evse in station.evses.values()]
        return [(car.battery_wh, car.soc) for car in cars]

    assert street(7) == street(7)
    assert street(7) != street(8)


def test_alternating_current_is_steady_after_its_ramp_and_direct_current_tapers() -> None:
    car = physics.Car(60_000, 0.3, 1.0, 11_000, 3, 150_000, 3600)
    assert physics.power_w(car, "AC", 22_000, 0.0) == 0.0
    assert physics.power_w(car, "AC", 22_000, 60.0) == physics.power_w(car, "AC", 22_000, 600.0) == 11_000
    assert physics.power_w(car, "AC", 7_400, 60.0) == 7_400
    powers = []
    for soc in (0.3, 0.6, 0.8, 0.9, 0.99):
        car.soc = soc
        powers.append(physics.power_w(car, "DC", 300_000, 600.0))
    assert powers == sorted(powers, reverse=True)
    assert powers[0] == 150_000 and powers[-1] < 12_000


@pytest.mark.parametrize("time_scale", [1.0, 60.0])
@pytest.mark.parametrize("kind", ["AC", "DC"])
def test_energy_never_exceeds_what_the_evse_can_deliver(kind: Any, time_scale: float) -> None:
    rng = Random(3)
    for _ in range(50):
        car = physics.draw_car(rng, kind)
        soc_before = car.soc
        total_wh, at_s = 0.0, 0.0
        while at_s < car.stay_s / time_scale:
            step_s = rng.uniform(1, 300) / time_scale
            energy_wh = physics.charge_car(car, kind, 50_000, at_s, at_s + step_s, time_scale)
            assert 0.0 <= energy_wh <= 50_000 * step_s / 3600 + 1e-9
            total_wh += energy_wh
            at_s += step_s
        assert soc_before <= car.soc <= 1.0
        assert total_wh <= car.battery_wh / time_scale / 0.9


def test_a_simulator_started_again_goes_on_above_its_old_registers() -> None:
    spec = EvseSpec(1, "AC", 22_000)
    yesterday, today = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    before = physics.first_register_wh(Random("x"), spec.max_power_w, yesterday)
    assert physics.first_register_wh(Random("x"), spec.max_power_w, today) > before


def test_timestamps_are_written_as_the_make_does_it() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
    assert [quirks.stamp(moment, style) for style in ("millis", "seconds", "naive", "micros_offset")] == [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.678900+00:00",
    ]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"url": "http://127.0.0.1"}, "must look like ws://"),
        ({"time_scale": 0.0}, "above 0"),
        ({"stations": [StationSpec("A"), StationSpec("A")]}, "same identifier"),
        ({"mishaps": [Mishap("B", "fault", 1, 1)]}, "not there"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FleetConfig(**{"url": "ws://127.0.0.1:1/ocpp", "stations": [StationSpec("A")], **fields})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"make": "no-such"}, "unknown make"),
        ({"evses": []}, "distinct numbers"),
        ({"evses": [(1, "AC", 1), (1, "AC", 1)]}, "distinct numbers"),
        ({"id_tags": ["x" * 21]}, "1 to 20 characters"),
    ],
)
def test_a_station_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        StationSpec("A", **fields)


def test_the_command_says_plainly_that_nothing_could_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_GIVE_UP_AFTER_S", 0.6)
    result = CliRunner().invoke(cli.simulate, ["--stations", "3", "--url", "ws://127.0.0.1:1/ocpp"])
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: none of 3 stations could connect to ws://127.0.0.1:1/ocpp: "
        "connection refused (is the server running?)\n"
    )


def test_the_command_refuses_a_url_that_is_none() -> None:
    result = CliRunner().invoke(cli.simulate, ["--url", "127.0.0.1:8000"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the URL must look like ws://HOST:PORT/ocpp")


def test_the_command_prints_a_provisioning_file(tmp_path: Any) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("# two of ours\nHALL-1, pass,word\nHALL-2\n")
    result = CliRunner().invoke(cli.simulate, ["--ids", str(ids), "--tag", "04AA", "--print-provisioning"])
    assert result.exit_code == 0
    printed = yaml.safe_load(result.stdout)
    points = printed["locations"][0]["zones"][0]["charge_points"]
    assert [(point["id"], point["password"]) for point in points] == [("HALL-1", "pass,word"), ("HALL-2", None)]
    assert [user["rfid_tags"][0]["tag_id"] for user in printed["users"]] == ["04AA"]
