"""PAYMENTS: Transactions."""

from __future__ import annotations

from typing import Any

from admin_views.payments.transactions import TransactionView
from app.billing.models import Transaction
from app.core.db import db


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [TransactionView(Transaction, db)]
