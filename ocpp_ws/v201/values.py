"""Small translations of OCPP 2.0.1 values that several message groups need."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app.charging.authorize import RejectReason
from ocpp_ws.timestamps import format_timestamp

#: what a station is told for a reason of ours (part 2, 3.12 AuthorizationStatusEnumType)
_STATUSES = {
    RejectReason.TAG_UNKNOWN: "Unknown",
    RejectReason.USER_UNKNOWN: "Unknown",
    RejectReason.TAG_EXPIRED: "Expired",
    RejectReason.ALREADY_CHARGING: "ConcurrentTx",
    RejectReason.NOT_INVITED: "NotAtThisLocation",
    RejectReason.OUTSTANDING_AMOUNT: "NoCredit",
    RejectReason.PAYMENT_METHOD_REQUIRED: "NoCredit",
    RejectReason.PREAUTHORIZATION_MISSING: "NoCredit",
    RejectReason.PREAUTHORIZATION_DECLINED: "NoCredit",
    RejectReason.PAYMENT_METHOD_OR_BALANCE_REQUIRED: "NoCredit",
    RejectReason.BALANCE_BELOW_MINIMUM: "NoCredit",
    RejectReason.CORPORATE_LIMIT_REACHED: "NoCredit",
}
#: the kind of token by which nobody is named: a free charge, or a start button
NO_AUTHORIZATION = "NoAuthorization"


def id_token_of(token: dict[str, Any] | None) -> str | None:
    """The token's text without blanks round it; None where there is none, or where it names nobody."""
    if not token or token.get("type") == NO_AUTHORIZATION:
        return None
    return str(token.get("idToken") or "").strip() or None


def id_token(text: str, *, kind: str = "Central") -> dict[str, Any]:
    """An IdTokenType. ``kind`` Central is a token of ours, ISO14443 a card."""
    return {"idToken": text[:36], "type": kind}


def token_info(
    accepted: bool, reason: str | None = None, expires_at: datetime | None = None, parent: str | None = None
) -> dict[str, Any]:
    """An IdTokenInfoType for a decision of ours. ``parent``: what all tags of the driver have in common."""
    status = "Accepted" if accepted else _STATUSES.get(RejectReason(reason), "Blocked") if reason else "Invalid"
    info: dict[str, Any] = {"status": status}
    if expires_at is not None:
        info["cacheExpiryDateTime"] = format_timestamp(expires_at)
    if parent is not None:
        info["groupIdToken"] = id_token(parent)
    return info


def sample_sets(meter_value: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """MeterValueType (2.31) as ``sampling.samples_of`` reads it: numbers with their power of ten, units by name."""
    return [
        {"timestamp": entry.get("timestamp"), "sampledValue": [_sampled(v) for v in entry.get("sampledValue") or []]}
        for entry in meter_value
    ]


def _sampled(value: dict[str, Any]) -> dict[str, Any]:
    unit = value.get("unitOfMeasure") or {}
    found = {key: value[key] for key in ("context", "measurand", "phase", "location") if value.get(key)}
    number = value.get("value")
    multiplier = unit.get("multiplier") or 0
    if multiplier and isinstance(multiplier, int) and -12 <= multiplier <= 12:
        found["value"] = f"{number}e{multiplier}"
    else:
        found["value"] = str(number)
    if unit.get("unit"):
        found["unit"] = unit["unit"]
    return found
