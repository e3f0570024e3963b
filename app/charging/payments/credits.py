"""What a credit pays: sessions that the balance could not pay in full, the oldest first, as far as it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import BalanceAccount, Transaction, TransactionStatus, TransactionType
from app.billing.outstanding import BALANCE
from app.billing.payments import perform
from app.billing.payments.lifecycle import PaymentEvent

BATCH = 200

_OWED = (
    Transaction.processor == BALANCE,
    Transaction.type == TransactionType.CHARGE,
    Transaction.status == TransactionStatus.OUTSTANDING,
)


def covered(amounts: Sequence[Decimal], debt: Decimal) -> int:
    """How many of the amounts, oldest first, are paid when ``debt`` (0 or more) of all of them is still owed.

    An amount that is paid in part is not paid.
    """
    count = len(amounts)
    while count and debt > 0:
        count -= 1
        debt -= amounts[count]
    return count


def settle_outstanding(session: Session, *, user_id: int, currency: str, now: datetime) -> int:
    """Have the sessions paid that the balance covers now. Returns how many. Nothing is booked: the debit was."""
    rows = session.scalars(
        select(Transaction)
        .where(Transaction.user_id == user_id, Transaction.currency == currency, *_OWED)
        .order_by(Transaction.id)
        .with_for_update()
    ).all()
    debt = ledger.outstanding(session, user_id=user_id, currency=currency)
    paid = covered([row.amount for row in rows], debt)
    for row in rows[:paid]:
        perform.note(session, row, "Paid from the balance", now=now, reference=row.processor_reference)
        perform.change(session, row, PaymentEvent.SUCCEEDED, now=now)
    return paid


def settleable(session: Session) -> list[tuple[int, str]]:
    """Users (and currency) of whom a session is still Outstanding that the balance covers.

    A credit settles them at once; this finds those whose process died between its commit and that.
    """
    oldest_first = aggregate_order_by(Transaction.amount, Transaction.id)
    rows = session.execute(
        select(
            Transaction.user_id,
            Transaction.currency,
            func.array_agg(oldest_first),
            BalanceAccount.balance,
        )
        .join(
            BalanceAccount,
            (BalanceAccount.user_id == Transaction.user_id) & (BalanceAccount.currency == Transaction.currency),
        )
        .where(*_OWED)
        .group_by(Transaction.user_id, Transaction.currency, BalanceAccount.balance)
        .having(func.sum(Transaction.amount) > -BalanceAccount.balance)
    )
    return [
        (user_id, currency)
        for user_id, currency, amounts, balance in rows
        if user_id is not None and covered(amounts, max(Decimal(0), -balance))
    ][:BATCH]
