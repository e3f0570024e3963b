"""A transaction's way to its processor and back: asked outside any database transaction, answered once.

Three steps, each of which may be the last before the process dies: the row says that it is being asked (committed),
the processor is asked, the answer is recorded (committed). What was asked and never answered is looked up, and asked
again with the same key, so that nobody is charged twice. That is also how a lost webhook is made good: what a
processor is still working on, what waits for the driver's authentication, and what was given up without an answer is
looked up again and again, for a month. product.md, "Money"; docs/adr/0014.

``transact`` opens a database transaction: app.core.db.transaction in jobs and the gateway; screens give
app.core.db.separate_transaction, which leaves the request's own session (and who is signed in) alone, and refresh the
row afterwards. All of it needs an application context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionStatus
from app.billing.payments import asking
from app.billing.payments.asking import Question, Reply, attempt_key
from app.billing.payments.changes import LOOK_UP_FIRST, cancel, change, follow_up, locked, retry, tell
from app.billing.payments.history import (
    ANSWERED,
    ASKED,
    CONTRADICTION,
    LOOKED_UP,
    NOT_ANSWERED,
    Attempts,
    attempts,
    note,
)
from app.billing.payments.lifecycle import PaymentEvent, PaymentLifecycleError, next_status
from app.billing.payments.processors import Answer, AnswerKind, ProcessorMisconfigured, UnknownProcessor

__all__ = [
    "Transact",
    "attempt_key",
    "cancel",
    "change",
    "follow_up",
    "locked",
    "look_up",
    "note",
    "perform",
    "perform_due",
    "record_answer",
    "retry",
]

log = structlog.get_logger(__name__)

T = TypeVar("T")
Transact = Callable[[], AbstractContextManager[Session]]

#: after the nth attempt without an answer the next follows after this long; the last is repeated until GIVE_UP_AFTER
BACKOFF = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
#: counted from when the current attempt was first asked; later the processor may no longer know the key
GIVE_UP_AFTER = asking.KEY_KNOWN_FOR
#: an attempt that has not been answered for so long belongs to a process that died
ASKED_TOO_LONG_AGO = timedelta(minutes=2)
#: what may still change at the processor is looked up (after an hour, then ever more seldom) at most for so long
LOOK_UP_FOR = timedelta(days=30)
#: what a processor is working on: after this, then ever more seldom, until it is done
WORKING_FIRST = timedelta(minutes=2)
#: after a mistake of ours
PUT_OFF = timedelta(minutes=5)
BATCH = 100

_EVENTS = {
    AnswerKind.SUCCEEDED: PaymentEvent.SUCCEEDED,
    AnswerKind.DECLINED: PaymentEvent.DECLINED,
    AnswerKind.AUTHENTICATION_REQUIRED: PaymentEvent.AUTHENTICATION_REQUIRED,
}
#: Pending is asked; the others are looked up when they have a next attempt
_DUE = (
    TransactionStatus.PENDING,
    TransactionStatus.AUTHENTICATION_REQUIRED,
    TransactionStatus.OUTSTANDING,
    TransactionStatus.FAILED,
)
#: two that lock the same rows in another order: PostgreSQL ends one of them, which may try again
_LOST_A_RACE = frozenset({"40P01", "40001"})


def perform(transact: Transact, *, transaction_id: int, clock: Callable[[], datetime]) -> TransactionStatus:
    """Ask the processor about one pending transaction and record its answer. Returns the state it is in then.

    Anything but Pending is left as it is, and so is what somebody else is asking about: for two minutes it is theirs.
    """

    def begin(session: Session) -> tuple[Question | None, TransactionStatus]:
        asked = _begin(session, locked(session, transaction_id), now=clock())
        return asked, session.get_one(Transaction, transaction_id).status

    asked, status = _in(transact, begin)
    if asked is None:
        return status
    reply = asking.ask(asked)
    return _in(transact, lambda session: _write_down(session, transaction_id, reply, now=clock()))


def look_up(transact: Transact, *, transaction_id: int, clock: Callable[[], datetime]) -> TransactionStatus:
    """See what has become of a transaction that the processor may know more about than we do. Returns its state.

    Such is one that waits for the driver's authentication, and one that was given up without an answer. Nothing is
    asked for: money only moves in our books.
    """

    def begin(session: Session) -> tuple[Question | None, TransactionStatus]:
        row = locked(session, transaction_id)
        if row.status not in _DUE or row.next_attempt_at is None or row.next_attempt_at > clock():
            return None, row.status
        history = attempts(session, row)
        row.next_attempt_at = clock() + ASKED_TOO_LONG_AGO  # nobody else looks it up meanwhile
        try:
            return asking.question(session, row, history, now=clock()), row.status
        except (UnknownProcessor, ProcessorMisconfigured):
            _plan_look_up(row, history, now=clock())
            return None, row.status

    asked, status = _in(transact, begin)
    if asked is None or status is TransactionStatus.PENDING:
        return status
    reply = asking.look_up(asked)
    return _in(transact, lambda session: _write_found(session, transaction_id, reply, now=clock()))


def _in(transact: Transact, work: Callable[[Session], T]) -> T:
    for _ in range(2):
        try:
            with transact() as session:
                return work(session)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _LOST_A_RACE:
                raise
    with transact() as session:
        return work(session)


def _begin(session: Session, row: Transaction, *, now: datetime) -> Question | None:
    """Claim the attempt and build the question; None when there is nothing to ask. Flushes."""
    if row.status is not TransactionStatus.PENDING:
        return None
    if row.asked_at is not None and row.asked_at > now - ASKED_TOO_LONG_AGO:
        return None  # somebody is asking right now
    history = attempts(session, row)
    try:
        asked = asking.question(session, row, history, now=now)
    except (UnknownProcessor, ProcessorMisconfigured) as error:
        _postpone(session, row, history, Reply(key=attempt_key(row), problem=str(error)), now=now)
        return None
    row.asked_at, row.updated_at = now, now
    row.next_attempt_at = now + ASKED_TOO_LONG_AGO
    if asked.may_be_asked:
        amount = f"{row.amount:.{asked.order.exponent}f} {row.currency}"
        detail: dict[str, object] = {"key": asked.order.key, "payment_method_id": row.payment_method_id}
        note(session, row, ASKED, now=now, message=f"{row.type.label} of {amount}", detail=detail)
    session.flush()
    return asked


def _write_down(session: Session, transaction_id: int, reply: Reply, *, now: datetime) -> TransactionStatus:
    row = locked(session, transaction_id)
    history = attempts(session, row)
    _note_settled(session, row, history, reply, now=now)
    if reply.answer is not None:
        return record_answer(
            session, transaction_id=row.id, answer=reply.answer, told_by=ANSWERED, key=reply.key, now=now
        )
    if row.status is TransactionStatus.PENDING and reply.key == attempt_key(row):
        _postpone(session, row, history, reply, now=now)
    return row.status


def _note_settled(session: Session, row: Transaction, history: Attempts, reply: Reply, *, now: datetime) -> None:
    for key in reply.settled:
        if key in history.unknown:
            del history.unknown[key]
            said = "Nothing came of an attempt that was given up."
            note(session, row, LOOKED_UP, now=now, message=said, detail={"key": key, "settled": True})


def _postpone(session: Session, row: Transaction, history: Attempts, reply: Reply, *, now: datetime) -> None:
    """Nothing came back: ask again later, or give up when the processor would no longer know the key. Flushes.

    ``reply`` without a problem: the processor does not know of it, and the key is too old to be asked again.
    """
    problem = reply.problem or "The processor does not know of it."
    note(session, row, NOT_ANSWERED, now=now, message=problem, detail={"key": reply.key})
    row.asked_at = None
    row.failure_reason = problem
    row.next_attempt_at = now + BACKOFF[min(history.unanswered, len(BACKOFF) - 1)]
    if (history.asked_at or history.began_at) <= now - GIVE_UP_AFTER:
        known = history.asked_at is None or not reply.problem
        detail: dict[str, object] = {"key": reply.key, **({"settled": True} if known else {})}
        note(session, row, PaymentEvent.GIVEN_UP.label, now=now, message=problem, detail=detail)
        change(session, row, PaymentEvent.GIVEN_UP, now=now, reason=f"{PaymentEvent.GIVEN_UP.label}. {problem}")
        row.next_attempt_at = None if known else now + LOOK_UP_FIRST
    session.flush()


def _write_found(session: Session, transaction_id: int, reply: Reply, *, now: datetime) -> TransactionStatus:
    row = locked(session, transaction_id)
    history = attempts(session, row)
    _note_settled(session, row, history, reply, now=now)
    waits = row.status is TransactionStatus.AUTHENTICATION_REQUIRED
    news = (AnswerKind.SUCCEEDED, AnswerKind.DECLINED) if waits else (AnswerKind.SUCCEEDED,)
    if reply.answer is not None and reply.answer.kind in news:
        record_answer(session, transaction_id=row.id, answer=reply.answer, told_by=LOOKED_UP, key=reply.key, now=now)
    if row.status in _DUE and row.status is not TransactionStatus.PENDING:
        _plan_look_up(row, history, now=now)
        session.flush()
        if row.next_attempt_at is None:  # it is certain now, as far as it will ever be
            tell(session, row, now=now)
    return row.status


def _plan_look_up(row: Transaction, history: Attempts, *, now: datetime) -> None:
    """When to look again at what may have become something else; never, once that is certain or a month has gone."""
    open_ = history.unknown or row.status is TransactionStatus.AUTHENTICATION_REQUIRED
    age = now - (history.asked_at or history.began_at)
    row.next_attempt_at = now + max(LOOK_UP_FIRST, age / 4) if open_ and age < LOOK_UP_FOR else None


def record_answer(
    session: Session,
    *,
    transaction_id: int,
    answer: Answer,
    told_by: str,
    now: datetime,
    key: str | None = None,
) -> TransactionStatus:
    """Write down what a processor said, once, and let whoever it concerns follow it up. Flushes. Returns the state.

    ``told_by`` is how it was learnt, for the history: Answered, Webhook. ``key``: the attempt it is about, when that is
    known: an earlier attempt's decline comes late and changes nothing, its success is money that has moved. An answer
    that cannot follow the state (a late decline of what has succeeded) is noted as a contradiction and changes nothing.
    """
    row = locked(session, transaction_id)
    history = attempts(session, row)
    late = key is not None and key != attempt_key(row)
    late = late or (answer.reference in history.earlier and answer.reference not in history.references)
    event = _EVENTS.get(answer.kind)
    detail: dict[str, object] = {**answer.detail, **({"stale": True} if late else {})}
    message = answer.message or (event.label if event else "The processor is working on it")
    note(session, row, told_by, now=now, reference=answer.reference, message=message, detail=detail)
    if event is None:
        if row.status is TransactionStatus.PENDING:
            row.processor_reference = row.processor_reference if late else answer.reference or row.processor_reference
            row.asked_at = None
            row.next_attempt_at = now + max(WORKING_FIRST, (now - (history.asked_at or now)) / 4)
    elif not late or event is PaymentEvent.SUCCEEDED:
        _take(session, row, history, answer, event, key=key, message=message, now=now)
    session.flush()
    return row.status


def _take(
    session: Session,
    row: Transaction,
    history: Attempts,
    answer: Answer,
    event: PaymentEvent,
    *,
    key: str | None,
    message: str,
    now: datetime,
) -> None:
    """Let an answer change the transaction, or note that it contradicts what is known."""
    problem = ""
    try:
        next_status(row.status, event, type_=row.type, purpose=row.purpose)
    except PaymentLifecycleError as error:
        problem = str(error)
    if row.status is TransactionStatus.SUCCEEDED and event is PaymentEvent.SUCCEEDED:
        if answer.reference and row.processor_reference and answer.reference != row.processor_reference:
            problem = f"It has succeeded twice: {row.processor_reference} and {answer.reference}."
        elif row.processor_reference:
            return
    if problem:
        note(session, row, CONTRADICTION, now=now, reference=answer.reference, message=problem)
        log.error("payment.contradiction", transaction_id=row.id, error=problem)
        return
    if event is PaymentEvent.SUCCEEDED and key in history.keys:
        row.processor, row.payment_method_id = history.keys[key]  # it was an earlier attempt that has paid
    row.processor_reference = answer.reference or row.processor_reference
    change(session, row, event, now=now, reason=None if event is PaymentEvent.SUCCEEDED else message)


def due(session: Session, *, now: datetime) -> list[tuple[int, TransactionStatus]]:
    """Transactions whose next attempt (or look-up) is due, oldest first."""
    rows = session.execute(
        select(Transaction.id, Transaction.status)
        .where(Transaction.next_attempt_at <= now, Transaction.status.in_(_DUE))
        .order_by(Transaction.next_attempt_at, Transaction.id)
        .limit(BATCH)
    )
    return [(row.id, row.status) for row in rows]


def perform_due(transact: Transact, *, clock: Callable[[], datetime]) -> int:
    """Ask about everything that is due. Returns how many. One that fails does not keep the others from it."""
    with transact() as session:
        found = due(session, now=clock())
    for transaction_id, status in found:
        try:
            work = perform if status is TransactionStatus.PENDING else look_up
            work(transact, transaction_id=transaction_id, clock=clock)
        except Exception:  # whatever is wrong with this one: the others go on, and it is not due again at once
            log.exception("payment.failed", transaction_id=transaction_id)
            _put_off(transact, transaction_id, now=clock())
    return len(found)


def _put_off(transact: Transact, transaction_id: int, *, now: datetime) -> None:
    with transact() as session:
        session.execute(
            update(Transaction)
            .where(Transaction.id == transaction_id, Transaction.next_attempt_at <= now)
            .values(next_attempt_at=now + PUT_OFF)
        )
