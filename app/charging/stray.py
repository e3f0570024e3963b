"""Messages that fit nothing: kept, shown and confirmed, because stations repeat for ever what is not confirmed.

stations.md, line 8; product.md, "Charging session life".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.charging.models import StrayMessage
from app.charging.station import Station
from app.core import events


def keep_stray(
    session: Session, *, station: Station, action: str, payload: dict[str, Any], note: str, now: datetime
) -> StrayMessage:
    """Store a message that belongs to no session, with why. Flushes."""
    row = StrayMessage(
        at=now,
        partner_id=station.partner_id,
        charge_point_id=station.id,
        action=action[:60],
        payload=payload,
        note=note[:255],
    )
    session.add(row)
    session.flush()
    events.announce(session, "charge_point.stray_message", partner_id=station.partner_id, charge_point_id=station.id)
    return row
