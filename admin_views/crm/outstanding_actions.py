"""Paying what a driver owes, from the driver's page. Manual, "User billing settings", 2."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import g

from admin_views import formats
from admin_views.base import ChoiceField, Outcome, ReasonForm, RecordAction
from admin_views.widgets.actions import after_commit
from app.billing import debts, ledger, outstanding
from app.billing.models import PaymentMethod, Transaction, TransactionStatus
from app.billing.payments import methods, perform, retries
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Admin
from app.crm.models import User

BALANCE = "balance"


class PayOutstandingForm(ReasonForm):
    """By what."""

    pay_with = ChoiceField("Pay with", choices=[])

    def __init__(self, formdata: Any = None, obj: User | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is None:
            return
        usable = methods.usable(db.session(), user_id=obj.id, today=utcnow().date())
        currency = settings.get_text(db.session(), "system.currency")
        there = ledger.balance(db.session(), user_id=obj.id, currency=currency)
        self.pay_with.choices = [
            *((str(row.id), str(row)) for row in usable),
            (BALANCE, f"Balance ({formats.money(there, currency)})"),
        ]
        if formdata is None:
            self.pay_with.data = self.pay_with.choices[0][0]


def pay(obj: User, form: PayOutstandingForm, *, reason: str, actor: Admin) -> list[Outcome]:
    """Try every declined charge again, or let the balance pay them."""
    session, chosen = db.session(), form.pay_with.data
    method = None if chosen == BALANCE else session.get_one(PaymentMethod, int(chosen))
    found = debts.pay_outstanding(session, user=obj, method=method, reason=reason, actor=actor, now=utcnow())
    lines = [
        Outcome(f"Transaction #{paid}", TransactionStatus.SUCCEEDED, "Paid from the balance") for paid in found.paid
    ]
    for asked in found.asked:
        line = Outcome(f"Transaction #{asked}", TransactionStatus.PENDING)
        after_commit(partial(_ask, line, asked))
        lines.append(line)
    lines += [Outcome(str(obj), "Refused", problem) for problem in found.problems]
    if found.top_up:
        currency = settings.get_text(session, "system.currency")
        words = f"It is {formats.money(found.top_up, currency)} below zero: a top-up pays that."
        lines.append(Outcome("Balance", TransactionStatus.OUTSTANDING, words))
    return lines


def _ask(line: Outcome, transaction_id: int) -> None:
    line.status = perform.perform(separate_transaction, transaction_id=transaction_id, clock=utcnow)
    with separate_transaction() as session:
        line.detail = session.get_one(Transaction, transaction_id).failure_reason or ""


def owed_by(user: User) -> Any:
    """What a user owes, as an amount on screen; None when it is nothing. Asked once per page."""
    currency = settings.get_text(db.session(), "system.currency")
    known: dict[int, Any] = g.setdefault("owed_by", {})
    if user.id not in known:
        known[user.id] = outstanding.owed(db.session(), user_id=user.id, currency=currency)
    return formats.money(known[user.id], currency) if known[user.id] else None


OUTSTANDING_ACTIONS = (
    RecordAction(
        "pay_outstanding",
        "Pay outstanding amount",
        pay,
        form=PayOutstandingForm,
        permission="payments.transaction.retry",
        icon="cash",
        bulk=False,
        group="Balance",
        available=lambda user: owed_by(user) is not None,
        refusals=(debts.NothingOwed, debts.TopUpNeeded, retries.CannotRetry),
        help="Tries each declined charge again, the oldest first. Until all is paid, the user cannot start a session.",
    ),
)
