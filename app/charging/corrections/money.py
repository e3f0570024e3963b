"""The money of a correction: what was asked so far, read for the plan, and the plan carried out.

Transactions are locked after their session, as billing does. Nothing here talks to a processor: what is Pending is
performed after the commit, or by the clockwork. product.md, "Money": a job killed half way and run again charges once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing import corporate
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.billing.outstanding import BALANCE
from app.billing.payments import changes, orders, refunds
from app.billing.payments.history import attempts, note
from app.billing.payments.lifecycle import OWING, PaymentEvent
from app.charging.corrections.plan import ZERO, MoneyPlan, Refund, Take, TakeState, Withdraw
from app.charging.corrections.rules import PaymentUnderWay
from app.charging.models import ChargingSession
from app.charging.payments import settlement

_TAKES = (TransactionType.CHARGE, TransactionType.CAPTURE)
_OVER = (TransactionStatus.FAILED, TransactionStatus.CANCELLED)


def takes_of(session: Session, row: ChargingSession, *, lock: bool = False) -> list[Take]:
    """What was asked for a session and counts, by transaction. Raises PaymentUnderWay while an answer is missing."""
    query = select(Transaction).where(Transaction.session_id == row.id).order_by(Transaction.id)
    if lock:
        query = query.with_for_update(of=Transaction).execution_options(populate_existing=True)
    rows = session.scalars(query).all()
    given = [each for each in rows if each.type is TransactionType.REFUND and _may_have_moved(each)]
    found = [_take(session, each, given) for each in rows if each.type in _TAKES]
    return [take for take in found if take is not None]


def _may_have_moved(row: Transaction) -> bool:
    return row.status not in _OVER or row.next_attempt_at is not None


def _take(session: Session, row: Transaction, given: Sequence[Transaction]) -> Take | None:
    if row.status is TransactionStatus.PENDING or (row.status in _OVER and row.next_attempt_at is not None):
        raise PaymentUnderWay(PaymentUnderWay.__doc__)
    if row.status is TransactionStatus.CANCELLED:
        if row.correction is not None or row.type is not TransactionType.CHARGE:
            return None
        return Take(transaction_id=row.id, state=TakeState.WAIVED, amount=row.amount)
    if row.status is TransactionStatus.FAILED:
        return None
    if row.status in OWING:
        if row.processor not in (BALANCE, corporate.PROCESSOR) and attempts(session, row).unknown:
            raise PaymentUnderWay(
                "The payment processor was not reached and may have charged it after all. It is looked up: "
                "wait for the outcome."
            )
        return Take(transaction_id=row.id, state=TakeState.OWED, amount=row.amount)
    own = [each for each in given if each.parent_id == row.id]
    corrected = sum((each.amount for each in own if each.correction is not None), ZERO)
    goodwill = sum((each.amount for each in own if each.correction is None), ZERO)
    amount = row.amount - corrected
    if amount <= 0:
        return None
    return Take(
        transaction_id=row.id, state=TakeState.PAID, amount=amount, left=max(ZERO, amount - goodwill), goodwill=goodwill
    )


def carry_out(
    session: Session, row: ChargingSession, plan: MoneyPlan, *, reason: str, actor: str, action_id: int, now: datetime
) -> None:
    """Do what a plan says; the session has its new price, payer and version number already. Flushes.

    The caller has paused the session's settling (`payments.following.paused`). What is to be asked of the payer, the
    settling opens afterwards.
    """
    for withdrawal in plan.withdrawals:
        _withdraw(session, row, withdrawal, reason=reason, action_id=action_id, now=now)
    for refund in plan.refunds:
        _refund(session, row, refund, reason=reason, actor=actor, action_id=action_id, now=now)
    if plan.waived > 0:
        settlement.waive(session, row, plan.waived, reason=reason, now=now)


def _withdraw(
    session: Session, row: ChargingSession, step: Withdraw, *, reason: str, action_id: int, now: datetime
) -> None:
    owed = changes.locked(session, step.transaction_id)
    if step.waived:
        owed.correction = row.price_version
        note(session, owed, "No longer counts as waived", now=now, message=reason)
    elif owed.processor == BALANCE:
        # the balance was debited below zero: the whole debit is paid back, and what is still due is debited anew
        said = "Settled by a correction of the price"
        note(session, owed, said, now=now, reference=owed.processor_reference, message=reason)
        changes.change(session, owed, PaymentEvent.SUCCEEDED, now=now)
        _open_refund(session, row, owed, step.amount, reason=reason, action_id=action_id, now=now)
    else:
        owed.correction = row.price_version
        session.flush()
        changes.cancel(session, row=owed, reason=f"Withdrawn by a correction of the price: {reason}", now=now)
    session.flush()


def _refund(
    session: Session, row: ChargingSession, step: Refund, *, reason: str, actor: str, action_id: int, now: datetime
) -> None:
    parent = changes.locked(session, step.transaction_id)
    if step.absorbs:
        earlier = session.scalars(
            select(Transaction).where(
                Transaction.parent_id == parent.id,
                Transaction.type == TransactionType.REFUND,
                Transaction.correction.is_(None),
            )
        )
        for each in earlier:
            if _may_have_moved(each):
                each.correction = row.price_version
    if step.amount > 0:
        made = _open_refund(session, row, parent, step.amount, reason=reason, action_id=action_id, now=now)
        if made.status is TransactionStatus.PENDING:
            note(session, made, refunds.ORDERED, now=now, message=actor)
    session.flush()


def _open_refund(
    session: Session,
    row: ChargingSession,
    parent: Transaction,
    amount: Decimal,
    *,
    reason: str,
    action_id: int,
    now: datetime,
) -> Transaction:
    key = f"session:{row.id}:v{row.price_version}:refund:{parent.id}"
    made = orders.open_refund(session, parent=parent, amount=amount, reason=reason, key=key, now=now)
    made.correction = row.price_version
    session.flush()
    if made.processor in (BALANCE, corporate.PROCESSOR):
        refunds.give_back(session, made, action_id=action_id, now=now)
    return made
