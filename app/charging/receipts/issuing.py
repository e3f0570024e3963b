"""Issuing what is due: by the clock for everybody, and now for one driver. Manual, "Receipts".

What is due is derived from the database, so that a month nobody was there for is caught up. Each driver is a
transaction of its own: one whose receipt cannot be made keeps nobody from theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime

import structlog
from sqlalchemy.orm import Session

from app.billing.models import Receipt
from app.billing.receipts import credit_notes, files
from app.billing.receipts.issue import is_on, issue
from app.billing.receipts.words import language_of
from app.charging.receipts.gather import Due, due_drivers, due_sessions, last_day, month_of
from app.core import actions, settings
from app.core.clock import zone
from app.core.models import ActionStatus, Admin
from app.crm.models import User

log = structlog.get_logger(__name__)

BATCH = 100
#: one call works for at most this long; what is left is due at the next
BUDGET_S = 60.0
PER_SESSION = "session"
ISSUE = "Issue receipt"

Transact = Callable[[], AbstractContextManager[Session]]


class NothingToIssue(Exception):
    """The driver has paid nothing that stands on no receipt yet."""


class ReceiptsOff(Exception):
    """Settings say that we make no receipts."""


def tend(transact: Transact, *, clock: Callable[[], datetime], budget_s: float = BUDGET_S) -> int:
    """Issue receipts and credit notes that are due and make PDFs that are missing. Returns how many things were done.

    Nothing is issued when Settings > Invoices processor says so; the PDFs of what was issued before are made.
    """
    ends_at = time.monotonic() + budget_s
    done = 0
    with transact() as session:
        on = is_on(session)
    steps = (_drivers, _refunds, _files) if on else (_files,)
    for step in steps:
        for work in step(transact, clock):
            if time.monotonic() > ends_at:
                return done
            done += work()
    return done


Work = Callable[[], int]


def _drivers(transact: Transact, clock: Callable[[], datetime]) -> Iterator[Work]:
    last = 0
    while True:
        with transact() as session:
            found = due_drivers(session, before=_cut(session, clock()), after_user_id=last, limit=BATCH)
        for last in found:
            yield lambda user_id=last: _alone(  # type: ignore[misc]
                transact, "driver", user_id, lambda session: len(issue_due(session, user_id=user_id, now=clock()))
            )
        if len(found) < BATCH:
            return


def _refunds(transact: Transact, clock: Callable[[], datetime]) -> Iterator[Work]:
    last = 0
    while True:
        with transact() as session:
            found = credit_notes.due_refunds(session, after_id=last, limit=BATCH)
        for last in found:
            yield lambda refund_id=last: _alone(  # type: ignore[misc]
                transact,
                "refund",
                refund_id,
                lambda session: credit_notes.issue_credit_note(session, refund_id=refund_id, now=clock()) is not None,
            )
        if len(found) < BATCH:
            return


def _files(transact: Transact, clock: Callable[[], datetime]) -> Iterator[Work]:
    last = 0
    while True:
        with transact() as session:
            found = files.without_file(session, after_id=last, limit=BATCH)
        for last in found:
            yield lambda receipt_id=last: _make_file(transact, receipt_id, clock)  # type: ignore[misc]
        if len(found) < BATCH:
            return


def _alone(transact: Transact, what: str, number: int, work: Callable[[Session], int]) -> int:
    """Do it in a transaction of its own; 0 and a line in the log when it cannot be done."""
    try:
        with transact() as session:
            return int(work(session))
    except Exception:  # whatever is wrong with one must not keep the others from theirs; the next tick tries again
        log.exception("receipts.failed", what=what, id=number)
        return 0


def _make_file(transact: Transact, receipt_id: int, clock: Callable[[], datetime]) -> int:
    try:
        return files.make_file(transact, receipt_id=receipt_id, clock=clock) is not None
    except Exception:  # the same
        log.exception("receipts.failed", what="file", id=receipt_id)
        return 0


def issue_due(session: Session, *, user_id: int, now: datetime) -> list[Receipt]:
    """A driver's receipts that are due: one per currency and month, or one per session as Settings say. Flushes."""
    user = credit_notes.lock_driver(session, user_id=user_id)  # what another one issues meanwhile is seen then
    issued = []
    for currency, sessions in _gathered(session, user, before=_cut(session, now)).items():
        for period, due in _portions(session, sessions):
            lines = [each.line for each in due]
            issued.append(issue(session, user=user, currency=currency, period=period, lines=lines, now=now))
    return issued


def issue_now(session: Session, *, user: User, reason: str, actor: Admin, now: datetime) -> list[Receipt]:
    """Everything a driver has paid and has no receipt for, in one per currency (per session as Settings say).

    Also what is of this month. Each is an action. Flushes. Raises ReceiptsOff, NothingToIssue, ReasonRequired.
    """
    if not is_on(session):
        raise ReceiptsOff("No receipts are made: see CONFIGURATION > Settings > Invoices processor.")
    user = credit_notes.lock_driver(session, user_id=user.id)
    timezone = settings.get_text(session, "system.timezone")
    issued = []
    for currency, sessions in _gathered(session, user, before=None).items():
        if settings.get_text(session, "receipt.per") == PER_SESSION:
            portions = list(_portions(session, sessions))
        else:
            days = [each.line.stopped_at.astimezone(zone(timezone)).date() for each in sessions]
            portions = [((min(days), max(days)), sessions)]
        for period, due in portions:
            lines = [each.line for each in due]
            issued.append(issue(session, user=user, currency=currency, period=period, lines=lines, now=now))
    if not issued:
        raise NothingToIssue(f"{user} has paid nothing that is not on a receipt yet.")
    for receipt in issued:
        actions.open_action(
            session,
            name=ISSUE,
            target_type=Receipt.__tablename__,
            target_id=receipt.id,
            target_label=receipt.full_number,
            info=f"For {user.email}",
            reason=reason,
            actor=actor,
            status=ActionStatus.FINISHED,
            user_id=user.id,
            now=now,
        )
    return issued


def _cut(session: Session, now: datetime) -> datetime | None:
    """Sessions before it are due: this month's are not yet, unless each gets its own receipt at once."""
    if settings.get_text(session, "receipt.per") == PER_SESSION:
        return None
    return month_of(now, settings.get_text(session, "system.timezone"))


def _gathered(session: Session, user: User, *, before: datetime | None) -> dict[str, list[Due]]:
    timezone = settings.get_text(session, "system.timezone")
    language = language_of(user.locale)
    return due_sessions(session, user_id=user.id, before=before, timezone=timezone, language=language)


def _portions(session: Session, sessions: list[Due]) -> Iterator[tuple[tuple[date, date], list[Due]]]:
    """What goes together, with its period, oldest first."""
    if settings.get_text(session, "receipt.per") == PER_SESSION:
        timezone = settings.get_text(session, "system.timezone")
        for each in sessions:
            day = each.line.stopped_at.astimezone(zone(timezone)).date()
            yield (day, day), [each]
        return
    for month in sorted({each.month for each in sessions}):
        yield (month, last_day(month)), [each for each in sessions if each.month == month]
