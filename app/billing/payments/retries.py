"""Trying again what was declined, paying a debt from the balance, and writing it off: an operator's decisions.

Issue "Transactions: retry"; manual, "User billing settings", 2: a driver who owes cannot charge "unless they pay
their balance due". Each is a row of the Actions log with a reason.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.billing import corporate, ledger
from app.billing.models import (
    LedgerEntryType,
    PaymentMethod,
    PaymentMethodStatus,
    Transaction,
    TransactionType,
)
from app.billing.outstanding import BALANCE
from app.billing.payments import changes, methods, orders
from app.billing.payments.history import attempts, note
from app.billing.payments.lifecycle import OWING, PaymentEvent, is_owed, next_status
from app.core.actions import open_action
from app.core.models import Action, ActionStatus, Admin

RETRY = "Retry payment"
PAY_FROM_BALANCE = "Pay from balance"
CANCEL = "Cancel payment"
RELEASE = "Release hold"
ORDERED = "Ordered"


class CannotRetry(ValueError):
    """Trying again would be of no use or wrong; the message says why and what to do instead."""


class NotOwed(ValueError):
    """Only what is owed for a session, and not by the balance, can be paid from it or written off."""


class OutcomeUnknown(ValueError):
    """The processor may have charged it after all; it is looked up every hour."""


class InsufficientBalance(ValueError):
    """The balance does not suffice; the message says how much there is."""


def retry_payment(
    session: Session,
    *,
    transaction: Transaction,
    payment_method: PaymentMethod | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Transaction:
    """Have a failed or outstanding transaction asked anew, by another payment method if one is given. Flushes.

    It is Pending then: the caller commits and has it performed; the action gets the outcome.
    Raises ReasonRequired, CannotRetry, PaymentLifecycleError.
    """
    row = changes.locked(session, transaction.id)
    next_status(row.status, PaymentEvent.RETRIED, type_=row.type, purpose=row.purpose)
    if row.processor in (BALANCE, corporate.PROCESSOR):
        raise CannotRetry(
            "No processor was asked, so none can be asked again. What the balance owes is paid by a top-up."
        )
    if row.parent_id is None:
        _require_usable(session, row, payment_method or row.payment_method, now=now)
    else:
        _require_room(session, row, payment_method)
    info = f"{row.type.label}, {_amount(session, row)}" + (f", {payment_method}" if payment_method else "")
    action = _open(session, RETRY, row, reason, actor, ActionStatus.PENDING, info=info, now=now)
    changes.retry(session, row=row, payment_method=payment_method, now=now, action_id=action.id)
    return row


def _require_usable(session: Session, row: Transaction, method: PaymentMethod | None, *, now: datetime) -> None:
    if row.type is TransactionType.PREAUTHORIZATION:
        raise CannotRetry("A pre-authorization is asked for anew when the driver starts again.")
    if method is None or method.user_id != row.user_id:
        raise CannotRetry("Choose one of the user's payment methods.")
    if method.status is PaymentMethodStatus.REMOVED:
        raise CannotRetry(f"{method} was removed: choose another payment method.")
    if method.status is not PaymentMethodStatus.ACTIVE or methods.is_expired(method, today=methods.today(session, now)):
        raise CannotRetry(f"{method} has expired: choose another payment method.")


def _require_room(session: Session, row: Transaction, payment_method: PaymentMethod | None) -> None:
    """A capture, void or refund belongs to what it is about; meanwhile another may have done it."""
    if payment_method is not None:
        raise CannotRetry(
            f"A {row.type.label.lower()} goes the way the money came: it has no payment method of its own."
        )
    if row.type is TransactionType.CAPTURE:
        raise CannotRetry("What a declined capture leaves open is charged instead; the hold is released.")
    assert row.parent_id is not None
    parent = changes.locked(session, row.parent_id)
    if row.type is TransactionType.REFUND:
        left = orders.refundable(session, parent, besides=row)
        if row.amount > left:
            there = orders.in_minor_units(session, left, row.currency)
            raise CannotRetry(f"Only {there:f} {row.currency} of {parent} are left to be refunded.")
        return
    ending = orders.ending_of(session, parent)
    if parent.closed_at is not None or (ending is not None and ending.id != row.id):
        raise CannotRetry(f"What {parent} held was captured or released already.")


def pay_from_balance(
    session: Session, *, transaction: Transaction, reason: str, actor: Admin | None, now: datetime
) -> Transaction:
    """Pay what is owed for a session from the user's balance, all of it or nothing. Flushes. Returns the transaction.

    It has succeeded then, is the balance's (a refund of it is a credit) and names its entry of the ledger.
    Raises ReasonRequired, NotOwed, OutcomeUnknown, InsufficientBalance.
    """
    row = _owed(session, transaction)
    assert row.user_id is not None
    action = _open(session, PAY_FROM_BALANCE, row, reason, actor, ActionStatus.FINISHED, now=now)
    with session.begin_nested():
        entry = ledger.debit(
            session,
            user_id=row.user_id,
            amount=row.amount,
            currency=row.currency,
            type=LedgerEntryType.CHARGING_SESSION,
            reference=row.idempotency_key,
            now=now,
            action_id=action.id,
            session_id=row.session_id,
            description=action.reason,
        )
        if entry.balance_after < 0:
            there = orders.in_minor_units(session, entry.balance_after + row.amount, row.currency)
            raise InsufficientBalance(f"The balance is {there:f} {row.currency}: it does not suffice.")
    before = f"{row.payment_method or row.processor} had not paid it"
    row.processor, row.payment_method_id = BALANCE, None
    row.processor_reference = f"ledger:{entry.id}"
    note(session, row, "Paid from the balance", now=now, reference=row.processor_reference, message=before)
    changes.change(session, row, PaymentEvent.SUCCEEDED, now=now)
    return row


def cancel_payment(
    session: Session, *, transaction: Transaction, reason: str, actor: Admin | None, now: datetime
) -> Transaction:
    """Write off what a driver owes for a session: nobody is asked for it any more. Flushes. Returns the transaction.

    Raises ReasonRequired, NotOwed, OutcomeUnknown.
    """
    row = _owed(session, transaction)
    action = _open(session, CANCEL, row, reason, actor, ActionStatus.FINISHED, now=now)
    changes.cancel(session, row=row, reason=action.reason, now=now)
    return row


def release_hold(
    session: Session, *, hold: Transaction, reason: str, actor: Admin | None, now: datetime
) -> Transaction:
    """Let go what is blocked on a payment method. Flushes. Returns the void, which is Pending: have it performed.

    Raises ReasonRequired, HoldNotOpen; CannotRetry when it was tried before and declined.
    """
    row = changes.locked(session, hold.id)
    key = f"hold:{row.id}:void"
    if orders.by_key(session, key) is not None:
        raise CannotRetry("It was released already, or the processor declined it: retry that transaction.")
    void = orders.open_child(
        session, parent=row, type_=TransactionType.VOID, amount=row.amount, key=key, now=now, description=reason.strip()
    )
    action = _open(session, RELEASE, row, reason, actor, ActionStatus.PENDING, now=now)
    note(session, void, ORDERED, now=now, message=action.initiated_by, detail={"action_id": action.id})
    session.flush()
    return void


def _owed(session: Session, transaction: Transaction) -> Transaction:
    """The locked transaction, if it is a debt that nobody is asking for at the moment."""
    row = changes.locked(session, transaction.id)
    owed = row.status in OWING and is_owed(row.type, row.purpose)
    if not owed or row.processor in (BALANCE, corporate.PROCESSOR) or row.user_id is None:
        raise NotOwed("Only a declined charge of a session is owed.")
    if attempts(session, row).unknown:
        raise OutcomeUnknown(
            "The processor was not reached and may have charged it after all. It is looked up: wait for the outcome."
        )
    return row


def _open(
    session: Session,
    name: str,
    row: Transaction,
    reason: str,
    actor: Admin | None,
    status: ActionStatus,
    *,
    info: str | None = None,
    now: datetime,
) -> Action:
    return open_action(
        session,
        name=name,
        target_type=Transaction.__tablename__,
        target_id=row.id,
        target_label=str(row),
        reason=reason,
        actor=actor,
        status=status,
        partner_id=row.partner_id,
        info=info or _amount(session, row),
        user_id=row.user_id,
        now=now,
    )


def _amount(session: Session, row: Transaction) -> str:
    return f"{orders.in_minor_units(session, row.amount, row.currency):f} {row.currency}"
