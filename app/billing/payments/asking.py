"""One question to a processor: built from the row inside a database transaction, asked outside of any.

Processors forget idempotency keys after a day, and repeat the answer a key got first, even when it has become
another. So what may have been asked before is looked up; only what the processor does not know is asked, with the same
key. An attempt that was given up is looked up once more before the next one is asked: nobody is charged twice because
an answer was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.billing.models import PaymentMethod, ProcessorCustomer, Transaction, TransactionPurpose
from app.billing.payments import processors
from app.billing.payments.history import Attempts
from app.billing.payments.processors import Answer, AnswerKind, Order, ProcessorMisconfigured, ProcessorUnreachable
from app.core.models import CurrencyRow

log = structlog.get_logger(__name__)

#: a key is asked again for so long after it was first asked: processors keep it for a day
KEY_KNOWN_FOR = timedelta(hours=23)
#: between a transaction's key and the number of its attempt
ATTEMPT = "#"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be asked, and whom. ``earlier``: attempts given up, whose outcome must be known first."""

    transaction_id: int
    processor: processors.Processor
    order: Order
    may_be_known: bool
    may_be_asked: bool
    earlier: list[tuple[processors.Processor, Order]] = field(default_factory=list)


@dataclass(kw_only=True)
class Reply:
    """What came of a question: an answer to ``key``; or None with the problem; or neither, when it is not known there.

    ``settled``: given-up keys of which it is known now that nothing came of them.
    """

    key: str
    answer: Answer | None = None
    problem: str = ""
    settled: list[str] = field(default_factory=list)


def attempt_key(row: Transaction) -> str:
    """The idempotency key of the current attempt: an attempt that was declined is not the next one.

    ``key#n`` for the nth: no transaction's own key has that form (``app.billing.payments.orders``).
    """
    return row.idempotency_key if row.attempts == 0 else f"{row.idempotency_key}{ATTEMPT}{row.attempts + 1}"


def question(session: Session, row: Transaction, history: Attempts, *, now: datetime) -> Question:
    """The question of a transaction's current attempt. Raises UnknownProcessor, ProcessorMisconfigured."""
    order = _order(session, row, key=attempt_key(row), processor=row.processor)
    return Question(
        transaction_id=row.id,
        processor=processors.processor(session, row.processor),
        order=order,
        may_be_known=history.asked_at is not None,
        may_be_asked=history.asked_at is None or history.asked_at > now - KEY_KNOWN_FOR,
        earlier=[
            (processors.processor(session, name), _order(session, row, key=key, processor=name))
            for key, name in history.unknown.items()
            if key != order.key
        ],
    )


def _order(session: Session, row: Transaction, *, key: str, processor: str) -> Order:
    method = session.get(PaymentMethod, row.payment_method_id) if row.payment_method_id else None
    customer = session.get(ProcessorCustomer, (row.user_id, processor)) if row.user_id else None
    parent = session.get(Transaction, row.parent_id) if row.parent_id else None
    return Order(
        operation=row.type,
        key=key,
        amount=row.amount,
        currency=row.currency,
        exponent=session.get_one(CurrencyRow, row.currency).exponent,
        token=method.reference if method and row.parent_id is None else None,
        customer=customer.reference if customer else None,
        parent_reference=parent.processor_reference if parent else None,
        reference=row.processor_reference if key == attempt_key(row) else None,
        description=row.description or _description(row),
        metadata={"transaction_id": str(row.id), "session_id": str(row.session_id or ""), "key": key},
    )


def _description(row: Transaction) -> str:
    if row.session_id is not None:
        return f"Charging session {row.session_id}"
    return "Top-up" if row.purpose is TransactionPurpose.TOP_UP else row.type.label


def ask(asked: Question) -> Reply:
    """Ask, outside any database transaction. Never raises: what goes wrong is the reply's ``problem``."""
    reply = Reply(key=asked.order.key)
    try:
        for processor, order in asked.earlier:
            found = processor.find(order)
            if found is not None and found.kind in (AnswerKind.SUCCEEDED, AnswerKind.PENDING):
                return Reply(key=order.key, answer=found, settled=reply.settled)
            reply.settled.append(order.key)
        if asked.may_be_known:
            reply.answer = asked.processor.find(asked.order)
        if reply.answer is None and asked.may_be_asked:
            reply.answer = asked.processor.perform(asked.order)
    except (ProcessorUnreachable, ProcessorMisconfigured) as error:
        reply.problem = str(error)
    except Exception as error:  # an adapter's own mistake: nothing is known, so the same is asked again later
        log.exception("payment.adapter_failed", transaction_id=asked.transaction_id)
        reply.problem = f"{type(error).__name__}: {error}"
    return reply


def look_up(asked: Question) -> Reply:
    """Ask what has become of the attempts, and nothing else. Never raises."""
    reply = Reply(key=asked.order.key)
    try:
        for processor, order in [*asked.earlier, (asked.processor, asked.order)]:
            found = processor.find(order)
            if found is not None and found.kind is not AnswerKind.DECLINED:
                return Reply(key=order.key, answer=found, settled=reply.settled)
            reply.answer = found
            reply.settled.append(order.key)
    except (ProcessorUnreachable, ProcessorMisconfigured) as error:
        reply.problem = str(error)
    except Exception as error:  # as above
        log.exception("payment.adapter_failed", transaction_id=asked.transaction_id)
        reply.problem = f"{type(error).__name__}: {error}"
    return reply
