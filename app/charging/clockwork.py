"""What time alone does to sessions. Manual, "Session Timeout". Each is derived from the database, so that a tick that
was missed is caught up, and repeated ticks change nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import any_, literal, select, text
from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.charging import bill as billing
from app.charging.endings import announce, fail_session, finish_by_rule
from app.charging.flags import NO_STOP_MESSAGE, PRICE_PROBLEM
from app.charging.lifecycle import PaymentStatus, SessionEvent, SessionStatus, next_status
from app.charging.models import ChargingSession
from app.charging.payments import credits, settlement
from app.core import settings
from app.core.batches import do_each

BATCH = 200

#: for so long an EVSE has been reported Available, while a session is thought to run on it, before the session is over
GHOST_AFTER_BOOT = timedelta(seconds=60)
GHOST_WITHOUT_BOOT = timedelta(minutes=10)
#: a payment is looked at again when nothing was heard of it for so long after the session
RESUME_AFTER = timedelta(minutes=10)


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

    def fail(row: ChargingSession) -> None:
        event = SessionEvent.START_TIMED_OUT
        fail_session(session, row, event=event, reason=event.label)

    return do_each(session, rows, fail)


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

    def reset(row: ChargingSession) -> None:
        row.status = next_status(row.status, SessionEvent.STOP_TIMED_OUT)
        row.stopping_at = None
        session.flush()
        announce(session, "session.changed", row)

    return do_each(session, rows, reset)


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

    def finish(row: ChargingSession) -> None:
        finish_by_rule(session, row, event=SessionEvent.INACTIVITY_ELAPSED, flag=NO_STOP_MESSAGE, now=now)

    return do_each(session, rows, finish)


#: ``since`` is when the EVSE became Available, by the log: the state's own time moves with each repetition
_GHOSTS = text("""
SELECT quiet.id, quiet.since FROM (
  SELECT s.id, CASE
      WHEN c.booted_at > coalesce(s.start_received_at, s.started_at) AND e.status_received_at >= c.booted_at
        AND greatest(c.booted_at, became.at) < :boot_before
        AND s.last_activity_at <= greatest(c.booted_at, became.at) THEN greatest(c.booted_at, became.at)
      WHEN became.at < :before AND s.last_activity_at <= became.at THEN became.at
    END AS since
  FROM charging_session s
  JOIN evse_state e ON e.evse_id = s.evse_id AND e.status = 'available'
  JOIN charge_point_state c ON c.charge_point_id = s.charge_point_id
  CROSS JOIN LATERAL (
    SELECT max(l.at) AS at FROM hardware_status_log l WHERE l.charge_point_id = s.charge_point_id
      AND l.evse_id = s.evse_id AND l.status = 'available' AND l.at >= s.last_activity_at
  ) became
  WHERE s.status IN ('active', 'stopping')
) quiet WHERE quiet.since IS NOT NULL LIMIT :batch
""")


def close_ghosts(session: Session, *, now: datetime) -> int:
    """Finish sessions that the station no longer knows, at their last reading. Returns how many.

    Such are those whose EVSE the station has reported Available, without a reading since: for a minute, when it
    booted after the session had begun; else for ten minutes (stations.md, line 10). A station that goes on charging
    after a boot says so, and its session goes on.
    """
    found = session.execute(
        _GHOSTS, {"boot_before": now - GHOST_AFTER_BOOT, "before": now - GHOST_WITHOUT_BOOT, "batch": BATCH}
    ).all()
    since: dict[int, datetime] = {row.id: row.since for row in found}
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.id.in_(since),
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING)),
        )
        .with_for_update(skip_locked=True)
    ).all()

    def close(row: ChargingSession) -> None:
        event = SessionEvent.GHOST_CLOSED
        finish_by_rule(session, row, event=event, flag=NO_STOP_MESSAGE, now=now, not_after=since[row.id])

    quiet = [row for row in rows if row.last_activity_at is None or row.last_activity_at <= since[row.id]]
    return do_each(session, quiet, close)


def unbilled(session: Session, *, now: datetime) -> list[int]:
    """Finished sessions that are still to be billed, oldest first; those just finished are left to their stop.

    Those whose price could not be calculated before come last: they must not keep the others waiting.
    """
    return list(
        session.scalars(
            select(ChargingSession.id)
            .where(
                ChargingSession.status == SessionStatus.FINISHED,
                ChargingSession.payment_status == PaymentStatus.PENDING,
                ChargingSession.stopped_at < now - timedelta(seconds=30),
            )
            .order_by(literal(PRICE_PROBLEM) == any_(ChargingSession.flags), ChargingSession.id)
            .limit(BATCH)
        )
    )


def bill(session: Session, *, session_id: int, now: datetime) -> None:
    """Bill one finished session under its row lock."""
    row = session.get(ChargingSession, session_id, with_for_update=True)
    if row is not None:
        billing.bill_session(session, row, now=now)


def settle(session: Session, *, now: datetime) -> int:
    """Mark sessions as paid that their driver's balance covers by now. Returns how many."""
    return sum(
        credits.settle_outstanding(session, user_id=user_id, currency=currency, now=now)
        for user_id, currency in credits.settleable(session)
    )


def resume_payments(session: Session, *, now: datetime) -> int:
    """Go on with sessions whose payment is under way while no processor is being asked about it. Returns how many.

    Such is one whose capture was given up without an answer, once it is certain that nothing came of it.
    """
    asked = (
        select(Transaction.id)
        .where(
            Transaction.session_id == ChargingSession.id,
            Transaction.type.in_((TransactionType.CHARGE, TransactionType.CAPTURE)),
            Transaction.status == TransactionStatus.PENDING,
        )
        .exists()
    )
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.status == SessionStatus.FINISHED,
            ChargingSession.payment_status == PaymentStatus.PROCESSING,
            ChargingSession.stopped_at < now - RESUME_AFTER,
            ~asked,
        )
        .order_by(ChargingSession.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    return do_each(session, rows, lambda row: settlement.settle(session, row, now=now))
