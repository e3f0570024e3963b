"""Transactions, vouchers, receipts, tariffs and top-up packages as rows of a CSV.

The first columns of transactions are a contract with other programs (product.md, "CSV").
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, literal, select

from app.billing.models import (
    PaymentMethod,
    Receipt,
    ReceiptLine,
    TopUpPackage,
    Transaction,
    TransactionPurpose,
    Voucher,
)
from app.crm.models import UserGroup
from app.exports.cells import amount as amount_of
from app.exports.cells import joined, kw, text, unit_price
from app.exports.columns import ExportList, Row, amount, by
from app.exports.crm import method_name
from app.partners.models import Partner
from app.tariffs.models import (
    Tariff,
    TariffGroup,
    TariffGroupTariff,
    TariffPowerLevel,
    tariff_partner,
    tariff_user_group,
)


def _method(row: Row) -> ColumnElement[Any]:
    return text(method_name(row.beside(PaymentMethod, lambda method: method.id == row("payment_method_id"))))


#: top-ups are no transactions (manual, "Transactions")
TRANSACTIONS = ExportList(
    Transaction,
    (
        "id",
        "created_at",
        "type",
        "status",
        ("amount", amount("amount")),
        "currency",
        "user.email",
        "session_id",
        "processor",
        "processor_reference",
        "failure_reason",
        "updated_at",
        "purpose",
        "parent_id",
        ("payment_method", _method),
        "description",
    ),
    time="created_at",
    where=lambda: Transaction.purpose != TransactionPurpose.TOP_UP,
)

#: the columns of the page, who created it, its description (manual, "Exporting Voucher & Top-Up Data"); what was paid
VOUCHERS = ExportList(
    Voucher,
    (
        "id",
        "code",
        "created_at",
        "type",
        "status",
        "redeem_before",
        "redeemed_at",
        ("redeemed_by", "user.email"),
        ("total_amount", amount("amount")),
        "currency",
        "created_by",
        "description",
        ("paid_amount", amount("paid_amount")),
        ("bonus", amount("bonus")),
    ),
    time="created_at",
)


def _lines(_row: Row) -> ColumnElement[Any]:
    lines = select(func.count()).where(ReceiptLine.receipt_id == Receipt.id)
    return lines.correlate(Receipt).scalar_subquery()


#: the amounts of a credit note are positive, and given back
RECEIPTS = ExportList(
    Receipt,
    (
        "id",
        ("number", "full_number"),
        "kind",
        "user.email",
        "period_from",
        "period_to",
        "issued_at",
        "currency",
        ("total_gross", amount("total_gross")),
        ("total_net", amount("total_net")),
        ("total_vat", amount("total_vat")),
        ("corrects", "corrects.full_number"),
        "sent_count",
        ("sessions", _lines),
    ),
    time="issued_at",
)

TOP_UP_PACKAGES = ExportList(
    TopUpPackage,
    (
        "id",
        ("price", amount("price")),
        ("bonus", amount("bonus")),
        ("total", lambda row: amount_of(row("price") + row("bonus"), row("currency"), row.world.exponents)),
        "currency",
        "enabled",
        "position",
    ),
)


def _levels(_row: Row) -> ColumnElement[Any]:
    level = TariffPowerLevel
    price = func.concat(kw(level.max_power_w), " kW: ", unit_price(level.price_per_minute))
    levels = select(joined(price, level.max_power_w)).where(level.tariff_id == Tariff.id)
    return levels.correlate(Tariff).scalar_subquery()


def _groups(_row: Row) -> ColumnElement[Any]:
    groups = (
        select(joined(TariffGroup.name, TariffGroup.name))
        .join(TariffGroupTariff, TariffGroupTariff.tariff_group_id == TariffGroup.id)
        .where(TariffGroupTariff.tariff_id == Tariff.id)
    )
    return groups.correlate(Tariff).scalar_subquery()


def _user_groups(_row: Row) -> ColumnElement[Any]:
    groups = (
        select(joined(UserGroup.name, UserGroup.name))
        .join(tariff_user_group, tariff_user_group.c.user_group_id == UserGroup.id)
        .where(tariff_user_group.c.tariff_id == Tariff.id)
    )
    return groups.correlate(Tariff).scalar_subquery()


def _partners(_row: Row) -> ColumnElement[Any]:
    partners = (
        select(joined(Partner.name, Partner.name))
        .join(tariff_partner, tariff_partner.c.partner_id == Partner.id)
        .where(tariff_partner.c.tariff_id == Tariff.id)
    )
    return partners.correlate(Tariff).scalar_subquery()


def _clock(name: str) -> Any:
    return lambda row: func.to_char(row(name), "HH24:MI")


def _price(name: str) -> tuple[str, Any]:
    return name, by(unit_price, name)


#: prices are in the base currency; to whom a tariff applies, and the groups it is in
TARIFFS = ExportList(
    Tariff,
    (
        "id",
        "name",
        "type",
        ("currency", lambda row: literal(row.world.base_currency)),
        _price("price_per_session"),
        _price("price_per_minute"),
        _price("price_per_kwh"),
        _price("connection_fee"),
        ("day_starts", _clock("day_starts")),
        ("night_starts", _clock("night_starts")),
        _price("night_price_per_minute"),
        _price("night_price_per_kwh"),
        ("power_levels", _levels),
        _price("idle_fee_per_minute"),
        "idle_grace_minutes",
        "max_minutes",
        _price("max_energy_kwh"),
        "is_base",
        "for_owner_users",
        "for_roaming_users",
        "for_ad_hoc_users",
        ("user_groups", _user_groups),
        ("partners", _partners),
        ("tariff_groups", _groups),
        "revision",
        "created_at",
        "updated_at",
    ),
    time="created_at",
)


def _tariffs(_row: Row) -> ColumnElement[Any]:
    tariffs = (
        select(joined(Tariff.name, TariffGroupTariff.position, " > "))
        .join(TariffGroupTariff, TariffGroupTariff.tariff_id == Tariff.id)
        .where(TariffGroupTariff.tariff_group_id == TariffGroup.id)
    )
    return tariffs.correlate(TariffGroup).scalar_subquery()


TARIFF_GROUPS = ExportList(TariffGroup, ("id", "name", ("tariffs", _tariffs), "created_at"), time="created_at")
