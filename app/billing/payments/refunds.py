"""Giving money back: an operator's decision with its reason, once, and never more than was paid.

Issue "Transactions: refund (full, part) with reason"; product.md, "Money" and "Actions".
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from app.billing import corporate, ledger
from app.billing.models import LedgerEntryType, Transaction
from app.billing.outstanding import BALANCE
from app.billing.payments import orders
from app.billing.payments.changes import change, locked
from app.billing.payments.history import note
from app.billing.payments.lifecycle import PaymentEvent
from app.core.actions import open_action
from app.core.models import ActionStatus, Admin

REFUND = "Refund"
ORDERED = "Ordered"


def refund(
    session: Session,
    *,
    transaction: Transaction,
    amount: Decimal | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Transaction:
    """Give back ``amount`` (None: all that is left) of a charge or capture. Flushes. Returns the refund's transaction.

    By a processor it is Pending: the caller commits and has it performed; the row "Refund" of the Actions log gets its
    outcome then. What the balance had paid is credited to it at once, what a corporate account had paid is taken off
    its bill. Raises ReasonRequired, NotRefundable, InvalidAmount.
    """
    amount = orders.checked_refund(session, transaction, amount)
    action = open_action(
        session,
        name=REFUND,
        target_type=Transaction.__tablename__,
        target_id=transaction.id,
        target_label=str(transaction),
        reason=reason,
        actor=actor,
        status=ActionStatus.PENDING,
        partner_id=transaction.partner_id,
        info=f"{amount:f} {transaction.currency}",
        user_id=transaction.user_id,
        now=now,
    )
    made = orders.open_refund(
        session,
        parent=transaction,
        amount=amount,
        reason=action.reason,
        key=f"transaction:{transaction.id}:refund:{action.id}",
        now=now,
    )
    note(session, made, ORDERED, now=now, message=action.initiated_by, detail={"action_id": action.id})
    if made.processor in (BALANCE, corporate.PROCESSOR):
        give_back(session, made, action_id=action.id, now=now)
    return made


def give_back(session: Session, made: Transaction, *, action_id: int, now: datetime) -> None:
    """Do at once a refund for which no processor is needed: of the balance's or a corporate account's. Flushes.

    Raises NotRefundable.
    """
    made = locked(session, made.id)
    if made.processor == BALANCE:
        if made.user_id is None:
            raise orders.NotRefundable("It belongs to no user, so there is no balance to credit.")
        entry = ledger.credit(
            session,
            user_id=made.user_id,
            amount=made.amount,
            currency=made.currency,
            type=LedgerEntryType.REFUND,
            reference=made.idempotency_key,
            now=now,
            action_id=action_id,
            session_id=made.session_id,
            description=made.description,
        )
        made.processor_reference = f"ledger:{entry.id}"
        said = "Credited to the balance"
    else:
        said = "Taken off the corporate account's bill"
    note(session, made, PaymentEvent.SUCCEEDED.label, now=now, reference=made.processor_reference, message=said)
    change(session, made, PaymentEvent.SUCCEEDED, now=now)
