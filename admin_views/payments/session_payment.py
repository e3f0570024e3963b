"""How a charging session is paid, for its page: who pays, what was held, taken and given back, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask import url_for
from sqlalchemy.orm import Session, joinedload

from admin_views.dashboard.links import page_of
from admin_views.payments.transaction_actions import can_refund, can_retry
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.charging.models import ChargingSession
from app.charging.payments.paying import paid_by

_TAKEN = (TransactionType.CHARGE, TransactionType.CAPTURE)
_OPEN = (TransactionStatus.PENDING, TransactionStatus.OUTSTANDING, TransactionStatus.AUTHENTICATION_REQUIRED)


@dataclass(frozen=True)
class Button:
    """A dialog of one of the session's transactions."""

    title: str
    icon: str
    url: str


@dataclass(frozen=True)
class SessionPayment:
    """What the card shows; amounts in ``currency``, None where there is nothing of the kind."""

    paid_by: str
    currency: str
    amounts: tuple[tuple[str, Decimal], ...]
    transactions: tuple[Transaction, ...]
    buttons: tuple[Button, ...]


def session_payment(session: Session, row: ChargingSession) -> SessionPayment | None:
    """Everything about a session's payment; None while there is nothing, or for who may not see transactions."""
    page = page_of("transaction")
    if page is None or not page.is_accessible():
        return None
    rows = tuple(
        session.query(Transaction)
        .filter(Transaction.session_id == row.id)
        .options(joinedload(Transaction.payment_method))
        .order_by(Transaction.id)
    )
    payer = paid_by(session, row)
    if not rows and not payer:
        return None
    currency = row.currency or (rows[0].currency if rows else "")
    return SessionPayment(payer, currency, _amounts(rows), rows, tuple(_buttons(page, rows)))


def _amounts(rows: tuple[Transaction, ...]) -> tuple[tuple[str, Decimal], ...]:
    succeeded = [row for row in rows if row.status is TransactionStatus.SUCCEEDED]

    def total(found: list[Transaction]) -> Decimal:
        return sum((row.amount for row in found), Decimal(0))

    sums = (
        ("Held", total([row for row in succeeded if row.type is TransactionType.PREAUTHORIZATION])),
        ("Paid", total([row for row in succeeded if row.type in _TAKEN])),
        ("Open", total([row for row in rows if row.type in _TAKEN and row.status in _OPEN])),
        ("Given back", total([row for row in succeeded if row.type is TransactionType.REFUND])),
    )
    return tuple((label, amount) for label, amount in sums if amount)


def _buttons(page: Any, rows: tuple[Transaction, ...]) -> list[Button]:
    found = []
    for name, title, icon, fits in (
        ("retry", "Retry payment", "refresh", can_retry),
        ("refund", "Refund", "receipt-refund", can_refund),
    ):
        if not page.may(f"payments.transaction.{name}"):
            continue
        for row in rows:
            if row.type in _TAKEN and fits(row):
                url = url_for("transaction.run_action", action_name=name, rowid=row.id)
                found.append(Button(f"{title} (#{row.id})", icon, url))
    return found
