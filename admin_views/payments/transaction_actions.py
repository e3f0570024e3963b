"""What an operator can do to a transaction: refund, retry, pay from the balance, write off, release a hold.

Each is a row of the Actions log first; the payment processor is asked after the commit, and the outcome shown.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from wtforms import validators

from admin_views import formats
from admin_views.base import ChoiceField, ReasonForm, RecordAction
from admin_views.widgets.actions import after_commit
from admin_views.widgets.fields import DecimalField
from app.billing import corporate, ledger
from app.billing.models import PaymentMethod, Transaction, TransactionStatus, TransactionType
from app.billing.outstanding import BALANCE
from app.billing.payments import methods, orders, perform, refunds, retries
from app.billing.payments.lifecycle import OWING, PaymentLifecycleError, is_owed
from app.core.actions import ReasonRequired
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Action, Admin

AS_BEFORE, FROM_BALANCE, _METHOD = "same", "balance", "method:"
_NO_PROCESSOR = (BALANCE, corporate.PROCESSOR)


def _ask_afterwards(row: Transaction) -> None:
    """Have the processor asked once the row is on disk; what fails then is done by the clockwork."""
    if row.status is TransactionStatus.PENDING:
        after_commit(partial(perform.perform, separate_transaction, transaction_id=row.id, clock=utcnow))


def _action_on(row: Transaction) -> Action:
    """The row of the Actions log that was just made for a transaction."""
    of_row = db.session.query(Action).filter(
        Action.target_type == Transaction.__tablename__, Action.target_id == row.id
    )
    return of_row.order_by(Action.id.desc()).limit(1).one()


class RefundForm(ReasonForm):
    """How much is given back: all that is left, unless less is said."""

    amount = DecimalField("Amount", [validators.InputRequired()], render_kw={"required": True})

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, **more)
        self.left = None
        if obj is None:
            return
        self.left = orders.refundable(db.session(), obj)
        self.amount.label.text = f"Amount ({obj.currency})"
        self.amount.description = (
            f"All that is left of {formats.money(obj.amount, obj.currency)} is "
            f"{formats.money(self.left, obj.currency)}; enter less to give back a part."
        )
        if formdata is None:
            self.amount.data = formats.export_amount(self.left, obj.currency)


class RetryForm(ReasonForm):
    """Who is to pay now."""

    pay_with = ChoiceField("Pay with", choices=[])

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, **more)
        self.pay_with.choices = choices_of(obj) if obj is not None else [(AS_BEFORE, "As before")]
        if formdata is None:
            self.pay_with.data = self.pay_with.choices[0][0]


def choices_of(row: Transaction) -> list[tuple[str, str]]:
    """As before first, then the user's other payment methods, and the balance for what is owed for a session."""
    found: list[tuple[str, str]] = []
    if row.parent_id is not None:
        return [(AS_BEFORE, "As before: the way the money came")]
    usable = methods.usable(db.session(), user_id=row.user_id, today=utcnow().date()) if row.user_id else []
    if any(method.id == row.payment_method_id for method in usable):
        found.append((AS_BEFORE, f"As before: {row.payment_method}"))
    found += [(f"{_METHOD}{method.id}", str(method)) for method in usable if method.id != row.payment_method_id]
    if row.user_id is not None and is_owed(row.type, row.purpose):
        there = ledger.balance(db.session(), user_id=row.user_id, currency=row.currency)
        found.append((FROM_BALANCE, f"Balance ({formats.money(there, row.currency)})"))
    return found or [(AS_BEFORE, "As before")]


def refund(obj: Transaction, form: RefundForm, *, reason: str, actor: Admin) -> Action:
    """Give back all or a part."""
    made = refunds.refund(
        db.session(), transaction=obj, amount=form.amount.data, reason=reason, actor=actor, now=utcnow()
    )
    _ask_afterwards(made)
    return _action_on(obj)


def retry(obj: Transaction, form: RetryForm, *, reason: str, actor: Admin) -> Action:
    """Ask again, or let the balance pay."""
    session, chosen, now = db.session(), form.pay_with.data, utcnow()
    if chosen == FROM_BALANCE:
        retries.pay_from_balance(session, transaction=obj, reason=reason, actor=actor, now=now)
        return _action_on(obj)
    method = session.get_one(PaymentMethod, int(chosen.removeprefix(_METHOD))) if chosen.startswith(_METHOD) else None
    _ask_afterwards(
        retries.retry_payment(session, transaction=obj, payment_method=method, reason=reason, actor=actor, now=now)
    )
    return _action_on(obj)


def write_off(obj: Transaction, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Ask nobody for it any more."""
    retries.cancel_payment(db.session(), transaction=obj, reason=reason, actor=actor, now=utcnow())
    return _action_on(obj)


def release(obj: Transaction, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Let go what is held."""
    _ask_afterwards(retries.release_hold(db.session(), hold=obj, reason=reason, actor=actor, now=utcnow()))
    return _action_on(obj)


def can_refund(row: Transaction) -> bool:
    """Whether anything of it is left to be given back."""
    return orders.refundable(db.session(), row) > 0


def can_retry(row: Transaction) -> bool:
    """Whether it was declined, by somebody who can be asked again."""
    if row.processor in _NO_PROCESSOR or row.type is TransactionType.PREAUTHORIZATION:
        return False
    return row.status in (*OWING, TransactionStatus.FAILED)


def can_write_off(row: Transaction) -> bool:
    """Whether it is owed for a session."""
    return row.processor not in _NO_PROCESSOR and row.status in OWING and is_owed(row.type, row.purpose)


def can_release(row: Transaction) -> bool:
    """Whether it still holds money."""
    held = row.type is TransactionType.PREAUTHORIZATION and row.status is TransactionStatus.SUCCEEDED
    return held and row.closed_at is None


_REFUSALS = (
    orders.InvalidAmount,
    orders.NotRefundable,
    orders.HoldNotOpen,
    retries.CannotRetry,
    retries.NotOwed,
    retries.OutcomeUnknown,
    retries.InsufficientBalance,
    PaymentLifecycleError,
    ReasonRequired,
)

ACTIONS = (
    RecordAction(
        "refund",
        "Refund",
        refund,
        form=RefundForm,
        permission="refund",
        icon="receipt-refund",
        bulk=False,
        available=can_refund,
        refusals=_REFUSALS,
        help="The money goes the way it came: to the payment method, or to the balance.",
    ),
    RecordAction(
        "retry",
        "Retry payment",
        retry,
        form=RetryForm,
        permission="retry",
        icon="refresh",
        bulk=False,
        available=can_retry,
        refusals=_REFUSALS,
        help="The payment processor is asked again. If an earlier attempt has come through, nobody is charged twice.",
    ),
    RecordAction(
        "release",
        "Release",
        release,
        permission="refund",
        icon="lock-open",
        bulk=False,
        available=can_release,
        refusals=_REFUSALS,
        help="What is held on the payment method is let go; nothing is charged.",
    ),
    RecordAction(
        "write_off",
        "Write off",
        write_off,
        permission="refund",
        icon="ban",
        danger=True,
        bulk=False,
        available=can_write_off,
        refusals=_REFUSALS,
        help="The driver no longer owes it, and nobody is asked for it any more.",
    ),
)
