"""Filters of the CRM's lists that no column offers."""

from __future__ import annotations

from typing import Any

from admin_views.crm.figures import balance_sql
from admin_views.widgets.filters import AtLeast, AtMost


class BalanceAtLeast(AtLeast):
    """Users with at least this much in the base currency."""

    def condition(self, column: Any, value: Any) -> Any:
        """The column only says whose balance it is."""
        return balance_sql() >= value


class BalanceAtMost(AtMost):
    """Users with at most this much in the base currency."""

    def condition(self, column: Any, value: Any) -> Any:
        """The column only says whose balance it is."""
        return balance_sql() <= value
