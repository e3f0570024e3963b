"""Credit notes: what was given back of a session that stands on a receipt, one for each refund.

The receipt keeps the full price, also when the refund came before it: the credit note follows. VAT is split over all
that was given back of the session so far, less what earlier notes said, so that notes of parts add up to the whole.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.billing.models import (
    Receipt,
    ReceiptKind,
    ReceiptLine,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.receipts.issue import Correction, Line, issue
from app.core.clock import zone
from app.core.models import CurrencyRow
from app.core.money import Currency, Money, split_vat
from app.crm.models import User


class RefundBeyondReceipt(ValueError):
    """More was given back than the receipt says was paid, or in another currency."""


def due_refunds(session: Session, *, after_id: int = 0, limit: int) -> list[int]:
    """Refunds that succeeded, of sessions on a receipt, without their credit note; by id, above ``after_id``."""
    return list(
        session.scalars(
            select(Transaction.id)
            .join(
                ReceiptLine,
                (ReceiptLine.session_id == Transaction.session_id) & (ReceiptLine.kind == ReceiptKind.RECEIPT),
            )
            .where(
                Transaction.type == TransactionType.REFUND,
                Transaction.purpose == TransactionPurpose.SESSION,
                Transaction.status == TransactionStatus.SUCCEEDED,
                Transaction.amount > 0,
                Transaction.id > after_id,
                ~exists().where(Receipt.refund_id == Transaction.id),
            )
            .order_by(Transaction.id)
            .limit(limit)
        )
    )


def issue_credit_note(session: Session, *, refund_id: int, now: datetime) -> Receipt | None:
    """The credit note of a refund that succeeded; None when it is not due (any more). Flushes.

    Locks the driver's row, so that notes of one session are made one after the other.
    Raises RefundBeyondReceipt.
    """
    refund = session.get_one(Transaction, refund_id)
    line = session.scalars(
        select(ReceiptLine).where(ReceiptLine.session_id == refund.session_id, ReceiptLine.kind == ReceiptKind.RECEIPT)
    ).one_or_none()
    if line is None:
        return None
    receipt = session.get_one(Receipt, line.receipt_id)
    user = lock_driver(session, user_id=receipt.user_id)
    if due_refunds(session, after_id=refund_id - 1, limit=1) != [refund_id]:
        return None
    net = _net_of(session, line, receipt, refund)
    day = refund.updated_at.astimezone(zone(receipt.timezone)).date()
    given_back = Line(
        session_id=line.session_id,
        started_at=line.started_at,
        stopped_at=line.stopped_at,
        place=line.place,
        evse_code=line.evse_code,
        energy_wh=line.energy_wh,
        vat_percent=line.vat_percent,
        gross=refund.amount,
        net=net,
        vat=refund.amount - net,
    )
    corrects = Correction(receipt_id=receipt.id, refund_id=refund.id, reason=refund.description)
    return issue(
        session,
        user=user,
        currency=receipt.currency,
        period=(day, day),
        lines=[given_back],
        now=now,
        corrects=corrects,
    )


def lock_driver(session: Session, *, user_id: int) -> User:
    """A driver's row, locked: receipts of one driver are made one after the other. Nothing else waits for it."""
    return session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def _net_of(session: Session, line: ReceiptLine, receipt: Receipt, refund: Transaction) -> Decimal:
    """The net part of a refund: of all that was given back so far, less what earlier notes said."""
    before_gross, before_net = session.execute(
        select(func.coalesce(func.sum(ReceiptLine.gross), 0), func.coalesce(func.sum(ReceiptLine.net), 0)).where(
            ReceiptLine.session_id == line.session_id, ReceiptLine.kind == ReceiptKind.CREDIT_NOTE
        )
    ).one()
    so_far = Decimal(before_gross) + refund.amount
    if so_far > line.gross or refund.currency != receipt.currency:
        raise RefundBeyondReceipt(
            f"{so_far.normalize():f} {refund.currency} of session {line.session_id} were given back, but receipt "
            f"{receipt.full_number} says that {line.gross.normalize():f} {receipt.currency} were paid"
        )
    if so_far == line.gross:  # all of it: the session's own net, whatever was rounded on the way
        return line.net - Decimal(before_net)
    row = session.get_one(CurrencyRow, receipt.currency)
    currency = Currency(row.code, row.exponent, row.symbol)
    return net_so_far(so_far, currency, line.vat_percent) - Decimal(before_net)


def net_so_far(gross: Decimal, currency: Currency, vat_percent: Decimal) -> Decimal:
    """The net part of all that was given back so far, rounded as prices are (`app.core.money`)."""
    return split_vat(Money(gross, currency).rounded(), vat_percent).net.amount
