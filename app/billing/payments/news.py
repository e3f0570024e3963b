"""Webhooks: a processor's news, verified, stored once per event, and applied to the transaction they are about.

They come repeated, late and in any order, and about things we know nothing of. A state changes only as the life cycle
allows (``perform.record_answer``); what cannot follow is noted in the transaction's history. product.md, "Money".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.billing.models import (
    PaymentMethod,
    ProcessorNews,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import card_entry, processors
from app.billing.payments.asking import ATTEMPT
from app.billing.payments.perform import Transact, attempt_key, note, record_answer
from app.billing.payments.processors import Answer, AnswerKind, News

log = structlog.get_logger(__name__)

TOLD_BY = "Webhook"
NOT_OF_INTEREST = "Nothing to do"
UNKNOWN = "About nothing that is known here"
REPEATED = "Known already"


def receive(
    transact: Transact, *, processor: str, body: bytes, headers: Mapping[str, str], clock: Callable[[], datetime]
) -> str:
    """Take a webhook in. Returns what became of it, in words.

    Raises InvalidNews; UnknownProcessor, ProcessorMisconfigured and ProcessorUnreachable when it should come again.
    """
    with transact() as session:
        adapter = processors.processor(session, processor)
    news = adapter.read_news(body, headers)
    with transact() as session:
        number, handled = _keep(session, processor, news, now=clock())
    if handled:
        return REPEATED
    outcome = ""
    if news.setup_reference is not None:  # the processor is asked for the card, so outside of any transaction
        outcome = card_entry.finish_by_reference(
            transact, processor=processor, reference=news.setup_reference, clock=clock
        )
    with transact() as session:
        row = session.get_one(ProcessorNews, number, with_for_update=True)
        if row.handled_at is not None:
            return REPEATED
        row.outcome = outcome or apply(session, processor=processor, news=news, now=clock())
        row.handled_at = clock()
        return row.outcome


def _keep(session: Session, processor: str, news: News, *, now: datetime) -> tuple[int, bool]:
    """Store the event, or find it; its number, and whether it was handled."""
    session.execute(
        insert(ProcessorNews)
        .values(
            processor=processor,
            event_id=news.event_id,
            type=news.type[:120],
            payload=news.payload,
            received_at=now,
        )
        .on_conflict_do_nothing(index_elements=["processor", "event_id"])
    )
    found = session.execute(
        select(ProcessorNews.id, ProcessorNews.handled_at).where(
            ProcessorNews.processor == processor, ProcessorNews.event_id == news.event_id
        )
    ).one()
    return found.id, found.handled_at is not None


def apply(session: Session, *, processor: str, news: News, now: datetime) -> str:
    """Record what a webhook says about a transaction. Flushes. Returns what became of it, in words."""
    if news.answer is None:
        return NOT_OF_INTEREST
    row = _subject(session, processor, news)
    if row is None:
        return _refunded_elsewhere(session, processor, news, now=now)
    if news.operation is not None:
        return _apply_to_child(session, row, news.operation, news.answer, now=now)
    return _record(session, row, news, news.answer, now=now)


def _record(session: Session, row: Transaction, news: News, answer: Answer, *, now: datetime) -> str:
    # one that failed and was tried again has several orders at the processor; the last is what counts now
    current = news.key is None or news.key == attempt_key(row)
    paid_twice = (
        answer.kind is AnswerKind.SUCCEEDED
        and row.status is TransactionStatus.SUCCEEDED
        and row.processor_reference not in (None, answer.reference)
    )
    if paid_twice:
        message = f"{row.processor} reports a second payment for this: {answer.reference}. One has to be refunded there"
        note(session, row, "Contradiction", now=now, reference=answer.reference, message=message)
        log.error("payment.paid_twice", transaction_id=row.id, reference=answer.reference)
        return message
    if not current and answer.kind is not AnswerKind.SUCCEEDED:
        return f"Transaction {row.id}: about an earlier attempt"
    status = record_answer(session, transaction_id=row.id, answer=answer, told_by=TOLD_BY, now=now)
    return f"Transaction {row.id}: {status.label}"


def _apply_to_child(
    session: Session, hold: Transaction, type_: TransactionType, answer: Answer, *, now: datetime
) -> str:
    """A hold was captured or released: by us, or at the processor."""
    child = session.scalars(
        select(Transaction)
        .where(Transaction.parent_id == hold.id, Transaction.type == type_)
        .order_by(Transaction.id.desc())
        .limit(1)
    ).one_or_none()
    if child is not None:
        status = record_answer(session, transaction_id=child.id, answer=answer, told_by=TOLD_BY, now=now)
        return f"Transaction {child.id}: {status.label}"
    session.refresh(hold, with_for_update=True)
    if type_ is TransactionType.VOID and hold.status is not TransactionStatus.SUCCEEDED:
        gone = Answer(kind=AnswerKind.DECLINED, reference=answer.reference, message="It was cancelled there.")
        status = record_answer(session, transaction_id=hold.id, answer=gone, told_by=TOLD_BY, now=now)
        return f"Transaction {hold.id}: {status.label}"
    if hold.closed_at is not None:
        return f"Transaction {hold.id}: {REPEATED.lower()}"
    what = "released" if type_ is TransactionType.VOID else "captured"
    message = f"The blocked amount was {what} at the processor, not by this system"
    note(session, hold, TOLD_BY, now=now, reference=answer.reference, message=message)
    hold.closed_at = now
    session.flush()
    log.warning("payment.closed_elsewhere", transaction_id=hold.id, what=what)
    return f"Transaction {hold.id}: {message}"


def _subject(session: Session, processor: str, news: News) -> Transaction | None:
    """The transaction that has the key, or else the reference."""
    row = _by_key(session, processor, news.key) if news.key else None
    if row is not None and _is_ours(session, row, news):
        return row
    if news.reference is None:
        return None
    return session.scalars(
        select(Transaction)
        .where(Transaction.processor == processor, Transaction.processor_reference == news.reference)
        # a capture or void has the reference of its hold
        .order_by(Transaction.type.in_((TransactionType.CAPTURE, TransactionType.VOID)), Transaction.id)
        .limit(1)
    ).one_or_none()


def _by_key(session: Session, processor: str, key: str) -> Transaction | None:
    """The transaction of an attempt: ``key`` for the first, ``key#n`` for the nth."""
    first, _, number = key.rpartition(ATTEMPT)
    keys = [key, first] if number.isdigit() and first else [key]
    found = session.scalars(
        select(Transaction).where(Transaction.processor == processor, Transaction.idempotency_key.in_(keys))
    ).all()
    return next((row for each in keys for row in found if row.idempotency_key == each), None)


def _is_ours(session: Session, row: Transaction, news: News) -> bool:
    """Not the payment of another system at the same processor that has the same key: the card tells them apart."""
    paid_by = news.answer.detail.get("payment_method") if news.answer else None
    if not paid_by or row.parent_id is not None or row.payment_method_id is None:
        return True
    if row.processor_reference == news.reference:
        return True
    return bool(session.get_one(PaymentMethod, row.payment_method_id).reference == paid_by)


def _refunded_elsewhere(session: Session, processor: str, news: News, *, now: datetime) -> str:
    """A refund that somebody made at the processor is noted with what was refunded: the books cannot know why."""
    paid_by = news.answer.detail.get("parent_reference") if news.answer else None
    if not paid_by:
        return UNKNOWN
    parent = session.scalars(
        select(Transaction)
        .where(
            Transaction.processor == processor,
            Transaction.processor_reference == paid_by,
            Transaction.type.in_((TransactionType.CHARGE, TransactionType.CAPTURE)),
        )
        .order_by(Transaction.id.desc())
        .limit(1)
    ).one_or_none()
    if parent is None:
        return UNKNOWN
    message = f"A refund was made at the processor, not by this system: {news.reference}"
    note(session, parent, TOLD_BY, now=now, reference=news.reference, message=message)
    session.flush()
    log.warning("payment.refunded_elsewhere", transaction_id=parent.id, reference=news.reference)
    return f"Transaction {parent.id}: {message}"
