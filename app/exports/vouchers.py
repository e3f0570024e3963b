"""Vouchers and top-ups as rows of a CSV. Manual, "Exporting Voucher & Top-Up Data"."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from app.billing.models import Voucher
from app.core.models import CurrencyRow
from app.crm.models import User
from app.exports.cells import amount, moment, text

__all__ = ["Voucher"]


def vouchers(_base_currency: str) -> Select[Any]:
    """The columns of the page, who created it, its description; then what was charged for it."""
    exponent = CurrencyRow.exponent
    return (
        select(
            Voucher.id.label("id"),
            text(Voucher.code).label("code"),
            moment(Voucher.created_at).label("created_at"),
            Voucher.type.label("type"),
            Voucher.status.label("status"),
            Voucher.redeem_before.label("redeem_before"),
            moment(Voucher.redeemed_at).label("redeemed_at"),
            text(User.email).label("redeemed_by"),
            amount(Voucher.amount, exponent).label("total_amount"),
            Voucher.currency.label("currency"),
            text(Voucher.created_by).label("created_by"),
            text(Voucher.description).label("description"),
            amount(Voucher.paid_amount, exponent).label("paid_amount"),
            amount(Voucher.bonus, exponent).label("bonus"),
        )
        .select_from(Voucher)
        .join(CurrencyRow, CurrencyRow.code == Voucher.currency)
        .outerjoin(User, User.id == Voucher.user_id)
    )
