"""What a station says of its limits (OCPP 2.0.1 part 2, block K): profiles, limits from elsewhere, needs of cars."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.charging.plans import station_limits
from app.charging.plans.station_limits import MOST_PROFILES, Needs, ReportedProfile
from ocpp_ws.codec import PROPERTY_CONSTRAINT_VIOLATION, HardFault
from ocpp_ws.common_calls import schedule_periods, utc_text
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.parts import Wanted, gather, wanted_by
from ocpp_ws.v201.status import LARGEST_EVSE_ID

_SOURCES = {"EMS": "ems", "SO": "system_operator", "CSO": "operator", "Other": "other"}
_PURPOSES = {
    "ChargingStationExternalConstraints": "external",
    "ChargingStationMaxProfile": "station",
    "TxDefaultProfile": "default",
    "TxProfile": "session",
}


def report_charging_profiles(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Gather a part; keep the profiles when no more is to come.

    Each part names its EVSE and where its profiles come from. Only a whole report that we asked for says that there
    are no others.
    """
    of, now = served(connection), now_of(connection)
    part = [_profile(payload, each) for each in payload["chargingProfile"]]
    found = gather(of, "profiles", payload, part, most=MOST_PROFILES)
    if found is None:
        return {}
    station, number = of.station, int(payload["requestId"])
    of.transact(
        lambda session: station_limits.keep_profiles(
            session,
            charge_point_id=station.id,
            partner_id=station.partner_id,
            profiles=found.entries,
            whole=found.whole and wanted_by(number) is Wanted.FULL,
            request_number=number,
            now=now,
        )
    )
    return {}


def notify_charging_limit(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyChargingLimit: the station has a limit from elsewhere."""
    of, now = served(connection), now_of(connection)
    limit, evse = payload["chargingLimit"], _evse(payload)
    of.transact(
        lambda session: station_limits.keep_limit(
            session,
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            network_id=evse or 0,
            source=_source(limit.get("chargingLimitSource")),
            grid_critical=limit.get("isGridCritical"),
            schedules=_schedules(payload.get("chargingSchedule") or ()),
            now=now,
        )
    )
    return {}


def cleared_charging_limit(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """ClearedChargingLimit: it holds no more."""
    of, now = served(connection), now_of(connection)
    evse = _evse(payload)
    of.transact(
        lambda session: station_limits.clear_limit(
            session,
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            network_id=evse,
            source=_source(payload.get("chargingLimitSource")),
            now=now,
        )
    )
    return {}


def ev_charging_needs(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyEVChargingNeeds: kept. No schedule is made for a single car, the station keeps to its limits (K15)."""
    of, now = served(connection), now_of(connection)
    needs = _needs(payload)
    of.transact(
        lambda session: station_limits.keep_needs(
            session, charge_point_id=of.station.id, partner_id=of.station.partner_id, needs=needs, now=now
        )
    )
    return {"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedRequest"}}


def _evse(payload: dict[str, Any]) -> int | None:
    """The EVSE that is named, if one is. Raises HardFault for a number that none can have."""
    named: int | None = payload.get("evseId")
    if named is not None and not 0 <= named <= LARGEST_EVSE_ID:
        raise HardFault(PROPERTY_CONSTRAINT_VIOLATION, f"there is no EVSE {named}", "evseId")
    return named


def _source(word: Any) -> str:
    return _SOURCES.get(str(word), "other")


def _time(stamp: Any) -> datetime | None:
    text = utc_text(stamp) if stamp else None
    return datetime.fromisoformat(text) if text else None


def _profile(part: dict[str, Any], profile: dict[str, Any]) -> ReportedProfile:
    return ReportedProfile(
        network_id=_evse(part) or 0,
        profile_id=int(profile["id"]),
        source=_source(part.get("chargingLimitSource")),
        stack_level=int(profile["stackLevel"]),
        purpose=_PURPOSES.get(str(profile["chargingProfilePurpose"]), "external"),
        kind=str(profile["chargingProfileKind"]).lower(),
        valid_from=_time(profile.get("validFrom")),
        valid_to=_time(profile.get("validTo")),
        session_reference=profile.get("transactionId"),
        schedules=_schedules(profile.get("chargingSchedule") or ()),
    )


def _schedules(given: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "starts_at": utc_text(each["startSchedule"]) if each.get("startSchedule") else None,
            "duration_s": each.get("duration"),
            "unit": each.get("chargingRateUnit"),
            "min_rate": each.get("minChargingRate"),
            "periods": schedule_periods(each),
        }
        for each in given
    ]


def _needs(payload: dict[str, Any]) -> Needs:
    needs = payload["chargingNeeds"]
    ac, dc = needs.get("acChargingParameters") or {}, needs.get("dcChargingParameters") or {}
    car = dc or ac
    return Needs(
        network_id=_evse(payload) or 0,
        energy_transfer=str(needs["requestedEnergyTransfer"]),
        departs_at=_time(needs.get("departureTime")),
        energy_wh=_within(car.get("energyAmount"), 10**10),
        max_power_w=_within(dc.get("evMaxPower"), 10**10),
        max_current_a=_within(car.get("evMaxCurrent"), 10**6),
        max_voltage_v=_within(car.get("evMaxVoltage"), 10**6),
        soc_percent=_within(dc.get("stateOfCharge"), 101),
        raw=needs,
    )


def _within(value: Any, beyond: int) -> Decimal | None:
    """What no car can mean is left out: it would not fit, and the rest is worth keeping."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < beyond
    return Decimal(value) if known else None
