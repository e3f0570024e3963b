"""Tariffs as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, literal, select

from app.crm.models import UserGroup
from app.exports.cells import joined, kw, moment, text, unit_price, yes_no
from app.partners.models import Partner
from app.tariffs.models import (
    Tariff,
    TariffGroup,
    TariffGroupTariff,
    TariffPowerLevel,
    tariff_partner,
    tariff_user_group,
)

__all__ = ["Tariff"]


def tariffs(base_currency: str) -> Select[Any]:
    """Tariffs with their prices in the base currency, to whom they apply, and the groups they are in."""
    price = func.concat(kw(TariffPowerLevel.max_power_w), " kW: ", unit_price(TariffPowerLevel.price_per_minute))
    levels = select(joined(price, TariffPowerLevel.max_power_w)).where(TariffPowerLevel.tariff_id == Tariff.id)
    groups = (
        select(joined(TariffGroup.name, TariffGroup.name))
        .join(TariffGroupTariff, TariffGroupTariff.tariff_group_id == TariffGroup.id)
        .where(TariffGroupTariff.tariff_id == Tariff.id)
    )
    user_groups = (
        select(joined(UserGroup.name, UserGroup.name))
        .join(tariff_user_group, tariff_user_group.c.user_group_id == UserGroup.id)
        .where(tariff_user_group.c.tariff_id == Tariff.id)
    )
    partners = (
        select(joined(Partner.name, Partner.name))
        .join(tariff_partner, tariff_partner.c.partner_id == Partner.id)
        .where(tariff_partner.c.tariff_id == Tariff.id)
    )
    return select(
        Tariff.id.label("id"),
        text(Tariff.name).label("name"),
        Tariff.type.label("type"),
        literal(base_currency).label("currency"),
        unit_price(Tariff.price_per_session).label("price_per_session"),
        unit_price(Tariff.price_per_minute).label("price_per_minute"),
        unit_price(Tariff.price_per_kwh).label("price_per_kwh"),
        unit_price(Tariff.connection_fee).label("connection_fee"),
        func.to_char(Tariff.day_starts, "HH24:MI").label("day_starts"),
        func.to_char(Tariff.night_starts, "HH24:MI").label("night_starts"),
        unit_price(Tariff.night_price_per_minute).label("night_price_per_minute"),
        unit_price(Tariff.night_price_per_kwh).label("night_price_per_kwh"),
        levels.correlate(Tariff).scalar_subquery().label("power_levels"),
        unit_price(Tariff.idle_fee_per_minute).label("idle_fee_per_minute"),
        Tariff.idle_grace_minutes.label("idle_grace_minutes"),
        Tariff.max_minutes.label("max_minutes"),
        func.trim_scale(Tariff.max_energy_kwh).label("max_energy_kwh"),
        yes_no(Tariff.is_base).label("is_base"),
        yes_no(Tariff.for_owner_users).label("for_owner_users"),
        yes_no(Tariff.for_roaming_users).label("for_roaming_users"),
        yes_no(Tariff.for_ad_hoc_users).label("for_ad_hoc_users"),
        user_groups.correlate(Tariff).scalar_subquery().label("user_groups"),
        partners.correlate(Tariff).scalar_subquery().label("partners"),
        groups.correlate(Tariff).scalar_subquery().label("tariff_groups"),
        Tariff.revision.label("revision"),
        moment(Tariff.created_at).label("created_at"),
        moment(Tariff.updated_at).label("updated_at"),
    ).select_from(Tariff)
