"""Charging profiles as OCPP 2.0.1 writes them (part 2, block K), from and to the station's plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ocpp.v201 import call

from ocpp_ws.simulator.planning import Profile
from ocpp_ws.simulator.quirks import stamp

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station

_PLANNED: Final = {"ChargingStationMaxProfile": "ChargePointMaxProfile"}
"""Purposes that are named otherwise in 1.6, by which plans are kept."""
_ON_WIRE: Final = {ours: theirs for theirs, ours in _PLANNED.items()}


def planned_purpose(purpose: str | None) -> str | None:
    """A purpose as the plans name it."""
    return _PLANNED.get(purpose, purpose) if purpose is not None else None


def planned(given: Mapping[str, Any]) -> dict[str, Any]:
    """A ChargingProfileType as plans read it: the first of its schedules, which is the only one without ISO 15118."""
    return {
        **given,
        "charging_profile_id": given["id"],
        "charging_profile_purpose": planned_purpose(given["charging_profile_purpose"]),
        "charging_schedule": given["charging_schedule"][0],
    }


def reports(station: Station, request_id: int, evse_id: int | None, asked: Mapping[str, Any]) -> list[Any]:
    """ReportChargingProfiles for what GetChargingProfiles asks for: one for each EVSE; the last says that it is."""
    found: dict[int, list[Profile]] = {}
    for profile in station.plans.profiles.values():
        if evse_id in (None, profile.connector_id) and _fits(profile, asked):
            found.setdefault(profile.connector_id, []).append(profile)
    last = max(found, default=None)
    return [
        call.ReportChargingProfiles(
            request_id=request_id,
            charging_limit_source="CSO",
            charging_profile=[_on_wire(station, profile) for profile in found[number]],
            evse_id=number,
            tbc=True if number != last else None,
        )
        for number in sorted(found)
    ]


def _fits(profile: Profile, asked: Mapping[str, Any]) -> bool:
    return (
        (not asked.get("charging_profile_id") or profile.number in asked["charging_profile_id"])
        and planned_purpose(asked.get("charging_profile_purpose")) in (None, profile.purpose)
        and asked.get("stack_level") in (None, profile.stack_level)
        and (not asked.get("charging_limit_source") or "CSO" in asked["charging_limit_source"])
    )


def _on_wire(station: Station, profile: Profile) -> dict[str, Any]:
    style = station.make.quirks.timestamps
    schedule: dict[str, Any] = {
        "id": profile.number,
        "start_schedule": stamp(profile.starts_at, style),
        "charging_rate_unit": "W",
        "charging_schedule_period": [_period(*period) for period in profile.periods],
    }
    given: dict[str, Any] = {
        "id": profile.number,
        "stack_level": profile.stack_level,
        "charging_profile_purpose": _ON_WIRE.get(profile.purpose, profile.purpose),
        "charging_profile_kind": "Absolute",
        "charging_schedule": [schedule],
    }
    if profile.ends_at is not None:
        given["valid_to"] = stamp(profile.ends_at, style)
    if profile.transaction_id is not None:
        given["transaction_id"] = profile.transaction_id
    return given


def _period(start_s: int, limit_w: float, phases: int | None) -> dict[str, Any]:
    period: dict[str, Any] = {"start_period": start_s, "limit": round(limit_w, 1)}
    if phases is not None:
        period["number_phases"] = phases
    return period
