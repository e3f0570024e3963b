"""Smart Charging (OCPP 1.6, 5.5, 5.7, 5.16 and 7.7 to 7.14)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import charging_schedule, profile_terms, schedule_periods, utc_text
from ocpp_ws.outgoing import Outgoing, Payload, present

_PURPOSES = {"station": "ChargePointMaxProfile", "default": "TxDefaultProfile", "session": "TxProfile"}


def _profile(request: Payload) -> Payload:
    profile = request["profile"]
    return {
        "connectorId": request["network_id"],
        "csChargingProfiles": present(
            {
                "chargingProfileId": profile["id"],
                "transactionId": profile.get("session_id"),
                **profile_terms(profile),
                "chargingProfilePurpose": _PURPOSES[profile["purpose"]],
                "chargingSchedule": charging_schedule(profile),
            }
        ),
    }


def _clear(request: Payload) -> Payload:
    return present(
        {
            "id": request.get("profile_id"),
            "connectorId": request.get("network_id"),
            "chargingProfilePurpose": _PURPOSES.get(request.get("purpose", "")),
            "stackLevel": request.get("stack_level"),
        }
    )


def _read_schedule(response: Payload) -> Answer:
    """The schedule in our words; an accepted answer without one is a station without limits."""
    if response.get("status") != "Accepted":
        return Answer(ActionStatus.REJECTED, response)
    schedule = response.get("chargingSchedule") or {}
    starts_at = response.get("scheduleStart") or schedule.get("startSchedule")
    facts = {
        "starts_at": utc_text(starts_at),
        "duration_s": schedule.get("duration"),
        "unit": schedule.get("chargingRateUnit"),
        "min_rate": schedule.get("minChargingRate"),
        "periods": schedule_periods(schedule),
    }
    return Answer(ActionStatus.ACCEPTED, response, facts=facts)


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.GET_COMPOSITE_SCHEDULE: Outgoing(
        "GetCompositeSchedule",
        lambda r: present(
            {"connectorId": r["network_id"], "duration": r["duration_s"], "chargingRateUnit": r.get("unit")}
        ),
        _read_schedule,
    ),
    CommandName.SET_CHARGING_PROFILE: Outgoing("SetChargingProfile", _profile),
    CommandName.CLEAR_CHARGING_PROFILE: Outgoing("ClearChargingProfile", _clear),
}
