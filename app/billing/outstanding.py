"""What a driver owes: declined charges of sessions, and a balance below zero. One answer for everybody who asks.

Manual, "User billing settings", 2: an outstanding balance "will prevent her from starting a new charging session,
unless they pay their balance due". A session that the balance could not pay in full is owed as the balance below
zero; every other charge of a session is owed as its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from app.billing.models import BalanceAccount, Transaction, TransactionPurpose, TransactionType
from app.billing.payments.lifecycle import OWING

#: the processor of what is paid from the balance
BALANCE = "balance"


def _is_debt(user_id: int, currency: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Transaction.user_id == user_id,
        Transaction.currency == currency,
        Transaction.status.in_(OWING),
        Transaction.type == TransactionType.CHARGE,
        Transaction.purpose == TransactionPurpose.SESSION,
        Transaction.processor != BALANCE,
    )


def owed(session: Session, *, user_id: int, currency: str) -> Decimal:
    """What a user owes in a currency, as an amount of 0 or more: declined session charges, and what is below zero."""
    declined = select(func.coalesce(func.sum(Transaction.amount), 0)).where(*_is_debt(user_id, currency))
    balance = select(BalanceAccount.balance).where(
        BalanceAccount.user_id == user_id, BalanceAccount.currency == currency
    )
    below_zero = func.greatest(-func.coalesce(balance.scalar_subquery(), 0), 0)
    return Decimal(session.scalars(select(declined.scalar_subquery() + below_zero)).one())


def debts(session: Session, *, user_id: int, currency: str) -> Sequence[Transaction]:
    """The declined session charges of a user, oldest first; what is below zero in the balance is none of them."""
    return session.scalars(select(Transaction).where(*_is_debt(user_id, currency)).order_by(Transaction.id)).all()
