"""Actions log: everything an admin (or a rule) did or asked a station to do. product.md, "Actions"."""

from __future__ import annotations

import json
from typing import Any

from flask import abort, request
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import aliased

from admin_views.assets.parts import ChoiceWhere, LiveList, TextWhere
from admin_views.base import BaseView, Facts, url_if
from admin_views.widgets import cells
from app.assets.models import ChargePoint
from app.charging.commands import TITLES
from app.core.models import Action

#: what an action was done to → the endpoint of its page
PAGES = {
    "charge_point": "charge_point",
    "evse": "evse",
    "charging_session": "charging_session",
    "user_account": "user",
    "mail": "mail",
}
KINDS = {
    "charge_point": "Charge Point",
    "evse": "EVSE",
    "charging_session": "Charging Session",
    "user_account": "User",
    "mail": "E-mail",
}


def target(view: Any, context: Any, obj: Action, name: str) -> Any:
    """What it was done to, as a link where the admin may follow it."""
    endpoint = PAGES.get(obj.target_type)
    page = view.sibling(endpoint) if endpoint else None
    url = url_if(f"{endpoint}.details_view", id=obj.target_id) if page is not None and page.is_accessible() else None
    return cells.link(url, obj.target_label) if url else obj.target_label


def kind(view: Any, context: Any, obj: Action, name: str) -> str:
    """What kind of thing."""
    return KINDS.get(obj.target_type, obj.target_type.replace("_", " ").capitalize())


def folded(view: Any, context: Any, obj: Action, name: str) -> Any:
    """JSON as indented text."""
    value = getattr(obj, name)
    if value is None:
        return None
    return Markup('<pre class="frame" tabindex="0">{}</pre>').format(json.dumps(value, ensure_ascii=False, indent=2))


def session_of(obj: Action) -> int | None:
    """The session an action started or stopped."""
    number = (obj.request or {}).get("session_id")
    return number if isinstance(number, int) else None


def _station(condition: Any) -> Any:
    station = aliased(ChargePoint)
    return Action.charge_point_id.in_(select(station.id).where(condition(station)))


class ActionView(LiveList, BaseView):
    """Who did what, on what, why, when, and what came of it."""

    resource, singular, plural = "activity.action", "Action", "Actions"
    section, icon = "Activity", "history"
    live_topic = "actions"
    can_create = can_edit = can_delete = False
    has_history = False
    details_template = "activity/action.html"
    description = "Every remote or account-changing action, with its reason and outcome."
    empty_hint = "Whatever is done to a charge point, a session or a user's account appears here."

    column_list = (
        "id",
        "name",
        "target_label",
        "info",
        "reason",
        "status",
        "initiated_by",
        "created_at",
        "finished_at",
        "error",
    )
    column_labels = {
        "id": "ID",
        "name": "Name",
        "target_label": "Done to",
        "target_type": "Kind",
        "info": "Info",
        "reason": "Reason",
        "status": "Status",
        "initiated_by": "Initiated by",
        "created_at": "Happened at",
        "sent_at": "Sent at",
        "finished_at": "Finished at",
        "deadline_at": "Waits until",
        "error": "Error",
        "command": "Command",
        "request": "Request",
        "response": "Response",
    }
    column_pills = ("status",)
    column_formatters = {"target_label": target, "target_type": kind, "request": folded, "response": folded}
    column_sortable_list = ("id", "name", "target_label", "status", "initiated_by", "created_at", "finished_at")
    column_default_sort = ("id", True)
    column_searchable_list = ("id", "name", "target_label", "reason", "info", "initiated_by")
    search_hint = "Search name, target, reason, info, admin"
    column_filters = (
        "status",
        "name",
        ChoiceWhere(
            Action.id,
            "Command",
            [(name.value, title) for name, title in TITLES.items()],
            lambda key: Action.command == key,
        ),
        ChoiceWhere(Action.id, "Kind", list(KINDS.items()), lambda key: Action.target_type == key),
        "target_label",
        TextWhere(
            Action.id,
            "Charge Point ID",
            lambda like: _station(lambda station: station.identifier.ilike(like, escape="\\")),
        ),
        "initiated_by",
        "created_at",
        "reason",
        "info",
        "error",
    )
    column_export_list = (
        "id",
        "created_at",
        "name",
        "target_type",
        "target_id",
        "target_label",
        "info",
        "reason",
        "status",
        "initiated_by",
        "command",
        "request",
        "response",
        "error",
        "sent_at",
        "finished_at",
    )
    form_columns = ("reason",)
    details_tabs = (
        Facts(
            "General",
            (
                "name",
                "target_type",
                "target_label",
                "info",
                "reason",
                "initiated_by",
                "created_at",
                "sent_at",
                "finished_at",
                "deadline_at",
            ),
        ),
        Facts("Request and response", ("command", "request", "response", "error")),
    )

    def render(self, template: str, **context: Any) -> str:
        """The list is called by its menu entry."""
        context.setdefault("page_title", "Actions log")
        return str(super().render(template, **context))

    def live_topics(self, obj: Action) -> list[str]:
        """The action."""
        return [f"action-{obj.id}"]

    def details_context(self, obj: Action) -> dict[str, Any]:
        """The session it belongs to."""
        return {**super().details_context(obj), "session_id": session_of(obj)}

    @expose("/card/<card>/")
    def card_view(self, card: str) -> str:
        """The outcome alone: what live updates fetch."""
        if card != "outcome":
            abort(404)
        obj = self.get_one(request.args.get("id"))
        return self.render("activity/_action_outcome.html", model=obj, session_id=session_of(obj))
