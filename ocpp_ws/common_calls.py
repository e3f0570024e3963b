"""Calls that 2.0.1 took over from 1.6 and its security extension: the same payload, the same answer."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

from app.charging.commands import Answer
from app.core.models import ActionStatus
from ocpp_ws.outgoing import Payload, present, with_result
from ocpp_ws.timestamps import parse_timestamp

# --- GetLog (1.6 security whitepaper, 4.2; 2.0.1 block N)


def get_log(request: Payload) -> Payload:
    """A GetLog; the log is the diagnostics unless the request names the security log."""
    return present(
        {
            "logType": "SecurityLog" if request.get("log") == "security" else "DiagnosticsLog",
            "requestId": request["diagnostics_id"],
            "retries": request.get("retries"),
            "retryInterval": request.get("retry_interval_s"),
            "log": present(
                {
                    "remoteLocation": request["location"],
                    "oldestTimestamp": request.get("logs_from"),
                    "latestTimestamp": request.get("logs_to"),
                }
            ),
        }
    )


def read_log(response: Payload) -> Answer:
    """Whether the station will bring it, and under which name."""
    accepted = response.get("status") in ("Accepted", "AcceptedCanceled")
    status = ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED
    return Answer(status, response, facts={"file_name": response.get("filename")})


# --- DataTransfer (1.6, 4.3; 2.0.1 block P)


def data_transfer(request: Payload) -> Payload:
    """A vendor's own message."""
    return present({"vendorId": request["vendor"], "messageId": request.get("message"), "data": request.get("data")})


def read_transfer(response: Payload) -> Answer:
    """What the station has to say to it."""
    accepted = response.get("status") == "Accepted"
    status = ActionStatus.ANSWERED if accepted else ActionStatus.REJECTED
    return Answer(status, response, facts={"data": response.get("data")})


# --- reservations and certificates

#: how a station takes a reservation (1.6, 5.13; 2.0.1 block H)
read_reservation = with_result(
    {
        "Accepted": "accepted",
        "Faulted": "faulted",
        "Occupied": "occupied",
        "Unavailable": "unavailable",
        "Rejected": "rejected",
    }
)
#: how a station takes the deletion of a certificate (1.6 security whitepaper, 4.4; 2.0.1 block M)
read_deletion = with_result({"Accepted": "accepted", "NotFound": "not_found", "Failed": "failed"})


# --- smart charging

_KINDS = {"absolute": "Absolute", "recurring": "Recurring", "relative": "Relative"}
_RECURRENCES = {"daily": "Daily", "weekly": "Weekly"}


def charging_limit(value: Any) -> float:
    """A limit in A or W has at most one decimal (1.6, 7.13; 2.0.1, ChargingSchedulePeriodType)."""
    return float(Decimal(str(value)).quantize(Decimal("0.1")))


def charging_schedule(profile: Payload) -> Payload:
    """The ChargingSchedule of a profile of ours."""
    least = profile.get("min_rate")
    return present(
        {
            "duration": profile.get("duration_s"),
            "startSchedule": profile.get("starts_at"),
            "chargingRateUnit": profile["unit"],
            "chargingSchedulePeriod": [
                present(
                    {"startPeriod": p["start_s"], "limit": charging_limit(p["limit"]), "numberPhases": p.get("phases")}
                )
                for p in profile["periods"]
            ],
            "minChargingRate": None if least is None else charging_limit(least),
        }
    )


def profile_terms(profile: Payload) -> Payload:
    """What both versions say alike of a profile of ours: its level, kind and validity."""
    return {
        "stackLevel": profile["stack_level"],
        "chargingProfileKind": _KINDS[profile["kind"]],
        "recurrencyKind": _RECURRENCES.get(profile.get("recurrence", "")),
        "validFrom": profile.get("valid_from"),
        "validTo": profile.get("valid_to"),
    }


def schedule_periods(schedule: Payload) -> list[dict[str, Any]]:
    """The periods of a schedule in our words; those that cannot be read are left out."""
    return [
        {"start_s": period.get("startPeriod"), "limit": period.get("limit"), "phases": period.get("numberPhases")}
        for period in schedule.get("chargingSchedulePeriod") or []
        if isinstance(period.get("startPeriod"), int) and period.get("limit") is not None
    ]


def utc_text(stamp: Any) -> str | None:
    """A station's time stamp as ISO 8601 in UTC; None when it cannot be read."""
    try:
        return parse_timestamp(str(stamp)).astimezone(UTC).isoformat()
    except ValueError:
        return None
