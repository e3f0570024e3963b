"""Receipts and credit notes as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from app.billing.models import Receipt, ReceiptLine
from app.core.models import CurrencyRow
from app.crm.models import User
from app.exports.cells import amount, moment, text

__all__ = ["Receipt"]


def receipts(_base_currency: str) -> Select[Any]:
    """Receipts; the amounts of a credit note are positive, and given back."""
    corrected = aliased(Receipt)
    sessions = select(func.count()).where(ReceiptLine.receipt_id == Receipt.id).correlate(Receipt).scalar_subquery()
    exponent = CurrencyRow.exponent
    return (
        select(
            Receipt.id.label("id"),
            text(Receipt.full_number).label("number"),
            Receipt.kind.label("kind"),
            text(User.email).label("user_email"),
            Receipt.period_from.label("period_from"),
            Receipt.period_to.label("period_to"),
            moment(Receipt.issued_at).label("issued_at"),
            Receipt.currency.label("currency"),
            amount(Receipt.total_gross, exponent).label("total_gross"),
            amount(Receipt.total_net, exponent).label("total_net"),
            amount(Receipt.total_vat, exponent).label("total_vat"),
            text(corrected.full_number).label("corrects"),
            Receipt.sent_count.label("sent_count"),
            sessions.label("sessions"),
        )
        .select_from(Receipt)
        .join(User, User.id == Receipt.user_id)
        .join(CurrencyRow, CurrencyRow.code == Receipt.currency)
        .outerjoin(corrected, corrected.id == Receipt.corrects_id)
    )
