"""Opening transactions: the row that comes first. Whoever opens one commits, and then has it performed.

A row is made once per idempotency key, whatever is repeated. product.md, "Money".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError
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


class HoldNotOpen(ValueError):
    """Only a pre-authorization that succeeded and was neither captured nor released can be; the message says why."""


class KeyTaken(ValueError):
    """The idempotency key stands for another movement: that it is used again is a mistake of ours."""


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

    ``key`` is at most 110 characters, without #. Flushes. Raises InvalidAmount, KeyTaken.
    """
    known = by_key(session, key)
    if known is not None:
        return _same(known, type_, amount, subject.currency)
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
    return _add(session, row)


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
    """A pending capture, void or refund of ``parent``; the one that has the key, if any. Flushes.

    A hold is locked by this, and captured or released at most once, whoever asks for it. Refunds have checks of their
    own: ``open_refund``. Raises HoldNotOpen, InvalidAmount, KeyTaken.
    """
    known = by_key(session, key)
    if known is not None:
        return _same(known, type_, amount, parent.currency)
    if type_ is not TransactionType.REFUND:
        _require_open_hold(session, parent, type_, amount)
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
    return _add(session, row)


def _require_open_hold(session: Session, hold: Transaction, type_: TransactionType, amount: Decimal) -> None:
    session.refresh(hold, with_for_update={"of": Transaction})
    if hold.type is not TransactionType.PREAUTHORIZATION or hold.status is not TransactionStatus.SUCCEEDED:
        raise HoldNotOpen(f"{hold} holds no amount.")
    if hold.closed_at is not None or ending_of(session, hold) is not None:
        raise HoldNotOpen(f"What {hold} held was captured or released already.")
    if type_ is TransactionType.CAPTURE:
        checked(session, amount, hold.currency)
    if amount > hold.amount:
        there = in_minor_units(session, hold.amount, hold.currency)
        raise InvalidAmount(f"No more than {there:f} {hold.currency} is held.")


def ending_of(session: Session, hold: Transaction) -> Transaction | None:
    """The capture or void of a hold that has succeeded or still may; None while the amount is held and nothing else.

    One that was declined leaves the hold open. The caller has locked the hold.
    """
    return session.scalars(
        select(Transaction)
        .where(
            Transaction.parent_id == hold.id,
            Transaction.type.in_((TransactionType.CAPTURE, TransactionType.VOID)),
            _may_count(),
        )
        .order_by(Transaction.id)
        .limit(1)
    ).one_or_none()


def _may_count() -> ColumnElement[bool]:
    """It has succeeded or still may: one that was given up without an answer is looked up, and counts until then."""
    over = Transaction.status.in_((TransactionStatus.FAILED, TransactionStatus.CANCELLED))
    return or_(~over, Transaction.next_attempt_at.is_not(None))


def refundable(session: Session, row: Transaction, *, besides: Transaction | None = None) -> Decimal:
    """What is left of a charge or capture to be given back: refunds that may still succeed count as given.

    ``besides``: a refund that is not counted, as it is about to be tried again.
    """
    if row.type not in (TransactionType.CHARGE, TransactionType.CAPTURE):
        return Decimal(0)
    if row.status is not TransactionStatus.SUCCEEDED:
        return Decimal(0)
    given = session.scalar(
        select(func.coalesce(func.sum(Transaction.amount), 0)).where(
            Transaction.parent_id == row.id,
            Transaction.type == TransactionType.REFUND,
            Transaction.id != (besides.id if besides is not None else 0),
            _may_count(),
        )
    )
    return row.amount - Decimal(given or 0)


def open_refund(
    session: Session, *, parent: Transaction, amount: Decimal, reason: str, key: str, now: datetime
) -> Transaction:
    """A pending refund of ``parent``, which is locked by this: all refunds together never exceed it. Flushes.

    Raises NotRefundable, InvalidAmount, KeyTaken.
    """
    known = by_key(session, key)
    if known is not None:
        return _same(known, TransactionType.REFUND, amount, parent.currency)
    amount = checked_refund(session, parent, amount)
    return open_child(
        session, parent=parent, type_=TransactionType.REFUND, amount=amount, key=key, now=now, description=reason
    )


def checked_refund(session: Session, parent: Transaction, amount: Decimal | None) -> Decimal:
    """The amount that may be given back of ``parent``, which is locked by this; None: all that is left.

    Raises NotRefundable, InvalidAmount.
    """
    session.refresh(parent, with_for_update={"of": Transaction})
    left = refundable(session, parent)
    if left <= 0:
        raise NotRefundable("Only what was paid, and has not been given back yet, can be refunded.")
    amount = checked(session, left if amount is None else amount, parent.currency)
    if amount > left:
        there = in_minor_units(session, left, parent.currency)
        raise InvalidAmount(f"No more than {there:f} {parent.currency} can be refunded.")
    return amount


def _add(session: Session, row: Transaction) -> Transaction:
    """Store a row; of two that come with one key at once, the second gets the first's."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        first = by_key(session, row.idempotency_key)
        if first is None:
            raise
        return _same(first, row.type, row.amount, row.currency)
    return row


def _same(known: Transaction, type_: TransactionType, amount: Decimal, currency: str) -> Transaction:
    if (known.type, known.amount, known.currency) != (type_, amount, currency):
        raise KeyTaken(
            f"{known.idempotency_key!r} is {known.type.label} of {known.amount:f} {known.currency} already; "
            f"it cannot also be {type_.label} of {amount:f} {currency}"
        )
    return known


def by_key(session: Session, key: str) -> Transaction | None:
    """The transaction of an idempotency key."""
    return session.scalars(select(Transaction).where(Transaction.idempotency_key == key)).one_or_none()


def in_minor_units(session: Session, amount: Decimal, currency: str) -> Decimal:
    """A stored amount with its currency's decimals, for messages."""
    return round_minor(amount, session.get_one(CurrencyRow, currency).exponent)


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
