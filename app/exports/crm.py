"""Users, their groups, cards, payment methods and the ledger, and partners, as rows of a CSV.

Manual, "Exporting Users".
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select

from app.billing.models import BalanceAccount, LedgerEntry, PaymentMethod, PaymentMethodStatus
from app.core.models import CurrencyRow
from app.crm.models import RfidTag, User, UserGroup, user_group_member
from app.exports.cells import amount, joined
from app.exports.columns import ExportList, Row
from app.partners.models import Partner
from app.tariffs.models import Tariff, tariff_user_group


def _groups(_row: Row) -> ColumnElement[Any]:
    groups = (
        select(joined(UserGroup.name, UserGroup.name))
        .join(user_group_member, user_group_member.c.user_group_id == UserGroup.id)
        .where(user_group_member.c.user_id == User.id)
    )
    return groups.correlate(User).scalar_subquery()


def _tags(_row: Row) -> ColumnElement[Any]:
    tags = select(joined(RfidTag.tag_id, RfidTag.id)).where(RfidTag.user_id == User.id)
    return tags.correlate(User).scalar_subquery()


def method_name(method: Any) -> ColumnElement[Any]:
    """A payment method as ``PaymentMethod.__str__`` says it: VISA **** 4242."""
    brand = func.coalesce(func.nullif(func.upper(method.brand), ""), case((method.id.is_not(None), "Card")))
    return func.concat(brand, literal(" **** ").concat(method.last4))


def _methods(_row: Row) -> ColumnElement[Any]:
    """Those that can be charged: active, and the month on them not over."""
    month_over = and_(
        PaymentMethod.exp_year.is_not(None),
        PaymentMethod.exp_year * 12 + PaymentMethod.exp_month
        < func.date_part("year", func.current_date()) * 12 + func.date_part("month", func.current_date()),
    )
    methods = select(joined(method_name(PaymentMethod), PaymentMethod.last_used_at.desc().nulls_last())).where(
        PaymentMethod.user_id == User.id,
        PaymentMethod.status == PaymentMethodStatus.ACTIVE,
        func.coalesce(month_over, False).is_(False),
    )
    return methods.correlate(User).scalar_subquery()


def _balance(row: Row) -> ColumnElement[Any]:
    base = row.world.base_currency
    account = row.beside(
        BalanceAccount, lambda account: and_(account.user_id == row("id"), account.currency == literal(base))
    )
    return amount(func.coalesce(account.balance, 0), literal(base), row.world.exponents)


def _currency(row: Row) -> ColumnElement[Any]:
    code: ColumnElement[Any] = row.beside(CurrencyRow, lambda own: own.code == literal(row.world.base_currency)).code
    return code


USERS = ExportList(
    User,
    (
        "id",
        "status",
        "email",
        "first_name",
        "last_name",
        "phone",
        ("groups", _groups),
        ("balance", _balance),
        ("currency", _currency),
        "locale",
        ("registered_at", "created_at"),
        ("rfid_tags", _tags),
        "date_of_birth",
        "company",
        "vat_no",
        "address",
        "post_code",
        "city",
        "country",
        "car_make",
        "car_model",
        "licence_plate",
        "email_verified_at",
        "phone_verified_at",
        ("payment_methods", _methods),
    ),
    time="created_at",
)


def _members(_row: Row) -> ColumnElement[Any]:
    members = select(func.count()).where(user_group_member.c.user_group_id == UserGroup.id)
    return members.correlate(UserGroup).scalar_subquery()


def _tariffs(_row: Row) -> ColumnElement[Any]:
    tariffs = (
        select(joined(Tariff.name, Tariff.name))
        .join(tariff_user_group, tariff_user_group.c.tariff_id == Tariff.id)
        .where(tariff_user_group.c.user_group_id == UserGroup.id)
    )
    return tariffs.correlate(UserGroup).scalar_subquery()


USER_GROUPS = ExportList(UserGroup, ("id", "name", ("users", _members), ("tariffs", _tariffs)))

RFID_TAGS = ExportList(
    RfidTag,
    (
        "id",
        "tag_id",
        "card_no",
        "user.email",
        "status",
        "expires_on",
        "created_at",
        "user.first_name",
        "user.last_name",
    ),
    time="created_at",
)

PAYMENT_METHODS = ExportList(
    PaymentMethod,
    (
        "id",
        "user.email",
        "brand",
        "last4",
        "exp_month",
        "exp_year",
        "status",
        "processor",
        "created_at",
        "last_used_at",
        "removed_at",
    ),
    time="created_at",
)


def _of_account(name: str) -> Any:
    return lambda row: amount(row(name), row("account.currency"), row.world.exponents)


#: every movement of a balance, with the balance after it
LEDGER = ExportList(
    LedgerEntry,
    (
        "id",
        ("happened_at", "at"),
        ("user_email", "account.user.email"),
        "type",
        ("currency", "account.currency"),
        ("credit", _of_account("credit")),
        ("debit", _of_account("debit")),
        ("balance_after", _of_account("balance_after")),
        "session_id",
        "action_id",
        "reference",
        "description",
    ),
    time="at",
)

PARTNERS = ExportList(
    Partner,
    (
        "id",
        "name",
        "company_name",
        "address",
        "registration_no",
        "vat_no",
        "contact_email",
        "contact_phone",
        "created_at",
    ),
    time="created_at",
)
