"""What a 2.0.1 station tells by itself, and what it is asked about it: kept, replaced, ended, and shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.assets.models import ChargePoint, NetworkProtocol
from app.charging.models import (
    ChargingLimit,
    ChargingNeeds,
    DeviceEvent,
    DeviceMonitor,
    DeviceVariable,
    MonitorKind,
    MonitorStatus,
    Reservation,
    ReservationStatus,
    StationProfile,
)
from app.charging.plans import station_limits
from app.charging.reservations import reservations
from app.charging.upkeep import monitors
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from tests.support.charging import tag_of
from tests.support.factories_dashboard import signed_in
from tests.support.gateway import House, eventually
from tests.support.scripted_station import CallFailed, ScriptedStation, stamp

PAGE = "/assets/charge-points"


@pytest.fixture
def charge_point(house: House) -> ChargePoint:
    return house.station(protocol=NetworkProtocol("ocpp2.0.1"), evses=2)


@pytest.fixture
def wire(house: House, charge_point: ChargePoint) -> ScriptedStation:
    return house.connect(charge_point, subprotocols=("ocpp2.0.1",))


def schedule(limit: float, number: int = 1, *more: float) -> dict[str, Any]:
    periods = [{"startPeriod": 600 * place, "limit": each} for place, each in enumerate((limit, *more))]
    return {"id": number, "chargingRateUnit": "A", "duration": 3600, "chargingSchedulePeriod": periods}


def profile(number: int, limit: float = 16.0, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule(limit, number)],
        **fields,
    }


# ---------------------------------------------------------------------- profiles


def ask(house: House, charge_point: ChargePoint, wire: ScriptedStation, answer: str = "Accepted") -> tuple[int, Action]:
    action = station_limits.get_profiles(
        house.session, charge_point=charge_point, reason="A look", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    call = wire.expect_call("GetChargingProfiles")
    assert call.payload["chargingProfile"] == {}
    call.answer(status=answer)
    eventually(lambda: house.again().get_one(Action, action.id).status is not ActionStatus.PENDING)
    return int(call.payload["requestId"]), action


def report(wire: ScriptedStation, request: int, evse: int, *profiles: dict[str, Any], more: bool, source: str = "CSO"):
    part = {"requestId": request, "evseId": evse, "chargingLimitSource": source, "tbc": more}
    wire.call("ReportChargingProfiles", {**part, "chargingProfile": list(profiles)})


def profiles(house: House, charge_point: ChargePoint) -> dict[tuple[int, int], StationProfile]:
    rows = house.again().scalars(select(StationProfile).filter_by(charge_point_id=charge_point.id))
    return {(row.network_id, row.profile_id): row for row in rows}


def test_profiles_come_in_parts_and_replace_the_former(
    house: House, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    request, _ = ask(house, charge_point, wire)
    report(wire, request, 1, profile(7), more=True)
    assert not profiles(house, charge_point), "half a report says nothing yet"
    external = profile(8, 32.0, chargingProfilePurpose="ChargingStationExternalConstraints", validTo=stamp())
    report(wire, request, 0, external, more=False, source="EMS")
    found = profiles(house, charge_point)
    assert set(found) == {(1, 7), (0, 8)}
    assert (found[0, 8].source, found[0, 8].purpose) == ("ems", "external")
    assert found[0, 8].valid_to is not None
    assert station_limits.first_limit(found[1, 7].schedules) == "16 A"
    request, _ = ask(house, charge_point, wire)
    report(wire, request, 2, profile(9, transactionId="tx-9", chargingProfilePurpose="TxProfile"), more=False)
    (only,) = profiles(house, charge_point).values()
    assert (only.network_id, only.purpose, only.session_reference) == (2, "session", "tx-9")


def test_a_report_nobody_asked_for_takes_nothing_away(
    house: House, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    """It may be about a few of them; what it names is as it says."""
    request, _ = ask(house, charge_point, wire)
    report(wire, request, 1, profile(7), profile(8), more=False)
    report(wire, 123_453, 1, profile(7, 10.0), more=False)
    found = profiles(house, charge_point)
    assert {key: station_limits.first_limit(row.schedules) for key, row in found.items()} == {
        (1, 7): "10 A",
        (1, 8): "16 A",
    }


def test_a_station_that_has_none_has_none(house: House, charge_point: ChargePoint, wire: ScriptedStation) -> None:
    request, _ = ask(house, charge_point, wire)
    report(wire, request, 1, profile(7), more=False)
    _, action = ask(house, charge_point, wire, "NoProfiles")
    assert not profiles(house, charge_point)
    assert house.again().get_one(Action, action.id).status is ActionStatus.ANSWERED, "no refusal"


# ---------------------------------------------------------------------- limits from elsewhere


def limit(wire: ScriptedStation, source: str = "EMS", evse: int | None = None, amps: float = 20.0) -> None:
    where = {} if evse is None else {"evseId": evse}
    what = {"chargingLimit": {"chargingLimitSource": source, "isGridCritical": source == "SO"}}
    wire.call("NotifyChargingLimit", {**where, **what, "chargingSchedule": [schedule(amps)]})


def in_force(house: House, charge_point: ChargePoint) -> set[tuple[int, str, str]]:
    rows = house.again().scalars(select(ChargingLimit).filter_by(charge_point_id=charge_point.id, cleared_at=None))
    return {(row.network_id, row.source, station_limits.first_limit(row.schedules)) for row in rows}


def test_limits_from_elsewhere_hold_until_they_are_replaced_or_cleared(
    house: House, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    limit(wire)
    limit(wire, "SO", evse=1, amps=6)
    assert in_force(house, charge_point) == {(0, "ems", "20 A"), (1, "system_operator", "6 A")}
    limit(wire, amps=12)
    assert in_force(house, charge_point) == {(0, "ems", "12 A"), (1, "system_operator", "6 A")}
    wire.call("ClearedChargingLimit", {"chargingLimitSource": "SO", "evseId": 2})
    assert len(in_force(house, charge_point)) == 2, "that of another EVSE"
    wire.call("ClearedChargingLimit", {"chargingLimitSource": "SO"})
    assert in_force(house, charge_point) == {(0, "ems", "12 A")}


def test_limits_do_not_fill_the_disk(house: House, charge_point: ChargePoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a charge point that tells them all the time the newest are kept; nothing is lost of its neighbours."""
    monkeypatch.setattr(station_limits, "MOST_KEPT", 2)
    other = house.station()
    for place, at in ((other, 1), *((charge_point, amps) for amps in (10, 11, 12, 13))):
        station_limits.keep_limit(
            house.session,
            charge_point_id=place.id,
            partner_id=place.partner_id,
            network_id=0,
            source="ems",
            grid_critical=None,
            schedules=[{"unit": "A", "periods": [{"start_s": 0, "limit": at, "phases": None}]}],
            now=utcnow(),
        )
    rows = house.session.scalars(select(ChargingLimit).order_by(ChargingLimit.id)).all()
    assert [station_limits.first_limit(row.schedules) for row in rows] == ["1 A", "12 A", "13 A"]


def test_an_evse_that_cannot_be_is_refused(wire: ScriptedStation) -> None:
    with pytest.raises(CallFailed, match="there is no EVSE"):
        limit(wire, evse=10**12)


def test_what_a_car_needs_is_kept(house: House, charge_point: ChargePoint, wire: ScriptedStation) -> None:
    departure = utcnow() + timedelta(hours=8)
    direct = {"evMaxCurrent": 400, "evMaxVoltage": 800, "energyAmount": 42_000, "stateOfCharge": 20, "evMaxPower": -1}
    needs = {"requestedEnergyTransfer": "DC", "departureTime": stamp(departure), "dcChargingParameters": direct}
    answer = wire.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert answer["status"] == "Rejected", "no schedule is made for it"
    (row,) = house.again().scalars(select(ChargingNeeds).filter_by(charge_point_id=charge_point.id))
    assert (row.energy_wh, row.soc_percent, row.max_power_w) == (42_000, 20, None)
    assert row.departs_at is not None


def test_an_operator_sees_what_the_station_told(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")  # where the parts and dialogs appear
    part = f"{PAGE}/schedule/?id={charge_point.id}"
    assert "No profiles are known" in olga.htmx(part).get_data(as_text=True)
    asked = olga.send(f"{PAGE}/run/charging_profiles/?rowid={charge_point.id}", {"reason": "A look"})
    assert asked.status_code == 200
    call = wire.expect_call("GetChargingProfiles")
    call.answer(status="Accepted")
    report(wire, call.payload["requestId"], 1, profile(77), more=False)
    limit(wire, "SO", amps=6)
    page = olga.htmx(part).get_data(as_text=True)
    for said in ("77", "Each session", "16 A", "Grid operator", "6 A", "Critical for the grid", "This system"):
        assert said in page


def test_what_16_has_nothing_for_is_not_offered(house: House, app: Flask) -> None:
    old = house.station()
    olga = signed_in(app, house.operator())
    assert "Get Charging Profiles" not in olga.get(f"{PAGE}/details/?id={old.id}").get_data(as_text=True)


# ---------------------------------------------------------------------- reservations


@pytest.mark.parametrize(
    ("word", "status", "why"),
    [
        ("Expired", ReservationStatus.EXPIRED, reservations.EXPIRED_THERE),
        ("Removed", ReservationStatus.ENDED, reservations.REMOVED_THERE),
    ],
)
def test_a_station_lets_a_reservation_go(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, word: str, status: ReservationStatus, why: str
) -> None:
    house.set("reservation.enabled", True)
    for evse in (1, 2):
        here = {"timestamp": stamp(), "connectorStatus": "Available", "evseId": evse, "connectorId": 1}
        wire.call("StatusNotification", here)
    house.session.expire_all()
    row, _ = reservations.reserve(
        house.session,
        evse=charge_point.evses[0],
        user=house.driver(),
        reason="The driver called",
        actor=None,
        now=utcnow(),
    )
    house.session.commit()
    call = wire.expect_call("ReserveNow")
    call.answer(status="Accepted")
    eventually(lambda: house.again().get_one(Reservation, row.id).status is ReservationStatus.ACTIVE)
    stranger = house.connect(house.station(protocol=NetworkProtocol("ocpp2.0.1")), subprotocols=("ocpp2.0.1",))
    for number in (row.id, 10**15, -1):
        stranger.call("ReservationStatusUpdate", {"reservationId": number, "reservationUpdateStatus": word})
    assert house.again().get_one(Reservation, row.id).status is ReservationStatus.ACTIVE, "it is not that station's"
    for said in (word, "Removed"):  # what is over stays as it ended
        wire.call("ReservationStatusUpdate", {"reservationId": call.payload["id"], "reservationUpdateStatus": said})
    ended = house.again().get_one(Reservation, row.id)
    assert (ended.status, ended.end_reason) == (status, why)
    assert ended.ended_at is not None


# ---------------------------------------------------------------------- events of variables


def told_event(number: int, value: str, component: str = "EVSE", variable: str = "Power", **fields: Any) -> Any:
    return {
        "eventId": number,
        "timestamp": stamp(),
        "trigger": "Alerting",
        "actualValue": value,
        "eventNotificationType": "CustomMonitor",
        "component": {"name": component, "evse": {"id": 1}},
        "variable": {"name": variable},
        **fields,
    }


def tell(wire: ScriptedStation, *events: dict[str, Any], number: int = 0) -> None:
    wire.call("NotifyEvent", {"generatedAt": stamp(), "seqNo": number, "eventData": list(events)})


def test_events_of_variables_are_kept_and_shown(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    own = {"charge_point_id": charge_point.id, "partner_id": charge_point.partner_id}
    monitor = DeviceMonitor(**own, monitor_id=5, key="EVSE@1.Power", kind=MonitorKind.UPPER, value=20_000, severity=3)
    house.session.add(monitor)
    house.session.commit()
    password = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    tell(
        wire,
        told_event(1, "20500", variableMonitoringId=5, techCode="E7", techInfo="too\u0000 hot"),
        told_event(2, "19000", variableMonitoringId=5, cleared=True, cause=1),
        told_event(2**80, "open", "Door", "State", variableMonitoringId=2**40),
        told_event(4, "secret-secret", **password),
    )
    rows = house.again().scalars(select(DeviceEvent).filter_by(charge_point_id=charge_point.id)).all()
    found = {row.value: row for row in rows}
    assert set(found) == {"20500", "19000", "open"}, "a password is nothing to be kept"
    hot = found["20500"]
    assert (hot.key, hot.severity, hot.cleared, hot.technical_info) == ("EVSE@1.Power", 3, False, "too hot")
    assert (found["19000"].cleared, found["19000"].cause) == (True, 1)
    assert (found["open"].key, found["open"].severity, found["open"].monitor_id) == ("Door@1.State", None, None)
    olga = signed_in(app, house.operator())
    page = olga.get(f"/assets/device-events/?flt1_charge_point_id_is={charge_point.identifier}").get_data(as_text=True)
    for said in ("EVSE@1.Power", "20500", "3: Critical", "Beyond a limit", "Door@1.State"):
        assert said in page
    assert "Device Events" in olga.get(f"{PAGE}/details/?id={charge_point.id}").get_data(as_text=True)


# ---------------------------------------------------------------------- monitors


@pytest.fixture
def power(house: House, charge_point: ChargePoint) -> str:
    """A variable that can be monitored, and one that cannot."""
    own = {"charge_point_id": charge_point.id, "partner_id": charge_point.partner_id, "reported_at": utcnow()}
    at = {"component": "EVSE", "network_id": 1}
    house.session.add_all(
        [
            DeviceVariable(**own, **at, key="EVSE@1.Power", variable="Power", supports_monitoring=True),
            DeviceVariable(**own, **at, key="EVSE@1.Name", variable="Name"),
        ]
    )
    house.session.commit()
    return "EVSE@1.Power"


def set_power(house: House, charge_point: ChargePoint, **changed: Any) -> Action:
    wanted = {"key": "EVSE@1.Power", "kind": MonitorKind.UPPER, "value": Decimal("20000.5"), "severity": 3}
    action = monitors.set_monitor(
        house.session,
        charge_point=charge_point,
        **{**wanted, **changed},
        in_session_only=True,
        reason="Too hot",
        actor=house.operator(),
        now=utcnow(),
    )
    house.session.commit()
    return action


def monitors_of(house: House, charge_point: ChargePoint) -> dict[int | None, DeviceMonitor]:
    rows = house.again().scalars(select(DeviceMonitor).filter_by(charge_point_id=charge_point.id))
    return {row.monitor_id: row for row in rows}


def answer_set(wire: ScriptedStation, status: str, **number: int) -> dict[str, Any]:
    call = wire.expect_call("SetVariableMonitoring")
    (asked,) = call.payload["setMonitoringData"]
    echo = {name: asked[name] for name in ("type", "severity", "component", "variable")}
    call.answer(setMonitoringResult=[{**echo, "status": status, **number}])
    return asked


@pytest.mark.usefixtures("power")
@pytest.mark.parametrize(
    ("answer", "number", "status"),
    [
        ("Accepted", 41, MonitorStatus.REPORTED),
        ("Duplicate", None, MonitorStatus.REJECTED),
        ("UnsupportedMonitorType", None, MonitorStatus.REJECTED),
    ],
)
def test_a_monitor_is_what_the_station_made_of_it(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, answer: str, number: int, status: MonitorStatus
) -> None:
    action = set_power(house, charge_point)
    asked = answer_set(wire, answer, **({"id": number} if number else {}))
    assert (asked["type"], asked["value"], asked["transaction"]) == ("UpperThreshold", 20000.5, True)
    eventually(lambda: house.again().get_one(Action, action.id).status is not ActionStatus.PENDING)
    (row,) = monitors_of(house, charge_point).values()
    assert (row.monitor_id, row.status, row.ours) == (number, status, True)
    error = house.again().get_one(Action, action.id).error
    assert (error is None) == (answer == "Accepted"), "why it was refused is said"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key": "EVSE@1.Colour"}, "described no variable"),
        ({"key": "EVSE@1.Name"}, "cannot be monitored"),
        ({"kind": MonitorKind.PERIODIC, "value": Decimal("0.5")}, "whole seconds"),
        ({"kind": MonitorKind.DELTA, "value": Decimal(0)}, "more than 0"),
        ({"value": Decimal("Infinity")}, "a number"),
        ({"severity": 10}, "0 .danger. to 9"),
    ],
)
def test_what_cannot_be_monitored_is_said_before_it_is_sent(
    house: House, charge_point: ChargePoint, power: str, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(monitors.InvalidMonitor, match=said):
        set_power(house, charge_point, **changed)
    assert not monitors_of(house, charge_point)


@pytest.mark.usefixtures("power")
def test_monitors_are_set_reported_and_cleared_by_an_operator(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")  # where the dialogs appear
    run = f"{PAGE}/run/{{}}/?rowid={charge_point.id}"
    assert "EVSE@1.Power" in olga.htmx(run.format("set_monitor")).get_data(as_text=True)
    fields = {"key": "EVSE@1.Power", "kind": "upper", "value": "20000", "severity": "3", "when": "always"}
    refused = olga.send(run.format("set_monitor"), {**fields, "value": "much", "reason": "Hot"})
    assert refused.status_code == 422
    assert olga.send(run.format("set_monitor"), {**fields, "reason": "Hot"}).status_code == 200
    answer_set(wire, "Accepted", id=41)
    eventually(lambda: 41 in monitors_of(house, charge_point))
    assert olga.send(run.format("get_monitors"), {"reason": "A look"}).status_code == 200
    call = wire.expect_call("GetMonitoringReport")
    call.answer(status="Accepted")
    built_in = {"id": 7, "transaction": False, "value": 1.5, "type": "Delta", "severity": 8}
    where = {"component": {"name": "Connector", "evse": {"id": 1}}, "variable": {"name": "Temperature"}}
    odd = {**built_in, "id": 8, "severity": 44}
    ours = {**built_in, "id": 41, "value": 20000, "type": "UpperThreshold", "severity": 3}
    on_power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
    head = {"requestId": call.payload["requestId"], "generatedAt": stamp()}
    first = [{**where, "variableMonitoring": [built_in, odd]}]
    wire.call("NotifyMonitoringReport", {**head, "seqNo": 0, "tbc": True, "monitor": first})
    assert set(monitors_of(house, charge_point)) == {41}, "half a report says nothing yet"
    rest = [{**on_power, "variableMonitoring": [ours]}]
    wire.call("NotifyMonitoringReport", {**head, "seqNo": 1, "tbc": False, "monitor": rest})
    found = monitors_of(house, charge_point)
    assert {number: (row.key, row.ours) for number, row in found.items()} == {
        7: ("Connector@1.Temperature", False),
        41: ("EVSE@1.Power", True),
    }
    assert "41: EVSE@1.Power, above a value 20000" in olga.htmx(run.format("clear_monitor")).get_data(as_text=True)
    assert olga.send(run.format("clear_monitor"), {"monitor": "41", "reason": "Cooler"}).status_code == 200
    cleared = wire.expect_call("ClearVariableMonitoring")
    assert cleared.payload == {"id": [41]}
    cleared.answer(clearMonitoringResult=[{"id": 41, "status": "Accepted"}])
    eventually(lambda: set(monitors_of(house, charge_point)) == {7})


def test_a_station_without_monitors_has_none(house: House, charge_point: ChargePoint, wire: ScriptedStation) -> None:
    own = {"charge_point_id": charge_point.id, "partner_id": charge_point.partner_id}
    house.session.add(DeviceMonitor(**own, monitor_id=5, key="A.B", kind=MonitorKind.UPPER, value=1, severity=3))
    monitors.get_monitors(
        house.session, charge_point=charge_point, reason="A look", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    wire.expect_call("GetMonitoringReport").answer(status="EmptyResultSet")
    eventually(lambda: not monitors_of(house, charge_point))


# ---------------------------------------------------------------------- a session, as the station sees it


def test_an_operator_asks_how_a_session_stands_there(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    event = {
        "eventType": "Started",
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-41"},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": tag_of(house.driver()), "type": "ISO14443"},
    }
    wire.call("TransactionEvent", event)
    (charge,) = house.charges(charge_point)
    olga = signed_in(app, house.operator())
    page = f"/activity/charging-sessions/details/?id={charge.id}"
    assert "Get Session Status" in olga.get(page).get_data(as_text=True)
    asked = olga.send(f"/activity/charging-sessions/run/status/?rowid={charge.id}", {"reason": "Nothing is heard"})
    assert asked.status_code == 200
    call = wire.expect_call("GetTransactionStatus")
    assert call.payload == {"transactionId": "tx-41"}
    call.answer(ongoingIndicator=False, messagesInQueue=True)
    said = f"Session {charge.id} is over at the charge point; messages about it are still to come"

    def told() -> bool:
        return house.again().scalars(select(Action.info).filter_by(command="get_session_status")).all() == [said]

    eventually(told)
    wire.call("TransactionEvent", {**event, "eventType": "Ended", "seqNo": 1, "triggerReason": "EVDeparted"})
    assert "Get Session Status" not in olga.get(page).get_data(as_text=True), "it is over"
