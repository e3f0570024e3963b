"""What a 2.0.1 station tells by itself, and what it is asked about it: kept, replaced, ended, and shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.assets.models import ChargePoint, NetworkProtocol
from app.charging.models import ChargingLimit, ChargingNeeds, Reservation, ReservationStatus, StationProfile
from app.charging.plans import station_limits
from app.charging.reservations import reservations
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
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
