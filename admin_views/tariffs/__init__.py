"""TARIFFS & VOUCHERS: tariffs, and the groups that EVSEs are given."""

from __future__ import annotations

from typing import Any

from admin_views.tariffs.groups import TariffGroupView
from admin_views.tariffs.tariffs import TariffView
from app.core.db import db
from app.tariffs.models import Tariff, TariffGroup


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [TariffView(Tariff, db), TariffGroupView(TariffGroup, db)]
