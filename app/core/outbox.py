"""What happens to a mail after it was written: it is claimed, sent, tried again, given up, cancelled, sent anew.

The row is never locked while a mail server is spoken to: a claim moves ``next_attempt_at`` behind a lease and is
committed, then the mail is sent, then the outcome is recorded. A process that dies in between leaves a waiting row
whose lease ends: the mail is sent again, under the same Message-ID (at least once, and a duplicate can be told).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.core import actions
from app.core.models import Action, ActionStatus, Admin, Mail, MailStatus

#: for so long nobody else takes a claimed mail; longer than all time-outs of one delivery together
LEASE = timedelta(minutes=10)
#: after the first, second … attempt that may succeed later; together about a day
RETRY_AFTER: tuple[timedelta, ...] = (
    *(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 8)),
)
#: when the server itself is away, every waiting mail waits this much longer
SERVER_AWAY = timedelta(minutes=1)


class NotWaiting(Exception):
    """Only a mail that waits can be cancelled."""


def retry_at(attempts: int, *, now: datetime) -> datetime | None:
    """When a mail is due again after so many attempts; None when it is given up."""
    return now + RETRY_AFTER[attempts - 1] if attempts <= len(RETRY_AFTER) else None


def claim(session: Session, *, now: datetime) -> Mail | None:
    """Take the mail that has been due longest, for LEASE; None when none is due. The caller commits, then sends."""
    mail = session.scalars(
        select(Mail)
        .where(Mail.status == MailStatus.WAITING, Mail.next_attempt_at <= now)
        .order_by(Mail.next_attempt_at, Mail.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if mail is None:
        return None
    mail.attempts += 1
    mail.next_attempt_at = now + LEASE
    session.flush()
    return mail


def record_sent(session: Session, *, mail_id: int, now: datetime) -> None:
    """The server took it. One that was cancelled meanwhile is sent all the same: it is gone."""
    session.execute(update(Mail).where(Mail.id == mail_id).values(status=MailStatus.SENT, sent_at=now, error=None))


def record_failure(session: Session, *, mail_id: int, error: str, permanent: bool, now: datetime) -> None:
    """The server did not take it: it is due again later, or given up when that is no use (or was of none all day)."""
    mail = session.get(Mail, mail_id, with_for_update=True, populate_existing=True)
    if mail is None or mail.status is not MailStatus.WAITING:
        return
    again = None if permanent else retry_at(mail.attempts, now=now)
    mail.error = error
    if again is None:
        mail.status = MailStatus.FAILED
    else:
        mail.next_attempt_at = again
    session.flush()


def record_server_away(session: Session, *, mail_id: int, error: str, now: datetime) -> None:
    """The server could not be reached or did not let us in: that is no fault of any mail.

    The claimed one counts its attempt; all others that are due wait a minute, so that a server that is away (or
    refuses our password) is asked once a minute and not once for each mail.
    """
    record_failure(session, mail_id=mail_id, error=error, permanent=False, now=now)
    session.execute(
        update(Mail)
        .where(Mail.status == MailStatus.WAITING, Mail.next_attempt_at <= now)
        .values(next_attempt_at=now + SERVER_AWAY, error=error)
    )


def resend(session: Session, *, mail: Mail, reason: str, actor: Admin, now: datetime) -> Action:
    """Let a mail be sent (again) at once, whatever became of it. Flushes. Raises ReasonRequired."""
    action = _action(session, "Resend", mail, reason, actor, now)
    session.execute(
        update(Mail)
        .where(Mail.id == mail.id)
        .values(status=MailStatus.WAITING, attempts=0, next_attempt_at=now, sent_at=None, error=None)
    )
    session.refresh(mail)
    return action


def cancel(session: Session, *, mail: Mail, reason: str, actor: Admin, now: datetime) -> Action:
    """Never send a mail that still waits. Flushes. Raises NotWaiting and ReasonRequired."""
    action = _action(session, "Cancel", mail, reason, actor, now)
    done = session.execute(
        update(Mail)
        .where(Mail.id == mail.id, Mail.status == MailStatus.WAITING)
        .values(status=MailStatus.CANCELLED, error=f"Cancelled by {actor.name}")
        .returning(Mail.id)
    ).one_or_none()
    session.refresh(mail)
    if done is None:
        raise NotWaiting(f"It is {mail.status.label.lower()} already.")
    return action


def _action(session: Session, name: str, mail: Mail, reason: str, actor: Admin, now: datetime) -> Action:
    return actions.open_action(
        session,
        name=f"{name} mail",
        target_type="mail",
        target_id=mail.id,
        target_label=mail.subject,
        info=f"To {mail.recipient}",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        now=now,
    )


def waiting(session: Session) -> int:
    """How many mails wait to be sent."""
    return session.scalar(select(func.count()).select_from(Mail).where(Mail.status == MailStatus.WAITING)) or 0
