"""Opening transactions: the row that comes first. Whoever opens one commits, and then has it performed.

A row is made once per idempotency key, whatever is repeated. product.md, "Money".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.billing.models import (
    PaymentMethod,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.core.models import HOUSE_PARTNER_ID, CurrencyRow
from app.core.money import round_minor


class InvalidAmount(ValueError):
    """Not above zero, more than there is, or with more decimals than the currency has; the message says which."""


class NotRefundable(ValueError):
    """Only a charge or capture that succeeded, and has not been given back yet, can be refunded."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a transaction is about: who, for which session or authorization, of whose rows it is."""

    user_id: int | None
    currency: str
    partner_id: int = HOUSE_PARTNER_ID
    session_id: int | None = None
    authorization_id: int | None = None


def open_transaction(
    session: Session,
    *,
    type_: TransactionType,
    purpose: TransactionPurpose,
    amount: Decimal,
    subject: Subject,
    method: PaymentMethod,
    key: str,
    now: datetime,
    description: str | None = None,
) -> Transaction:
    """A pending charge or pre-authorization of a payment method, due at once; the one that has the key, if any.

    Flushes. Raises InvalidAmount.
    """
    known = by_key(session, key)
    if known is not None:
        return known
    row = Transaction(
        partner_id=subject.partner_id,
        created_at=now,
        updated_at=now,
        type=type_,
        purpose=purpose,
        status=TransactionStatus.PENDING,
        amount=checked(session, amount, subject.currency),
        currency=subject.currency,
        user_id=subject.user_id,
        session_id=subject.session_id,
        authorization_id=subject.authorization_id,
        payment_method_id=method.id,
        processor=method.processor,
        idempotency_key=key,
        description=description,
        next_attempt_at=now,
    )
    session.add(row)
    session.flush()
    return row


def open_child(
    session: Session,
    *,
    parent: Transaction,
    type_: TransactionType,
    amount: Decimal,
    key: str,
    now: datetime,
    description: str | None = None,
) -> Transaction:
    """A pending capture, void or refund of ``parent``; the one that has the key, if any. Flushes."""
    known = by_key(session, key)
    if known is not None:
        return known
    row = Transaction(
        partner_id=parent.partner_id,
        created_at=now,
        updated_at=now,
        type=type_,
        purpose=parent.purpose,
        status=TransactionStatus.PENDING,
        amount=amount,
        currency=parent.currency,
        user_id=parent.user_id,
        session_id=parent.session_id,
        authorization_id=parent.authorization_id,
        parent_id=parent.id,
        payment_method_id=parent.payment_method_id,
        payer_partner_id=parent.payer_partner_id,
        processor=parent.processor,
        idempotency_key=key,
        description=description,
        next_attempt_at=now,
    )
    session.add(row)
    session.flush()
    return row


def refundable(session: Session, row: Transaction) -> Decimal:
    """What is left of a charge or capture to be given back: refunds that may still succeed count as given."""
    if row.type not in (TransactionType.CHARGE, TransactionType.CAPTURE):
        return Decimal(0)
    if row.status is not TransactionStatus.SUCCEEDED:
        return Decimal(0)
    given = session.scalar(
        select(func.coalesce(func.sum(Transaction.amount), 0)).where(
            Transaction.parent_id == row.id,
            Transaction.type == TransactionType.REFUND,
            Transaction.status.in_((TransactionStatus.PENDING, TransactionStatus.SUCCEEDED)),
        )
    )
    return row.amount - Decimal(given or 0)


def open_refund(
    session: Session, *, parent: Transaction, amount: Decimal, reason: str, key: str, now: datetime
) -> Transaction:
    """A pending refund of ``parent``, which is locked by this. Flushes. Raises NotRefundable, InvalidAmount."""
    known = by_key(session, key)
    if known is not None:
        return known
    session.refresh(parent, with_for_update=True)
    left = refundable(session, parent)
    if left <= 0:
        raise NotRefundable("Only what was paid, and has not been given back yet, can be refunded.")
    amount = checked(session, amount, parent.currency)
    if amount > left:
        raise InvalidAmount(f"No more than {left.normalize():f} {parent.currency} can be refunded.")
    return open_child(
        session, parent=parent, type_=TransactionType.REFUND, amount=amount, key=key, now=now, description=reason
    )


def by_key(session: Session, key: str) -> Transaction | None:
    """The transaction of an idempotency key."""
    return session.scalars(select(Transaction).where(Transaction.idempotency_key == key)).one_or_none()


def checked(session: Session, amount: Decimal, currency: str) -> Decimal:
    """The amount with the currency's decimals. Raises InvalidAmount."""
    row = session.get(CurrencyRow, currency)
    if row is None:
        raise InvalidAmount(f"There is no currency {currency}.")
    if amount <= 0:
        raise InvalidAmount("An amount above zero is expected.")
    rounded = round_minor(amount, row.exponent)
    if rounded != amount:
        raise InvalidAmount(f"{amount:f} has more decimals than {currency}, which has {row.exponent or 'none'}.")
    return rounded
