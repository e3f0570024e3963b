"""How a session ends without its station's stop, and what every end is followed by: the bill and the news."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.charging import bill
from app.charging.flags import add_flag
from app.charging.lifecycle import PaymentStatus, SessionEvent, next_status
from app.charging.models import ChargingSession
from app.core import events


def finish_by_rule(
    session: Session,
    row: ChargingSession,
    *,
    event: SessionEvent,
    flag: str,
    now: datetime,
    not_after: datetime | None = None,
) -> None:
    """Finish a session whose stop the station never reported, at its last reading, and bill it. Flushes.

    ``not_after``: when it is known to have been over, though readings of the idle EVSE came later.
    """
    row.status = next_status(row.status, event)
    started_at = row.started_at or now
    ended_at = row.last_reading_at or started_at
    if not_after is not None:
        ended_at = min(ended_at, not_after)
    row.stopped_at = max(ended_at, started_at)
    row.stop_reason = event.value
    add_flag(row, flag)
    conclude(session, row, now)


def fail_session(session: Session, row: ChargingSession, *, event: SessionEvent, reason: str) -> None:
    """End a pending session that never began; it costs nothing. Flushes."""
    row.status = next_status(row.status, event)
    row.failure_reason = reason[:120]
    row.payment_status = PaymentStatus.NOT_BILLED
    session.flush()
    announce(session, "session.finished", row)


def conclude(session: Session, row: ChargingSession, now: datetime) -> None:
    """Bill a session that has just been finished, and tell of it. Flushes."""
    row.power_w = None
    row.stopping_at = None
    session.flush()
    bill.bill_session(session, row, now=now)
    announce(session, "session.finished", row)


def announce(session: Session, name: str, row: ChargingSession) -> None:
    """Tell of a session once it is on disk."""
    events.announce(
        session,
        name,
        partner_id=row.partner_id,
        session_id=row.id,
        charge_point_id=row.charge_point_id,
        evse_id=row.evse_id,
    )
