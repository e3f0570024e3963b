"""TARIFFS & VOUCHERS: tariffs, the groups that EVSEs are given, top-up packages and vouchers."""

from __future__ import annotations

from typing import Any

from admin_views.tariffs.groups import TariffGroupView
from admin_views.tariffs.packages import TopUpPackageView
from admin_views.tariffs.tariffs import TariffView
from admin_views.tariffs.vouchers import VoucherView
from app.billing.models import TopUpPackage, Voucher
from app.core.db import db
from app.tariffs.models import Tariff, TariffGroup


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [
        TariffView(Tariff, db),
        TariffGroupView(TariffGroup, db),
        TopUpPackageView(TopUpPackage, db),
        VoucherView(Voucher, db),
    ]
