"""What time alone does to sessions. Manual, "Session Timeout". Each is derived from the database, so that a tick that
was missed is caught up, and repeated ticks change nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.charging import bill as billing
from app.charging import sessions
from app.charging.lifecycle import PaymentStatus, SessionEvent, SessionStatus, next_status
from app.charging.models import ChargingSession
from app.core import events, settings

BATCH = 200


def fail_unstarted(session: Session, *, now: datetime) -> int:
    """Discard pending sessions whose driver did not plug in in time (default 60 s). Returns how many."""
    limit_s = settings.get_int(session, "session.fail_starting_after_seconds")
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.status == SessionStatus.PENDING,
            ChargingSession.created_at < now - timedelta(seconds=limit_s),
        )
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        sessions.fail_session(
            session, row, event=SessionEvent.START_TIMED_OUT, reason=SessionEvent.START_TIMED_OUT.label
        )
    return len(rows)


def reset_stopping(session: Session, *, now: datetime) -> int:
    """Let a stop that no station answered be tried again (default after 60 s). Returns how many."""
    limit_s = settings.get_int(session, "session.reset_stopping_after_seconds")
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.status == SessionStatus.STOPPING,
            ChargingSession.stopping_at < now - timedelta(seconds=limit_s),
        )
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.status = next_status(row.status, SessionEvent.STOP_TIMED_OUT)
        row.stopping_at = None
        events.announce(
            session,
            "session.changed",
            partner_id=row.partner_id,
            session_id=row.id,
            charge_point_id=row.charge_point_id,
            evse_id=row.evse_id,
        )
    session.flush()
    return len(rows)


def finish_inactive(session: Session, *, now: datetime) -> int:
    """Finish sessions without meter values for too long (default 120 min), at their last reading."""
    limit_min = settings.get_int(session, "session.finish_after_inactivity_minutes")
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING)),
            ChargingSession.last_activity_at < now - timedelta(minutes=limit_min),
        )
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        sessions.finish_by_rule(session, row, event=SessionEvent.INACTIVITY_ELAPSED, flag="no_stop_message", now=now)
    return len(rows)


def unbilled(session: Session, *, now: datetime) -> list[int]:
    """Finished sessions that are still to be billed, oldest first; those just finished are left to their stop."""
    return list(
        session.scalars(
            select(ChargingSession.id)
            .where(
                ChargingSession.status == SessionStatus.FINISHED,
                ChargingSession.payment_status == PaymentStatus.PENDING,
                ChargingSession.stopped_at < now - timedelta(seconds=30),
            )
            .order_by(ChargingSession.id)
            .limit(BATCH)
        )
    )


def bill(session: Session, *, session_id: int, now: datetime) -> None:
    """Bill one finished session under its row lock."""
    row = session.get(ChargingSession, session_id, with_for_update=True)
    if row is not None:
        billing.bill_session(session, row, now=now)
