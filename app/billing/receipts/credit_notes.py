"""Credit notes: what was given back of a session that stands on a receipt, one for each refund.

The receipt keeps the full price, also when the refund came before it: the credit note follows. VAT is split over all
that was given back of the session so far, less what earlier notes said, so that notes of parts add up to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select
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
    """Refunds that succeeded, of sessions on a receipt, without their credit note; by id, above ``after_id``.

    What a correction of the price gave back is on no receipt that was issued after it: that has the lower price.
    """
    return list(
        session.scalars(
            select(Transaction.id)
            .where(
                exists().where(_is_receipted(Transaction.session_id, Transaction.user_id, Transaction.correction)),
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


def _is_receipted(session_id: Any, user_id: Any, correction: Any) -> ColumnElement[bool]:
    """That a line is of a receipt for this driver, by a price from before the correction, if it is one."""
    return and_(
        ReceiptLine.session_id == session_id,
        ReceiptLine.kind == ReceiptKind.RECEIPT,
        ReceiptLine.receipt_id == Receipt.id,
        Receipt.user_id == user_id,
        or_(correction.is_(None), ReceiptLine.price_version < correction),
    )


def issue_credit_note(session: Session, *, refund_id: int, now: datetime) -> Receipt | None:
    """The credit note of a refund that succeeded; None when it is not due (any more). Flushes.

    Locks the driver's row, so that notes of one session are made one after the other.
    Raises RefundBeyondReceipt.
    """
    refund = session.get_one(Transaction, refund_id)
    lines = session.scalars(
        select(ReceiptLine)
        .where(
            _is_receipted(
                refund.session_id, refund.user_id, literal(refund.correction, type_=ReceiptLine.price_version.type)
            )
        )
        .order_by(ReceiptLine.id)
    ).all()
    if not lines:
        return None
    receipts = {line.id: session.get_one(Receipt, line.receipt_id) for line in lines}
    user = lock_driver(session, user_id=receipts[lines[0].id].user_id)
    if due_refunds(session, after_id=refund_id - 1, limit=1) != [refund_id]:
        return None
    line = _corrected_line(session, lines, refund)
    receipt = receipts[line.id]
    net = _net_of(session, lines, receipt, refund)
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


def _corrected_line(session: Session, lines: Sequence[ReceiptLine], refund: Transaction) -> ReceiptLine:
    """The line whose receipt the note corrects: the latest one of which as much is left, else the largest."""
    for line in reversed(lines):
        noted = session.scalar(
            select(func.coalesce(func.sum(ReceiptLine.gross), 0))
            .join(Receipt, Receipt.id == ReceiptLine.receipt_id)
            .where(Receipt.corrects_id == line.receipt_id, ReceiptLine.session_id == line.session_id)
        )
        if line.gross - Decimal(noted or 0) >= refund.amount:
            return line
    return max(lines, key=lambda line: line.gross)


def lock_driver(session: Session, *, user_id: int) -> User:
    """A driver's row, locked: receipts of one driver are made one after the other. Nothing else waits for it."""
    return session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def _net_of(session: Session, lines: Sequence[ReceiptLine], receipt: Receipt, refund: Transaction) -> Decimal:
    """The net part of a refund: of all that was given back to the driver so far, less what earlier notes said."""
    before_gross, before_net = session.execute(
        select(func.coalesce(func.sum(ReceiptLine.gross), 0), func.coalesce(func.sum(ReceiptLine.net), 0))
        .join(Receipt, Receipt.id == ReceiptLine.receipt_id)
        .where(
            ReceiptLine.session_id == refund.session_id,
            ReceiptLine.kind == ReceiptKind.CREDIT_NOTE,
            Receipt.user_id == receipt.user_id,
        )
    ).one()
    gross, net = sum((line.gross for line in lines), Decimal(0)), sum((line.net for line in lines), Decimal(0))
    so_far = Decimal(before_gross) + refund.amount
    if so_far > gross or refund.currency != receipt.currency:
        raise RefundBeyondReceipt(
            f"{so_far.normalize():f} {refund.currency} of session {refund.session_id} were given back, but receipt "
            f"{receipt.full_number} says that {gross.normalize():f} {receipt.currency} were paid"
        )
    if so_far == gross:  # all of it: the session's own net, whatever was rounded on the way
        return net - Decimal(before_net)
    row = session.get_one(CurrencyRow, receipt.currency)
    currency = Currency(row.code, row.exponent, row.symbol)
    return net_so_far(so_far, currency, lines[-1].vat_percent) - Decimal(before_net)


def net_so_far(gross: Decimal, currency: Currency, vat_percent: Decimal) -> Decimal:
    """The net part of all that was given back so far, rounded as prices are (`app.core.money`)."""
    return split_vat(Money(gross, currency).rounded(), vat_percent).net.amount
