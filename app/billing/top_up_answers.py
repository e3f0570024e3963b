"""What follows when a payment processor has answered about a top-up: credited once, or failed. product.md, "Money".

Runs in the database transaction that records the answer, under the transaction's row lock.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing import auto_top_up, ledger
from app.billing.models import (
    LedgerEntryType,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
    Voucher,
    VoucherStatus,
    VoucherType,
)
from app.billing.payments import perform
from app.core import events
from app.core.actions import tell_changed
from app.core.models import Action, ActionStatus

log = structlog.get_logger(__name__)

_ENTRIES = {
    VoucherType.TOP_UP: LedgerEntryType.TOP_UP,
    VoucherType.AUTO_TOP_UP: LedgerEntryType.AUTO_TOP_UP,
}
AUTHENTICATE = "The driver has to authenticate the payment with the bank; it is credited once that is done."


@perform.follow_up(TransactionPurpose.TOP_UP)
def settle(session: Session, row: Transaction, now: datetime) -> None:
    """Bring the voucher of a top-up's charge to where its payment is. Flushes.

    A success that comes after a failure (a processor that changed its mind) is credited all the same: the money moved.
    """
    if row.type is TransactionType.REFUND:
        _take_back(session, row, now)
        return
    voucher = session.scalars(
        select(Voucher)
        .where(Voucher.transaction_id == row.id)
        .with_for_update(of=Voucher)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if voucher is None:
        log.error("top_up.voucher_missing", transaction_id=row.id)
        return
    automatic = voucher.type is VoucherType.AUTO_TOP_UP
    if row.status is TransactionStatus.SUCCEEDED:
        _credit(session, voucher, row, now)
    elif row.status is TransactionStatus.AUTHENTICATION_REQUIRED and not automatic:
        # it may still come through: the voucher waits, the action has said what it can
        _end_action(session, voucher, ActionStatus.FAILED, AUTHENTICATE, now)
    elif row.status is TransactionStatus.PENDING and not automatic:
        if voucher.status is VoucherStatus.FAILED:  # tried anew
            voucher.status = VoucherStatus.PENDING
    elif row.status is not TransactionStatus.PENDING and voucher.status is VoucherStatus.PENDING:
        voucher.status = VoucherStatus.FAILED
        session.flush()
        problem = row.failure_reason or row.status.label
        _end_action(session, voucher, ActionStatus.FAILED, problem, now)
        if automatic:
            auto_top_up.declined(session, voucher=voucher, problem=problem, now=now)
    session.flush()


def _credit(session: Session, voucher: Voucher, row: Transaction, now: datetime) -> None:
    if voucher.redeemed_at is not None:
        return
    assert voucher.user_id is not None
    voucher.status, voucher.redeemed_at = VoucherStatus.ACTIVE, now
    session.flush()
    bonus = f"With a bonus of {voucher.bonus.normalize():f} {voucher.currency}" if voucher.bonus else None
    ledger.credit(
        session,
        user_id=voucher.user_id,
        amount=voucher.amount,
        currency=voucher.currency,
        type=_ENTRIES[voucher.type],
        reference=f"voucher:{voucher.id}",
        action_id=voucher.action_id,
        voucher_id=voucher.id,
        description=bonus,
        now=now,
    )
    _end_action(session, voucher, ActionStatus.FINISHED, None, now)
    if voucher.type is VoucherType.AUTO_TOP_UP:
        auto_top_up.succeeded(session, user_id=voucher.user_id)
    events.announce(session, "balance.credited", partner_id=row.partner_id, user_id=voucher.user_id)


def _end_action(session: Session, voucher: Voucher, status: ActionStatus, problem: str | None, now: datetime) -> None:
    """Give the operator's action its outcome."""
    if voucher.action_id is None:
        return
    action = session.get_one(Action, voucher.action_id, with_for_update=True, populate_existing=True)
    action.status, action.error, action.finished_at = status, problem, now
    session.flush()
    tell_changed(
        session, action_id=action.id, partner_id=action.partner_id, charge_point_id=None, user_id=voucher.user_id
    )


def _take_back(session: Session, row: Transaction, now: datetime) -> None:
    """What was given back of a top-up leaves the balance."""
    if row.status is not TransactionStatus.SUCCEEDED or row.user_id is None:
        return
    ledger.debit(
        session,
        user_id=row.user_id,
        amount=row.amount,
        currency=row.currency,
        type=LedgerEntryType.CORRECTION,
        reference=f"refund:{row.id}",
        description="Top-up refunded",
        now=now,
    )
