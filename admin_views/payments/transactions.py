"""Transactions: every movement of money by a processor. Top-ups are none (manual, "Transactions")."""

from __future__ import annotations

from typing import Any

from flask import url_for

from admin_views import formats
from admin_views.assets.parts import LiveList
from admin_views.base import BaseView, Facts
from admin_views.dashboard.links import page_of
from admin_views.widgets.cells import link, pill
from app.billing.models import Transaction, TransactionStatus

_COLOURS = {TransactionStatus.OUTSTANDING: "orange", TransactionStatus.CANCELLED: "secondary"}


def _status(view: Any, context: Any, obj: Transaction, name: str) -> Any:
    return pill(obj.status, _COLOURS.get(obj.status))


def _amount(view: Any, context: Any, obj: Transaction, name: str) -> Any:
    return formats.money(obj.amount, obj.currency)


def _session(view: Any, context: Any, obj: Transaction, name: str) -> Any:
    if obj.session_id is None:
        return formats.NOTHING
    text = f"Session {obj.session_id}"
    page = page_of("charging_session")
    return link(url_for("charging_session.details_view", id=obj.session_id), text) if page is not None else text


def _processor(view: Any, context: Any, obj: Transaction, name: str) -> str:
    return formats.sentence(obj.processor)


class TransactionView(LiveList, BaseView):
    """The list of all transactions and the page of one."""

    resource, singular, plural = "payments.transaction", "Transaction", "Transactions"
    section, icon = "Payments", "credit-card"
    description = "Every charge, pre-authorization, capture, void and refund. Top-ups are not transactions."
    empty_hint = "They appear when charging sessions are billed."
    live_topic = "sessions"
    can_create = can_edit = can_delete = False
    has_history = False
    count_cap = 100_000

    column_list = (
        "id",
        "created_at",
        "type",
        "status",
        "amount",
        "user",
        "session_id",
        "processor",
        "processor_reference",
    )
    column_labels = {
        "id": "ID",
        "created_at": "Created",
        "updated_at": "Last change",
        "session_id": "Charging Session",
        "processor_reference": "Reference",
        "idempotency_key": "Idempotency key",
        "failure_reason": "Failure reason",
        "user.email": "User",
        "user": "User",
    }
    column_formatters = {"status": _status, "amount": _amount, "session_id": _session, "processor": _processor}
    column_sortable_list = (
        "id",
        "created_at",
        "type",
        "status",
        "amount",
        ("user", "user.email"),
        "session_id",
        "processor",
    )
    column_default_sort = ("id", True)
    column_searchable_list = ("id", "session_id", "user.email", "processor_reference")
    search_hint = "Search ID, session, user, reference"
    column_filters = (
        "status",
        "type",
        "created_at",
        "amount",
        "currency",
        "user.email",
        "session_id",
        "processor",
        "processor_reference",
    )
    column_export_list = (
        "id",
        "created_at",
        "type",
        "status",
        ("amount", lambda obj: formats.export_amount(obj.amount, obj.currency)),
        "currency",
        ("user_email", "user.email"),
        "session_id",
        "processor",
        "processor_reference",
    )
    details_tabs = (
        Facts(
            "General",
            (
                "id",
                "created_at",
                "updated_at",
                "type",
                "status",
                "amount",
                "user",
                "session_id",
                "processor",
                "processor_reference",
                "failure_reason",
                "idempotency_key",
            ),
        ),
    )

    def live_topics(self, obj: Transaction) -> list[str]:
        """Its session's billing changes it."""
        return [f"session:{obj.session_id}"] if obj.session_id is not None else []
