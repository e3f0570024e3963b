"""A tariff in words: its price in the base currency, and to whom it applies."""

from __future__ import annotations

from typing import Any

from flask import g

from admin_views.widgets.cells import records
from app.core import rates
from app.core.db import db
from app.core.models import CurrencyRow
from app.tariffs.models import Tariff, TariffGroup
from app.tariffs.snapshots import price_in_words

SECTION = "Tariffs & Vouchers"


def base_currency() -> CurrencyRow:
    """The currency of tariffs, asked for once a request."""
    if "base_currency" not in g:
        g.base_currency = rates.base_currency(db.session())
    found: CurrencyRow = g.base_currency
    return found


def price(tariff: Tariff) -> str:
    """ "€0.20/min, €0.20/kWh", as the manual's lists show it."""
    return price_in_words(tariff, base_currency())


def groups_of(tariff: Tariff) -> list[TariffGroup]:
    """The groups a tariff is attached to, by name."""
    return sorted((link.group for link in tariff.group_links), key=lambda group: group.name)


def applies_to(tariff: Tariff) -> list[Any]:
    """To whom the tariff applies, as texts and records; any of them is enough. Manual, "Restrictions"."""
    if tariff.is_base:
        return ["Everybody (base tariff)"]
    found: list[Any] = []
    if tariff.for_owner_users:
        found.append("Users of the CP owner")
    if tariff.for_roaming_users:
        found.append("Users of all roaming Partners")
    if tariff.for_ad_hoc_users:
        found.append("Ad-hoc users (non-registered)")
    if tariff.partners:
        found.append(records(tariff.partners))
    if tariff.user_groups:
        found.append(records(tariff.user_groups))
    return found or ["Everybody"]


def applies_to_text(tariff: Tariff) -> str:
    """The same for a CSV."""
    named = [str(row) for row in (*tariff.partners, *tariff.user_groups)]
    plain = [text for text in applies_to(tariff) if isinstance(text, str) and not hasattr(text, "__html__")]
    return ", ".join((*plain, *named))
