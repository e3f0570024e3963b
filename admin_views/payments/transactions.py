"""Transactions: every movement of money by a processor. Top-ups are none (manual, "Transactions")."""

from __future__ import annotations

from typing import Any

from flask import url_for
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload, selectinload

from admin_views import formats
from admin_views.assets.parts import ChoiceWhere, LiveList, TextWhere
from admin_views.base import BaseView, Facts, Related
from admin_views.dashboard.links import page_of
from admin_views.payments.transaction_actions import ACTIONS
from admin_views.widgets.cells import link, pill
from app.billing.models import PaymentMethod, Transaction, TransactionPurpose, TransactionStatus, TransactionType
from app.billing.payments import orders, processors
from app.core.models import Action
from app.search.kinds import Kind

_COLOURS = {
    TransactionStatus.OUTSTANDING: "orange",
    TransactionStatus.AUTHENTICATION_REQUIRED: "orange",
    TransactionStatus.CANCELLED: "secondary",
}


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
    return processors.title(obj.processor)


def _method(view: Any, context: Any, obj: Transaction, name: str) -> str:
    return str(obj.payment_method) if obj.payment_method is not None else processors.title(obj.processor)


def _parent(view: Any, context: Any, obj: Transaction, name: str) -> Any:
    if obj.parent_id is None:
        return formats.NOTHING
    return link(url_for("transaction.details_view", id=obj.parent_id), f"Transaction #{obj.parent_id}")


def _by_method(like: str) -> Any:
    words = PaymentMethod.brand + " " + PaymentMethod.last4
    of = select(PaymentMethod.id).where(
        or_(words.ilike(like, escape="\\"), PaymentMethod.last4.ilike(like, escape="\\"))
    )
    return Transaction.payment_method_id.in_(of)


def family(query: Any, obj: Transaction) -> Any:
    """What belongs to a transaction: its parent, what was captured, released and given back of it, its session's."""
    around = [Transaction.parent_id == obj.id]
    if obj.parent_id is not None:
        around += [Transaction.id == obj.parent_id, Transaction.parent_id == obj.parent_id]
    if obj.session_id is not None:
        around.append(Transaction.session_id == obj.session_id)
    return query.filter(or_(*around), Transaction.id != obj.id)


def _actions_on(query: Any, obj: Transaction) -> Any:
    return query.filter(Action.target_type == Transaction.__tablename__, Action.target_id == obj.id)


_PURPOSES = [(each.value, each.label) for each in TransactionPurpose if each is not TransactionPurpose.TOP_UP]


class TransactionView(LiveList, BaseView):
    """The list of all transactions and the page of one."""

    resource, singular, plural = "payments.transaction", "Transaction", "Transactions"
    section, icon = "Payments", "credit-card"
    description = "Every charge, pre-authorization, capture, void and refund. Top-ups are not transactions."
    empty_hint = "They appear when charging sessions are billed."
    live_topic = "transactions"
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
        "payment_method",
        "processor_reference",
        "failure_reason",
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
        "payment_method": "Payment method",
        "parent_id": "Belongs to",
        "asked_at": "Asked",
        "next_attempt_at": "Asked again",
        "closed_at": "Captured or released",
    }
    column_formatters = {
        "status": _status,
        "amount": _amount,
        "session_id": _session,
        "processor": _processor,
        "payment_method": _method,
        "parent_id": _parent,
    }
    column_sortable_list = (
        "id",
        "created_at",
        "type",
        "status",
        "amount",
        ("user", "user.email"),
        "session_id",
        "processor_reference",
    )
    column_default_sort = ("id", True)
    column_searchable_list = ("id", "session_id", "user.email", "processor_reference")
    search_hint = "Search ID, session, user, whole reference"
    search_related = ((Kind.USER, "user_id"),)
    search_numbers = ("id", "session_id")
    search_same = ("processor_reference",)
    column_filters = (
        "status",
        "type",
        ChoiceWhere(Transaction.id, "Purpose", _PURPOSES, lambda key: Transaction.purpose == TransactionPurpose(key)),
        "created_at",
        "amount",
        "currency",
        "user.email",
        "session_id",
        "parent_id",
        TextWhere(Transaction.id, "Payment method", _by_method),
        "processor",
        "processor_reference",
        "failure_reason",
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
        "failure_reason",
        "updated_at",
        "purpose",
        "parent_id",
        ("payment_method", lambda obj: str(obj.payment_method) if obj.payment_method else None),
        "description",
    )
    load_options = (joinedload(Transaction.payment_method),)
    details_load_options = (selectinload(Transaction.events),)
    status_template = "payments/_transaction_status.html"
    details_tabs = (
        Facts("History", template="payments/_transaction_history.html"),
        Facts(
            "General",
            (
                "id",
                "created_at",
                "updated_at",
                "type",
                "purpose",
                "status",
                "amount",
                "user",
                "session_id",
                "parent_id",
                "payment_method",
                "processor",
                "processor_reference",
                "failure_reason",
                "description",
                "closed_at",
                "idempotency_key",
            ),
        ),
    )

    related = (
        Related(
            "Related transactions",
            "transaction",
            family,
            ("id", "created_at", "type", "status", "amount", "payment_method", "processor_reference"),
        ),
        Related(
            "Actions", "action", _actions_on, ("id", "name", "info", "reason", "status", "initiated_by", "created_at")
        ),
    )
    actions = ACTIONS

    def scope(self, query: Any) -> Any:
        """Top-ups are vouchers, and no transactions. Manual, "Transactions"."""
        return query.filter(Transaction.purpose != TransactionPurpose.TOP_UP)

    def details_context(self, obj: Transaction) -> dict[str, Any]:
        """What is left of it, for the cards."""
        taken = obj.type in (TransactionType.CHARGE, TransactionType.CAPTURE)
        left = orders.refundable(self.db_session(), obj)
        succeeded = obj.status is TransactionStatus.SUCCEEDED
        return {
            **super().details_context(obj),
            "paid_by": _method(self, None, obj, ""),
            "refunded": obj.amount - left if taken and succeeded else None,
            "left": left,
            "processor_title": processors.title,
            "status_pill": _status(self, None, obj, ""),
        }

    def live_topics(self, obj: Transaction) -> list[str]:
        """It and its session's billing."""
        return [f"transaction:{obj.id}", *([f"session:{obj.session_id}"] if obj.session_id is not None else [])]
