"""What happens to a message after it was written: it is claimed, sent, tried again, given up, cancelled, sent anew.

The same for mails and SMS. The row is never locked while a server is spoken to: a claim moves ``next_attempt_at``
behind a lease and is committed, then the message is sent, then the outcome is recorded. A process that dies in between
leaves a waiting row whose lease ends: it is sent again (at least once; a mail has the same Message-ID then).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.core import actions
from app.core.messages import Mail, MessageStatus, SmsMessage
from app.core.models import Action, ActionStatus, Admin

M = TypeVar("M", Mail, SmsMessage)

#: for so long nobody else takes a claimed message; longer than all time-outs of one delivery together
LEASE = timedelta(minutes=10)
#: after the first, second … attempt that may succeed later; together about a day
RETRY_AFTER: tuple[timedelta, ...] = (
    *(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 8)),
)
#: of an SMS: most hold a code that somebody waits for; together about an hour
SMS_RETRY_AFTER: tuple[timedelta, ...] = tuple(timedelta(seconds=seconds) for seconds in (20, 60, 180, 600, 1200, 1800))
#: when the server itself is away, every waiting message waits this much longer
SERVER_AWAY = timedelta(minutes=1)


class ServerAway(Exception):
    """The server could not be reached, refused us, or broke off: any message may be sent later."""


class MessageRefused(Exception):
    """The server does not take this message; ``permanent`` when it never will."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class NotWaiting(Exception):
    """Only a message that waits can be cancelled."""


def retry_at(kind: type[Mail] | type[SmsMessage], attempts: int, *, now: datetime) -> datetime | None:
    """When a message is due again after so many attempts; None when it is given up."""
    waits = RETRY_AFTER if kind is Mail else SMS_RETRY_AFTER
    return now + waits[attempts - 1] if attempts <= len(waits) else None


def claim(session: Session, kind: type[M], *, now: datetime) -> M | None:
    """Take the message that has been due longest, for LEASE; None when none is. The caller commits, then sends."""
    found = session.scalars(
        select(kind)
        .where(kind.status == MessageStatus.WAITING, kind.next_attempt_at <= now)
        .order_by(kind.next_attempt_at, kind.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        return None
    found.attempts += 1
    found.next_attempt_at = now + LEASE
    session.flush()
    return found


def record_sent(session: Session, kind: type[M], *, id: int, now: datetime, **noted: Any) -> None:
    """The server took it. One that was cancelled meanwhile is sent all the same: it is gone."""
    session.execute(
        update(kind).where(kind.id == id).values(status=MessageStatus.SENT, sent_at=now, error=None, **noted)
    )


def record_failure(session: Session, kind: type[M], *, id: int, error: str, permanent: bool, now: datetime) -> None:
    """The server did not take it: it is due again later, or given up when that is no use (or was of none so long)."""
    found = session.get(kind, id, with_for_update=True, populate_existing=True)
    if found is None or found.status is not MessageStatus.WAITING:
        return
    again = None if permanent else retry_at(kind, found.attempts, now=now)
    found.error = error
    if again is None:
        found.status = MessageStatus.FAILED
    else:
        found.next_attempt_at = again
    session.flush()


def record_server_away(session: Session, kind: type[M], *, id: int, error: str, now: datetime) -> None:
    """The server could not be reached or did not let us in: that is no fault of any message.

    The claimed one counts its attempt; all others that are due wait a minute, so that a server that is away (or
    refuses our password) is asked once a minute and not once for each message.
    """
    record_failure(session, kind, id=id, error=error, permanent=False, now=now)
    session.execute(
        update(kind)
        .where(kind.status == MessageStatus.WAITING, kind.next_attempt_at <= now)
        .values(next_attempt_at=now + SERVER_AWAY, error=error)
    )


def give_up_overdue(session: Session, kind: type[M], *, due_before: datetime, why: str) -> int:
    """Fail what was due before that time and waits still: nobody can use it any more. Returns how many."""
    statement = (
        update(kind)
        .where(kind.status == MessageStatus.WAITING, kind.next_attempt_at < due_before)
        .values(status=MessageStatus.FAILED, error=why)
        .returning(kind.id)
    )
    return len(session.scalars(statement).all())


def resend(session: Session, *, message: Mail | SmsMessage, reason: str, actor: Admin, now: datetime) -> Action:
    """Let a message be sent (again) at once, whatever became of it. Flushes. Raises ReasonRequired."""
    kind = type(message)
    action = _action(session, "Resend", message, reason, actor, now)
    session.execute(
        update(kind)
        .where(kind.id == message.id)
        .values(status=MessageStatus.WAITING, attempts=0, next_attempt_at=now, sent_at=None, error=None)
    )
    session.refresh(message)
    return action


def cancel(session: Session, *, message: Mail | SmsMessage, reason: str, actor: Admin, now: datetime) -> Action:
    """Never send a message that still waits. Flushes. Raises NotWaiting and ReasonRequired."""
    kind = type(message)
    action = _action(session, "Cancel", message, reason, actor, now)
    done = session.execute(
        update(kind)
        .where(kind.id == message.id, kind.status == MessageStatus.WAITING)
        .values(status=MessageStatus.CANCELLED, error=f"Cancelled by {actor.name}")
        .returning(kind.id)
    ).one_or_none()
    session.refresh(message)
    if done is None:
        raise NotWaiting(f"It is {message.status.label.lower()} already.")
    return action


def _action(
    session: Session, name: str, message: Mail | SmsMessage, reason: str, actor: Admin, now: datetime
) -> Action:
    return actions.open_action(
        session,
        name=f"{name} {'mail' if isinstance(message, Mail) else 'SMS'}",
        target_type=message.__tablename__,
        target_id=message.id,
        target_label=str(message),
        info=f"To {message.recipient}",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        now=now,
    )


@dataclass(frozen=True)
class Standing:
    """What is in the outbox now, for whoever looks after it."""

    waiting: int
    #: of the waiting ones: tried before, without success
    tried: int
    next_attempt_at: datetime | None
    #: what the server said last to one that waits
    error: str
    #: given up within the last week
    failed: int


def standing(session: Session, kind: type[Mail] | type[SmsMessage], *, now: datetime) -> Standing:
    """How many wait, since when the server does not take them, and how many were given up lately."""
    is_waiting = kind.status == MessageStatus.WAITING
    waiting, tried, next_at = session.execute(
        select(func.count(), func.count().filter(kind.attempts > 0), func.min(kind.next_attempt_at)).where(is_waiting)
    ).one()
    error = session.scalar(
        select(kind.error).where(is_waiting, kind.error.is_not(None)).order_by(kind.next_attempt_at).limit(1)
    )
    failed = session.scalar(
        select(func.count())
        .select_from(kind)
        .where(kind.status == MessageStatus.FAILED, kind.created_at > now - timedelta(days=7))
    )
    return Standing(waiting, tried, next_at, error or "", failed or 0)
