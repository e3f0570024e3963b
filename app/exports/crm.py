"""Users, RFID tags and the ledger as rows of a CSV. Manual, "Exporting Users"."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, func, literal, select

from app.billing.models import BalanceAccount, LedgerEntry
from app.core.models import CurrencyRow
from app.crm.models import RfidTag, User, UserGroup, user_group_member
from app.exports.cells import amount, joined, moment, text

#: of the profile, what came to the list later: new columns stand after the old ones
PROFILE = (
    "company", "vat_no", "address", "post_code", "city", "country", "car_make", "car_model", "licence_plate",
)  # fmt: skip
__all__ = ["LedgerEntry", "RfidTag", "User"]


def users(base_currency: str) -> Select[Any]:
    """Users with their balance in the base currency."""
    groups = (
        select(joined(UserGroup.name, UserGroup.name))
        .join(user_group_member, user_group_member.c.user_group_id == UserGroup.id)
        .where(user_group_member.c.user_id == User.id)
        .correlate(User)
    )
    tags = select(joined(RfidTag.tag_id, RfidTag.id)).where(RfidTag.user_id == User.id).correlate(User)
    return (
        select(
            User.id.label("id"),
            User.status.label("status"),
            text(User.email).label("email"),
            text(User.first_name).label("first_name"),
            text(User.last_name).label("last_name"),
            text(User.phone).label("phone"),
            groups.scalar_subquery().label("groups"),
            amount(func.coalesce(BalanceAccount.balance, 0), CurrencyRow.exponent).label("balance"),
            CurrencyRow.code.label("currency"),
            User.locale.label("locale"),
            moment(User.created_at).label("registered_at"),
            tags.scalar_subquery().label("rfid_tags"),
            User.date_of_birth.label("date_of_birth"),
            *(text(getattr(User, name)).label(name) for name in PROFILE),
            moment(User.email_verified_at).label("email_verified_at"),
            moment(User.phone_verified_at).label("phone_verified_at"),
        )
        .select_from(User)
        .outerjoin(CurrencyRow, CurrencyRow.code == literal(base_currency))
        .outerjoin(
            BalanceAccount,
            and_(BalanceAccount.user_id == User.id, BalanceAccount.currency == literal(base_currency)),
        )
    )


def rfid_tags(_base_currency: str) -> Select[Any]:
    """RFID tags."""
    return (
        select(
            RfidTag.id.label("id"),
            text(RfidTag.tag_id).label("tag_id"),
            text(RfidTag.card_no).label("card_no"),
            text(User.email).label("user_email"),
            RfidTag.status.label("status"),
            RfidTag.expires_on.label("expires_on"),
            moment(RfidTag.created_at).label("created_at"),
        )
        .select_from(RfidTag)
        .join(User, User.id == RfidTag.user_id)
    )


def ledger(_base_currency: str) -> Select[Any]:
    """Every movement of a balance, with the balance after it."""
    exponent = CurrencyRow.exponent
    return (
        select(
            LedgerEntry.id.label("id"),
            moment(LedgerEntry.at).label("happened_at"),
            text(User.email).label("user_email"),
            LedgerEntry.type.label("type"),
            BalanceAccount.currency.label("currency"),
            amount(LedgerEntry.credit, exponent).label("credit"),
            amount(LedgerEntry.debit, exponent).label("debit"),
            amount(LedgerEntry.balance_after, exponent).label("balance_after"),
            LedgerEntry.session_id.label("session_id"),
            LedgerEntry.action_id.label("action_id"),
            text(LedgerEntry.reference).label("reference"),
            text(LedgerEntry.description).label("description"),
        )
        .select_from(LedgerEntry)
        .join(BalanceAccount, BalanceAccount.id == LedgerEntry.account_id)
        .join(CurrencyRow, CurrencyRow.code == BalanceAccount.currency)
        .join(User, User.id == BalanceAccount.user_id)
    )
