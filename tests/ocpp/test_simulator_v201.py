"""The simulated fleet in OCPP 2.0.1, against a small central system that refuses what the schemas refuse."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from ocpp.exceptions import NotImplementedError as NotImplementedByStation
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ocpp_ws.simulator import MAKES, EvseSpec, Fleet, FleetConfig, Mishap, StationSpec, cli
from ocpp_ws.simulator.makes import make_speaking

TAGS = ("04A2B3C4D5E680", *(f"SIMTAG{n:04d}" for n in range(2, 9)))
NEVER_S = 1e9
SPOKEN = [key for key, make in MAKES.items() if make.version == "ocpp2.0.1"]
Payload = dict[str, Any]


@dataclass
class Central:
    """Accepts every known card, and remembers what stations say."""

    seen: list[tuple[str, str, Payload]] = field(default_factory=list)
    """Station, action, payload."""
    lines: dict[str, _Line] = field(default_factory=dict)
    invalid_tags: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    """What the schema forbade, or nobody here understands."""
    url: str = ""

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.subprotocol == "ocpp2.0.1"
        line = _Line(self, socket.request.path.rsplit("/", 1)[1], socket)
        self.lines[line.id] = line
        try:
            await line.start()
        except ConnectionClosed:
            return

    def of(self, action: str, station: str = "A-1") -> list[Payload]:
        return [payload for name, said, payload in self.seen if (name, said) == (station, action)]

    def events(self, kind: str | None = None, station: str = "A-1") -> list[Payload]:
        return [each for each in self.of("TransactionEvent", station) if kind in (None, each["eventType"])]

    def statuses(self, evse_id: int, station: str = "A-1") -> list[str]:
        return [each["connectorStatus"] for each in self.of("StatusNotification", station) if each["evseId"] == evse_id]

    async def order(self, payload: Any, station: str = "A-1") -> Any:
        return await self.lines[station].call(payload, suppress=False)


class _Line(ChargePoint):  # type: ignore[misc]
    def __init__(self, central: Central, station: str, socket: ServerConnection) -> None:
        quiet = logging.getLogger("tests.central")
        quiet.setLevel(logging.CRITICAL)
        super().__init__(station, socket, response_timeout=5, logger=quiet)
        self.central = central

    async def route_message(self, raw_msg: str) -> None:
        frame = json.loads(raw_msg)
        self.central.seen.append(
            (self.id, frame[2] if frame[0] == 2 else "(answer)", frame[3] if frame[0] == 2 else frame[2])
        )
        await super().route_message(raw_msg)

    async def _send(self, message: str) -> None:
        if json.loads(message)[0] == 4:
            self.central.refused.append(f"{message} for {self.central.seen[-1]}")
        await super()._send(message)

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        return call_result.BootNotification(current_time=_now(), interval=1, status="Accepted")

    @on("Heartbeat")
    def on_heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=_now())

    @on("Authorize")
    def on_authorize(self, id_token: Payload, **_: Any) -> Any:
        return call_result.Authorize(id_token_info=self._judge(id_token))

    @on("TransactionEvent")
    def on_event(self, event_type: str, id_token: Payload | None = None, **_: Any) -> Any:
        return call_result.TransactionEvent(
            total_cost=4.25 if event_type == "Ended" else None,
            id_token_info=self._judge(id_token) if id_token else None,
        )

    @on("MeterValues")
    def on_meter(self, **_: Any) -> Any:
        return call_result.MeterValues()

    @on("StatusNotification")
    def on_status(self, **_: Any) -> Any:
        return call_result.StatusNotification()

    @on("NotifyReport")
    def on_report(self, **_: Any) -> Any:
        return call_result.NotifyReport()

    @on("NotifyEvent")
    def on_notify_event(self, **_: Any) -> Any:
        return call_result.NotifyEvent()

    @on("ReportChargingProfiles")
    def on_profiles(self, **_: Any) -> Any:
        return call_result.ReportChargingProfiles()

    @on("ReservationStatusUpdate")
    def on_reservation(self, **_: Any) -> Any:
        return call_result.ReservationStatusUpdate()

    @on("LogStatusNotification")
    def on_log(self, **_: Any) -> Any:
        return call_result.LogStatusNotification()

    def _judge(self, token: Payload) -> dict[str, str]:
        known = token["id_token"] in TAGS and token["id_token"] not in self.central.invalid_tags
        return {"status": "Accepted" if known else "Unknown"}


def _now() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(autouse=True)
def no_station_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
        await asyncio.sleep(0.02)


def one_of(make: str, identifier: str = "A-1", **fields: Any) -> StationSpec:
    sold = MAKES[make]
    evses = [EvseSpec(n, sold.current, sold.max_power_w) for n in range(1, sold.evse_count + 1)]
    return StationSpec(identifier, make=make, **{"evses": evses, "id_tags": TAGS, **fields})


@asynccontextmanager
async def street(*stations: StationSpec, **options: Any) -> AsyncIterator[tuple[Central, Fleet]]:
    """A central system and a fleet that has booted; nothing either says may be refused."""
    central = Central()
    options = {
        "time_scale": 600.0,
        "meter_interval_s": 0.2,
        "mean_gap_s": NEVER_S,
        "unknown_card_share": 0.0,
        "reconnect_first_s": 0.1,
        "reconnect_most_s": 0.5,
        **options,
    }
    async with serve(central.handle, "127.0.0.1", 0, compression=None, subprotocols=["ocpp2.0.1"]) as server:  # type: ignore[list-item]
        central.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"
        fleet = Fleet(FleetConfig(url=central.url, stations=list(stations), **options))
        stop_event = asyncio.Event()
        running = asyncio.create_task(fleet.run(stop_event))
        try:
            await until(
                lambda: all(central.statuses(len(spec.evse_specs), spec.identifier) for spec in stations), "the boots"
            )
            yield central, fleet
        finally:
            stop_event.set()
            await running
    assert central.refused == []


def story(scenario: Callable[[], Awaitable[None]], *, timeout_s: float = 45.0) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), timeout_s)

    asyncio.run(bounded())


async def a_charge(central: Central, evse_id: int = 1, number: int = 77) -> str:
    """Start a charge remotely; gives the station's name of it, once it has been measured."""
    token = {"id_token": TAGS[0], "type": "Central"}
    answer = await central.order(call.RequestStartTransaction(id_token=token, remote_start_id=number, evse_id=evse_id))
    assert answer.status == "Accepted"

    def measured() -> bool:
        return any(each["triggerReason"] == "MeterValuePeriodic" for each in central.events())

    await until(measured, "a reading of the charge")
    return str(central.events("Started")[-1]["transactionInfo"]["transactionId"])


def energy_wh(event: Payload) -> float:
    """The register of an event's reading."""
    register = next(
        value
        for value in event["meterValue"][0]["sampledValue"]
        if value["measurand"] == "Energy.Active.Import.Register"
    )
    return float(register["value"]) * (1000 if register["unitOfMeasure"]["unit"] == "kWh" else 1)


def test_every_make_boots_charges_and_stops_in_numbered_events() -> None:
    stations = [one_of(make, make) for make in SPOKEN]

    async def scenario() -> None:
        async with street(*stations, mean_gap_s=300.0, time_scale=2000.0) as (central, fleet):
            await until(
                lambda: all(central.events("Ended", make) and central.of("Heartbeat", make) for make in SPOKEN),
                "a finished charge and a heartbeat of every make",
                25,
            )
            assert fleet.stats().delivered_wh > 0
        for make in SPOKEN:
            boot = central.of("BootNotification", make)[0]
            assert boot["reason"] == "PowerUp"
            assert boot["chargingStation"]["vendorName"] == MAKES[make].vendor
            assert {"Available", "Occupied"} <= set(central.statuses(1, make))
            check_transactions(central.events(station=make))

    story(scenario)


def check_transactions(events: list[Payload]) -> None:
    by_transaction: dict[str, list[Payload]] = {}
    for event in events:
        told = by_transaction.setdefault(event["transactionInfo"]["transactionId"], [])
        if told[-1:] != [event]:  # what was not answered before the connection went is sent again
            told.append(event)
    for told in by_transaction.values():
        assert [each["seqNo"] for each in told] == list(range(len(told)))
        assert told[0]["eventType"] == "Started"
        assert [each["eventType"] for each in told[1:]].count("Ended") == (told[-1]["eventType"] == "Ended")
        registers = [energy_wh(each) for each in told if "meterValue" in each]
        assert registers == sorted(registers)
        assert registers[0] > 100_000
        assert any("idToken" in each for each in told[:2])


def test_a_remote_start_and_stop_name_the_transaction_as_the_station_does() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, fleet):
            name = await a_charge(central)
            started = central.events("Started")[0]
            assert started["triggerReason"] == "RemoteStart"
            assert started["transactionInfo"]["remoteStartId"] == 77
            assert (started["idToken"]["idToken"], started["evse"]["id"]) == (TAGS[0], 1)
            states = [each["transactionInfo"]["chargingState"] for each in central.events()]
            assert states[:2] == ["EVConnected", "Charging"]
            busy = call.RequestStartTransaction(
                id_token={"id_token": TAGS[1], "type": "Central"}, remote_start_id=78, evse_id=1
            )
            assert (await central.order(busy)).status == "Rejected"
            foreign = call.RequestStopTransaction(transaction_id="somebody-elses")
            assert (await central.order(foreign)).status == "Rejected"
            assert (await central.order(call.RequestStopTransaction(transaction_id=name))).status == "Accepted"
            await until(lambda: central.events("Ended"), "the end")
            ended = central.events("Ended")[0]
            assert ended["transactionInfo"]["stoppedReason"] == "Remote"
            assert ended["triggerReason"] == "RemoteStop"
            assert ended["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.End"
            assert not any("offline" in each for each in central.events())
            evse = fleet.stations["A-1"].evses[1]
            await until(lambda: evse.shown_cost == 4.25, "the cost on the display")
            await until(lambda: central.statuses(1)[-1] == "Available", "the free plug")

    story(scenario)


def test_a_make_that_tells_the_driver_late() -> None:
    async def scenario() -> None:
        async with street(one_of("hartwell-street")) as (central, _):
            await a_charge(central)
            started, told = central.events()[:2]
            assert started["triggerReason"] == "CablePluggedIn"
            assert "idToken" not in started
            assert (told["eventType"], told["idToken"]["idToken"]) == ("Updated", TAGS[0])
            assert started["meterValue"][0]["sampledValue"][0]["unitOfMeasure"] == {"unit": "kWh"}
            assert len(started["timestamp"]) == len("2026-11-23T01:02:03Z")

    story(scenario)


def test_a_token_refused_late_ends_the_charge() -> None:
    async def scenario() -> None:
        async with street(one_of("hartwell-street")) as (central, _):
            central.invalid_tags.add(TAGS[0])
            token = {"id_token": TAGS[0], "type": "Central"}
            await central.order(call.RequestStartTransaction(id_token=token, remote_start_id=5, evse_id=1))
            await until(lambda: central.events("Ended"), "the end")
            ended = central.events("Ended")[0]
            assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
            assert ended["triggerReason"] == "Deauthorized"

    story(scenario)


def test_what_happens_offline_is_told_later_and_marked() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, fleet):
            await a_charge(central)
            station = fleet.stations["A-1"]
            station.drop_off(0.6)
            await until(lambda: not station.is_online, "the absence")
            await asyncio.sleep(0.3)
            assert station.evses[1].order_stop("Local")
            await until(lambda: central.events("Ended"), "the end to be told")
            late = [each for each in central.events() if each.get("offline")]
            assert late and late[-1]["eventType"] == "Ended"
            assert len(central.of("BootNotification")) == 1, "an outage is no boot"
            check_transactions(central.events())

    story(scenario)


@pytest.mark.parametrize(("kind", "answer"), [("Immediate", "Accepted"), ("OnIdle", "Scheduled")])
def test_a_reset_while_charging(kind: str, answer: str) -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, _):
            name = await a_charge(central)
            assert (await central.order(call.Reset(type=kind))).status == answer
            if kind == "OnIdle":
                await asyncio.sleep(0.3)
                assert len(central.of("BootNotification")) == 1
                await central.order(call.RequestStopTransaction(transaction_id=name))
            await until(lambda: len(central.of("BootNotification")) == 2, "the second boot")
            assert central.of("BootNotification")[1]["reason"] == "RemoteReset"
            reason = central.events("Ended")[0]["transactionInfo"]["stoppedReason"]
            assert reason == ("ImmediateReset" if kind == "Immediate" else "Remote")

    story(scenario)


def test_availability_waits_for_the_charge_and_a_charge_is_not_unlocked() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, _):
            name = await a_charge(central)
            locked = await central.order(call.UnlockConnector(evse_id=1, connector_id=1))
            assert locked.status == "OngoingAuthorizedTransaction"
            assert (await central.order(call.UnlockConnector(evse_id=2, connector_id=1))).status == "Unlocked"
            assert (await central.order(call.UnlockConnector(evse_id=9, connector_id=1))).status == "UnknownConnector"
            off = await central.order(call.ChangeAvailability(operational_status="Inoperative"))
            assert off.status == "Scheduled"
            await until(lambda: central.statuses(2)[-1] == "Unavailable", "the free EVSE to go off")
            assert central.statuses(1)[-1] == "Occupied"
            await central.order(call.RequestStopTransaction(transaction_id=name))
            await until(lambda: central.statuses(1)[-1] == "Unavailable", "the other to follow")
            on_again = call.ChangeAvailability(operational_status="Operative", evse={"id": 2})
            assert (await central.order(on_again)).status == "Accepted"
            await until(lambda: central.statuses(2)[-1] == "Available", "service again")

    story(scenario)


def variable(name: str, evse_id: int | None = None, **more: Any) -> Payload:
    component, _, of = name.partition(".")
    named: Payload = {"name": component}
    if evse_id is not None:
        named["evse"] = {"id": evse_id}
    return {"component": named, "variable": {"name": of}, **more}


def test_the_device_model_is_read_changed_and_reported_in_two_parts() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, fleet):
            changes = {
                ("SampledDataCtrlr.TxUpdatedInterval", "7"): "Accepted",
                ("SampledDataCtrlr.TxUpdatedInterval", "soon"): "Rejected",
                ("OCPPCommCtrlr.WebSocketPingInterval", "30"): "RebootRequired",
                ("SmartChargingCtrlr.ProfileStackLevel", "9"): "Rejected",
                ("ChargingStation.Model", "Better"): "Rejected",
                ("TxCtrlr.Nonsense", "1"): "UnknownVariable",
                ("Nonsense.Enabled", "1"): "UnknownComponent",
            }
            asked = [variable(name, attribute_value=value) for name, value in changes]
            results = (await central.order(call.SetVariables(set_variable_data=asked))).set_variable_result
            assert [each["attribute_status"] for each in results] == list(changes.values())
            assert fleet.stations["A-1"].configuration.seconds("MeterValueSampleInterval") == 7
            names = ["SampledDataCtrlr.TxUpdatedInterval", "SecurityCtrlr.BasicAuthPassword", "EVSE.Power"]
            asked = [variable(names[0]), variable(names[1]), variable(names[2], 2)]
            results = (await central.order(call.GetVariables(get_variable_data=asked))).get_variable_result
            assert [each.get("attribute_value") for each in results] == ["7", None, "22000"]
            assert results[1]["attribute_status"] == "Rejected"

            full = call.GetBaseReport(request_id=40, report_base="FullInventory")
            assert (await central.order(full)).status == "Accepted"
            await until(lambda: len(central.of("NotifyReport")) == 2, "both parts")
            first, second = central.of("NotifyReport")
            assert [(each["requestId"], each["seqNo"], each["tbc"]) for each in (first, second)] == [
                (40, 0, True),
                (40, 1, False),
            ]
            entries = first["reportData"] + second["reportData"]
            assert len({json.dumps([each["component"], each["variable"]]) for each in entries}) == len(entries) > 40
            secret = next(each for each in entries if each["variable"]["name"] == "BasicAuthPassword")
            assert "value" not in secret["variableAttribute"][0]

            chosen = call.GetReport(request_id=41, component_variable=[{"component": {"name": "TxCtrlr"}}])
            assert (await central.order(chosen)).status == "Accepted"
            await until(lambda: central.of("NotifyReport")[-1]["requestId"] == 41, "the chosen")
            assert {each["component"]["name"] for each in central.of("NotifyReport")[-1]["reportData"]} == {"TxCtrlr"}
            none = call.GetReport(request_id=42, component_criteria=["Problem"])
            assert (await central.order(none)).status == "EmptyResultSet"

    story(scenario)


def test_limits_lists_and_reservations() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, fleet):
            station = fleet.stations["A-1"]
            name = await a_charge(central)
            schedule = {
                "id": 1,
                "charging_rate_unit": "W",
                "charging_schedule_period": [{"start_period": 0, "limit": 4000.0}],
            }
            profile = {
                "id": 3,
                "stack_level": 0,
                "charging_profile_purpose": "TxProfile",
                "charging_profile_kind": "Relative",
                "transaction_id": name,
                "charging_schedule": [schedule],
            }
            set_it = call.SetChargingProfile(evse_id=1, charging_profile=profile)
            assert (await central.order(set_it)).status == "Accepted"
            composite = await central.order(call.GetCompositeSchedule(duration=60, evse_id=1))
            assert composite.schedule["charging_schedule_period"] == [{"start_period": 0, "limit": 4000.0}]
            await until(lambda: station.evses[1].limit_w == 4000.0, "the limit to hold")
            asked = call.GetChargingProfiles(request_id=8, charging_profile={"charging_profile_purpose": "TxProfile"})
            assert (await central.order(asked)).status == "Accepted"
            await until(lambda: central.of("ReportChargingProfiles"), "the report")
            reported = central.of("ReportChargingProfiles")[0]
            assert (reported["evseId"], reported["chargingProfile"][0]["transactionId"]) == (1, name)
            assert (await central.order(call.ClearChargingProfile(charging_profile_id=3))).status == "Accepted"
            assert (await central.order(call.ClearChargingProfile(charging_profile_id=3))).status == "Unknown"
            assert (await central.order(asked)).status == "NoProfiles"

            listed = {"id_token": {"id_token": TAGS[2], "type": "ISO14443"}, "id_token_info": {"status": "Accepted"}}
            send = call.SendLocalList(version_number=4, update_type="Full", local_authorization_list=[listed])
            assert (await central.order(send)).status == "Accepted"
            assert (await central.order(call.GetLocalListVersion())).version_number == 4
            assert station.local_list.allows(TAGS[2], datetime.now(UTC)) is True

            soon = (datetime.now(UTC) + timedelta(seconds=0.8)).isoformat()
            token = {"id_token": TAGS[1], "type": "Central"}
            reserve = call.ReserveNow(id=12, expiry_date_time=soon, id_token=token)
            assert (await central.order(reserve)).status == "Accepted", "EVSE 2, for 1 charges"
            await until(lambda: central.statuses(2)[-1] == "Reserved", "the reservation")
            await until(lambda: central.of("ReservationStatusUpdate"), "its end")
            assert central.of("ReservationStatusUpdate")[0]["reservationUpdateStatus"] == "Expired"
            assert (await central.order(call.CancelReservation(reservation_id=12))).status == "Rejected"

    story(scenario)


def test_triggers_come_after_the_answer_and_what_it_cannot_do_is_said() -> None:
    async def scenario() -> None:
        async with street(one_of("oriel-trio")) as (central, _):
            for message in ("BootNotification", "LogStatusNotification", "MeterValues", "StatusNotification"):
                before = len(central.seen)
                assert (await central.order(call.TriggerMessage(requested_message=message))).status == "Accepted"
                await until(
                    lambda since=before, kind=message: kind in [said for _, said, _ in central.seen[since:]], message
                )
            assert central.of("BootNotification")[-1]["reason"] == "Triggered"
            idle = call.TriggerMessage(requested_message="TransactionEvent", evse={"id": 1})
            assert (await central.order(idle)).status == "Rejected"
            unknown = call.TriggerMessage(requested_message="SignV2GCertificate")
            assert (await central.order(unknown)).status == "NotImplemented"
            name = await a_charge(central)
            assert (await central.order(idle)).status == "Accepted"
            await until(lambda: any(e["triggerReason"] == "Trigger" for e in central.events()), "the event")
            await central.order(call.CostUpdated(total_cost=1.5, transaction_id=name))
            status = await central.order(call.GetTransactionStatus(transaction_id=name))
            assert status.ongoing_indicator is True
            with pytest.raises(NotImplementedByStation):
                await central.order(call.GetMonitoringReport(request_id=1))

    story(scenario)


def test_a_fault_is_a_status_and_an_event() -> None:
    async def scenario() -> None:
        fault = Mishap("A-1", "fault", starts_after_s=300, lasts_s=300)
        async with street(one_of("oriel-trio"), mishaps=[fault]) as (central, _):
            await until(lambda: "Faulted" in central.statuses(1), "the fault")
            await until(lambda: central.of("NotifyEvent"), "the event")
            told = central.of("NotifyEvent")[0]["eventData"][0]
            assert (told["techCode"], told["component"]["evse"]["id"]) == ("RCD-6mA", 1)
            await until(lambda: central.statuses(1)[-1] == "Available", "the repair")

    story(scenario)


@pytest.mark.parametrize(("make", "version"), list(itertools.product(MAKES, ("ocpp1.6", "ocpp2.0.1"))))
def test_every_make_has_one_of_the_other_version(make: str, version: Any) -> None:
    found = make_speaking(make, version)
    assert (found.version, found.current) == (version, MAKES[make].current)
    assert StationSpec("A", make=found.key).version == version


@pytest.mark.parametrize(
    ("options", "spoken"),
    [
        ([], ["ocpp1.6"] * 4),
        (["--protocol", "ocpp2.0.1"], ["ocpp2.0.1"] * 4),
        (["--protocol", "mixed"], ["ocpp1.6", "ocpp2.0.1"] * 2),
        (["--make", "oriel-trio"], ["ocpp2.0.1"] * 4),
        (["--make", "oriel-trio", "--protocol", "ocpp1.6"], ["ocpp1.6"] * 4),
    ],
)
def test_the_command_takes_the_version_and_provisions_it(options: list[str], spoken: list[str]) -> None:
    result = CliRunner().invoke(cli.simulate, ["--stations", "4", "--print-provisioning", *options])
    assert result.exit_code == 0
    points = yaml.safe_load(result.stdout)["locations"][0]["zones"][0]["charge_points"]
    assert [point["protocol"] for point in points] == spoken
