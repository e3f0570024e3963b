"""Smart charging (OCPP 2.0.1 part 2, block K)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import charging_schedule, profile_terms, schedule_periods, utc_text
from ocpp_ws.outgoing import Outgoing, Payload, present
from ocpp_ws.v201.outgoing.core import reference_of
from ocpp_ws.v201.outgoing.upkeep import report_number
from ocpp_ws.v201.parts import Wanted

_PURPOSES = {"station": "ChargingStationMaxProfile", "default": "TxDefaultProfile", "session": "TxProfile"}


def _profile(request: Payload) -> Payload:
    profile = request["profile"]
    return {
        "evseId": request["network_id"],
        "chargingProfile": present(
            {
                "id": profile["id"],
                "transactionId": reference_of(profile) if profile["purpose"] == "session" else None,
                **profile_terms(profile),
                "chargingProfilePurpose": _PURPOSES[profile["purpose"]],
                "chargingSchedule": [{"id": profile["id"], **charging_schedule(profile)}],
            }
        ),
    }


def _clear(request: Payload) -> Payload:
    criteria = present(
        {
            "evseId": request.get("network_id"),
            "chargingProfilePurpose": _PURPOSES.get(request.get("purpose", "")),
            "stackLevel": request.get("stack_level"),
        }
    )
    return present({"chargingProfileId": request.get("profile_id"), "chargingProfileCriteria": criteria or None})


def _read_schedule(response: Payload) -> Answer:
    """The schedule in our words; an accepted answer without one is a station without limits."""
    if response.get("status") != "Accepted":
        return Answer(ActionStatus.REJECTED, response)
    schedule = response.get("schedule") or {}
    facts = {
        "starts_at": utc_text(schedule.get("scheduleStart")),
        "duration_s": schedule.get("duration"),
        "unit": schedule.get("chargingRateUnit"),
        "min_rate": None,
        "periods": schedule_periods(schedule),
    }
    return Answer(ActionStatus.ACCEPTED, response, facts=facts)


def _read_profiles(response: Payload) -> Answer:
    """Whether a report of them will come; a station that has none is no refusal."""
    result = {"Accepted": "coming", "NoProfiles": "none"}.get(str(response.get("status")))
    if result is None:
        return Answer(ActionStatus.REJECTED, response)
    return Answer(
        ActionStatus.ACCEPTED if result == "coming" else ActionStatus.ANSWERED, response, facts={"result": result}
    )


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.GET_COMPOSITE_SCHEDULE: Outgoing(
        "GetCompositeSchedule",
        lambda r: present({"evseId": r["network_id"], "duration": r["duration_s"], "chargingRateUnit": r.get("unit")}),
        _read_schedule,
    ),
    CommandName.SET_CHARGING_PROFILE: Outgoing("SetChargingProfile", _profile),
    CommandName.CLEAR_CHARGING_PROFILE: Outgoing("ClearChargingProfile", _clear),
    CommandName.GET_CHARGING_PROFILES: Outgoing(
        "GetChargingProfiles",
        lambda r: {"requestId": report_number(Wanted.FULL), "chargingProfile": {}},
        _read_profiles,
    ),
}
