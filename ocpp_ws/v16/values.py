"""Small translations of OCPP 1.6 values that several message groups need."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from app.charging.authorize import RejectReason
from ocpp_ws.timestamps import format_timestamp

#: what a station is told for a reason of ours (OCPP 1.6, AuthorizationStatus)
_STATUSES = {
    RejectReason.TAG_UNKNOWN: "Invalid",
    RejectReason.USER_UNKNOWN: "Invalid",
    RejectReason.TAG_EXPIRED: "Expired",
    RejectReason.ALREADY_CHARGING: "ConcurrentTx",
}


def tag_info(
    accepted: bool, reason: str | None = None, expires_at: datetime | None = None, parent: str | None = None
) -> dict[str, Any]:
    """An IdTagInfo for a decision of ours. ``parent``: what all tags of the driver have in common."""
    status = "Accepted" if accepted else _STATUSES.get(RejectReason(reason), "Blocked") if reason else "Invalid"
    info: dict[str, Any] = {"status": status}
    if expires_at is not None:
        info["expiryDate"] = format_timestamp(expires_at)
    if parent is not None:
        info["parentIdTag"] = parent
    return info


LARGEST_REGISTER_WH = Decimal("1e12")


def watt_hours(value: Any) -> Decimal | None:
    """A whole-number meter field, in Wh; None where there is none, or one that no meter can show."""
    if value is None:
        return None
    register_wh = Decimal(str(value))
    return register_wh if abs(register_wh) < LARGEST_REGISTER_WH else None


def id_tag_of(payload: dict[str, Any]) -> str | None:
    """The id token of a message without the blanks some readers put round it; None where there is none."""
    return (payload.get("idTag") or "").strip() or None
