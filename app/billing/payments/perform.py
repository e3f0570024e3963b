"""A transaction's way to its processor and back: asked outside any database transaction, answered once.

Three steps, each of which may be the last before the process dies: the row says that it is being asked (committed),
the processor is asked, the answer is recorded (committed). What was asked and never answered is asked again with the
same key, so that nobody is charged twice. product.md, "Money".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import (
    PaymentMethod,
    ProcessorCustomer,
    Transaction,
    TransactionEvent,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import processors
from app.billing.payments.lifecycle import PaymentEvent, PaymentLifecycleError, next_status
from app.billing.payments.processors import (
    Answer,
    AnswerKind,
    Order,
    ProcessorMisconfigured,
    ProcessorUnreachable,
    UnknownProcessor,
)
from app.core import events
from app.core.models import CurrencyRow

log = structlog.get_logger(__name__)

Transact = Callable[[], AbstractContextManager[Session]]
FollowUp = Callable[[Session, Transaction, datetime], None]

#: after the nth attempt without an answer the next follows after this long; the last is repeated until GIVE_UP_AFTER
BACKOFF = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
#: processors keep idempotency keys for a day: later the same key could charge again
GIVE_UP_AFTER = timedelta(hours=23)
#: an attempt that has not been answered for so long belongs to a process that died
ASKED_TOO_LONG_AGO = timedelta(minutes=2)
BATCH = 100

_EVENTS = {
    AnswerKind.SUCCEEDED: PaymentEvent.SUCCEEDED,
    AnswerKind.DECLINED: PaymentEvent.DECLINED,
    AnswerKind.AUTHENTICATION_REQUIRED: PaymentEvent.AUTHENTICATION_REQUIRED,
}

_follow_ups: dict[TransactionPurpose, FollowUp] = {}


def follow_up(purpose: TransactionPurpose) -> Callable[[FollowUp], FollowUp]:
    """Register what follows when a transaction of a purpose changes its state, in the same database transaction."""

    def register(function: FollowUp) -> FollowUp:
        _follow_ups[purpose] = function
        return function

    return register


@dataclass(frozen=True)
class _Ask:
    """What is to be asked, and whom."""

    processor: processors.Processor
    order: Order


def perform(transact: Transact, *, transaction_id: int, clock: Callable[[], datetime]) -> TransactionStatus:
    """Ask the processor about one pending transaction and record its answer. Returns the state it is in then.

    Anything but Pending is left as it is. Nobody else asks about it at the same time for two minutes.
    """
    with transact() as session:
        ask = _begin(session, transaction_id=transaction_id, now=clock())
        status = session.get_one(Transaction, transaction_id).status
    if ask is None:
        return status
    answer: Answer | None = None
    problem = ""
    try:
        answer = ask.processor.perform(ask.order)
    except (ProcessorUnreachable, ProcessorMisconfigured) as error:
        problem = str(error)
    except Exception as error:  # an adapter's own mistake: nothing is known, so the same is asked again later
        log.exception("payment.adapter_failed", transaction_id=transaction_id)
        problem = f"{type(error).__name__}: {error}"
    with transact() as session:
        if answer is None:
            return _postpone(session, transaction_id=transaction_id, problem=problem, now=clock())
        return record_answer(session, transaction_id=transaction_id, answer=answer, told_by="Answered", now=clock())


def _begin(session: Session, *, transaction_id: int, now: datetime) -> _Ask | None:
    """Claim the attempt and build the order; None when there is nothing to ask. Flushes."""
    row = session.get_one(Transaction, transaction_id, with_for_update=True)
    if row.status is not TransactionStatus.PENDING:
        return None
    if row.asked_at is not None and row.asked_at > now - ASKED_TOO_LONG_AGO:
        return None  # somebody is asking right now
    try:
        asked = processors.processor(session, row.processor)
    except (UnknownProcessor, ProcessorMisconfigured) as error:
        _postpone(session, transaction_id=row.id, problem=str(error), now=now)
        return None
    order = _order(session, row)
    row.asked_at, row.updated_at = now, now
    row.next_attempt_at = now + ASKED_TOO_LONG_AGO
    note(session, row, "Asked", now=now, message=f"{row.type.label} of {row.amount:f} {row.currency}")
    session.flush()
    return _Ask(asked, order)


def _order(session: Session, row: Transaction) -> Order:
    method = session.get(PaymentMethod, row.payment_method_id) if row.payment_method_id else None
    customer = session.get(ProcessorCustomer, (row.user_id, row.processor)) if row.user_id else None
    parent = session.get(Transaction, row.parent_id) if row.parent_id else None
    return Order(
        operation=row.type,
        key=attempt_key(row),
        amount=row.amount,
        currency=row.currency,
        exponent=session.get_one(CurrencyRow, row.currency).exponent,
        token=method.reference if method and row.parent_id is None else None,
        customer=customer.reference if customer else None,
        parent_reference=parent.processor_reference if parent else None,
        description=row.description or _description(row),
        metadata={"transaction_id": str(row.id), "session_id": str(row.session_id or "")},
    )


def _description(row: Transaction) -> str:
    if row.session_id is not None:
        return f"Charging session {row.session_id}"
    return "Top-up" if row.purpose is TransactionPurpose.TOP_UP else row.type.label


def attempt_key(row: Transaction) -> str:
    """The idempotency key of the current attempt: an attempt that was declined is not the next one."""
    return row.idempotency_key if row.attempts == 0 else f"{row.idempotency_key}:{row.attempts + 1}"


def _postpone(session: Session, *, transaction_id: int, problem: str, now: datetime) -> TransactionStatus:
    """Nothing is known: ask again later, or give up when the processor would no longer know the key. Flushes."""
    row = session.get_one(Transaction, transaction_id, with_for_update=True)
    if row.status is not TransactionStatus.PENDING:
        return row.status
    note(session, row, "Not answered", now=now, message=problem)
    asked = sum(1 for each in row.events if each.event == "Not answered")
    row.asked_at = None
    row.failure_reason = problem
    row.next_attempt_at = now + BACKOFF[min(asked, len(BACKOFF)) - 1 if asked else 0]
    if row.created_at < now - GIVE_UP_AFTER:
        _change(session, row, PaymentEvent.GIVEN_UP, now=now)
    session.flush()
    return row.status


def record_answer(
    session: Session, *, transaction_id: int, answer: Answer, told_by: str, now: datetime
) -> TransactionStatus:
    """Write down what a processor said, once, and let whoever it concerns follow it up. Flushes. Returns the state.

    ``told_by`` is how it was learnt, for the history: Answered, Webhook. An answer that cannot follow the state (a
    late decline of what has succeeded) is noted and changes nothing.
    """
    row = session.get_one(Transaction, transaction_id, with_for_update=True)
    if answer.reference:
        row.processor_reference = answer.reference
    if answer.kind is AnswerKind.PENDING:
        note(session, row, told_by, now=now, reference=answer.reference, message="The processor is working on it")
        session.flush()
        return row.status
    event = _EVENTS[answer.kind]
    message = answer.message or event.label
    note(session, row, told_by, now=now, reference=answer.reference, message=message, detail=dict(answer.detail))
    try:
        _change(session, row, event, now=now, reason=None if event is PaymentEvent.SUCCEEDED else message)
    except PaymentLifecycleError as error:
        note(session, row, "Contradiction", now=now, message=str(error))
        log.error("payment.contradiction", transaction_id=row.id, error=str(error))
    session.flush()
    return row.status


def retry(session: Session, *, row: Transaction, payment_method: PaymentMethod | None, now: datetime) -> None:
    """Have a declined transaction asked anew, as another attempt, perhaps by another payment method. Flushes.

    ``row`` is locked by the caller. Raises PaymentLifecycleError.
    """
    if payment_method is not None:
        row.payment_method_id, row.processor = payment_method.id, payment_method.processor
    row.attempts += 1
    row.asked_at = None
    row.next_attempt_at = now
    method = str(payment_method) if payment_method else None
    note(session, row, PaymentEvent.RETRIED.label, now=now, message=method)
    _change(session, row, PaymentEvent.RETRIED, now=now)


def cancel(session: Session, *, row: Transaction, reason: str, now: datetime) -> None:
    """End a transaction of which nothing shall come. ``row`` is locked. Flushes. Raises PaymentLifecycleError."""
    note(session, row, PaymentEvent.CANCELLED.label, now=now, message=reason)
    _change(session, row, PaymentEvent.CANCELLED, now=now, reason=reason)


def change(
    session: Session, row: Transaction, event: PaymentEvent, *, now: datetime, reason: str | None = None
) -> None:
    """Let something happen to a locked transaction without its processor. Flushes. Raises PaymentLifecycleError."""
    _change(session, row, event, now=now, reason=reason)


def _change(
    session: Session, row: Transaction, event: PaymentEvent, *, now: datetime, reason: str | None = None
) -> None:
    after = next_status(row.status, event, type_=row.type, purpose=row.purpose)
    if after is row.status:
        return
    row.status, row.updated_at = after, now
    row.failure_reason = reason
    if after is not TransactionStatus.PENDING:
        row.asked_at = row.next_attempt_at = None
    session.flush()
    if after is TransactionStatus.SUCCEEDED and row.payment_method_id is not None and row.parent_id is None:
        method = session.get_one(PaymentMethod, row.payment_method_id)
        method.last_used_at = max(now, method.last_used_at or now)
    if after is TransactionStatus.SUCCEEDED and row.type in (TransactionType.CAPTURE, TransactionType.VOID):
        assert row.parent_id is not None
        hold = session.get_one(Transaction, row.parent_id, with_for_update=True)
        hold.closed_at = hold.closed_at or now
    session.flush()
    events.announce(
        session,
        "transaction.changed",
        partner_id=row.partner_id,
        transaction_id=row.id,
        session_id=row.session_id,
        user_id=row.user_id,
    )
    following = _follow_ups.get(row.purpose)
    if following is not None:
        following(session, row, now)


def note(
    session: Session,
    row: Transaction,
    event: str,
    *,
    now: datetime,
    reference: str | None = None,
    message: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Add an entry to a transaction's history."""
    session.add(
        TransactionEvent(
            transaction_id=row.id,
            partner_id=row.partner_id,
            at=now,
            event=event,
            processor=row.processor,
            reference=reference,
            message=message,
            detail=detail or {},
        )
    )


def due(session: Session, *, now: datetime) -> list[int]:
    """Pending transactions whose next attempt is due, oldest first."""
    return list(
        session.scalars(
            select(Transaction.id)
            .where(Transaction.status == TransactionStatus.PENDING, Transaction.next_attempt_at <= now)
            .order_by(Transaction.next_attempt_at, Transaction.id)
            .limit(BATCH)
        )
    )


def perform_due(transact: Transact, *, clock: Callable[[], datetime]) -> int:
    """Ask about everything that is due. Returns how many. One that fails does not keep the others from it."""
    with transact() as session:
        ids = due(session, now=clock())
    for transaction_id in ids:
        try:
            perform(transact, transaction_id=transaction_id, clock=clock)
        except Exception:
            log.exception("payment.failed", transaction_id=transaction_id)
    return len(ids)
