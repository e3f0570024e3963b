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
from admin_views.widgets.lookups import VIEWS
from app.assets.models import ChargePoint
from app.charging.commands import TITLES
from app.core.models import Action

#: what has no page of its own, or another name on screen
OTHER_KINDS = {"mail": "E-mail", "sms_message": "SMS", "api_token": "API token", "user_import": "Import"}


def home_of(target_type: str) -> Any | None:
    """The page of what an action was done to, by its table."""
    return next((view for model, view in VIEWS.items() if getattr(model, "__tablename__", "") == target_type), None)


def kind_words(target_type: str) -> str:
    """What kind of thing, in the words of the menu."""
    page = home_of(target_type)
    if page is not None:
        return str(page.singular)
    return OTHER_KINDS.get(target_type, target_type.replace("_", " ").capitalize())


def kinds() -> list[tuple[str, str]]:
    """Everything that can be acted on, by name."""
    acted = {model.__tablename__ for model, view in VIEWS.items() if view.actions}
    found = {name: kind_words(name) for name in acted | set(OTHER_KINDS)}
    return sorted(found.items(), key=lambda each: each[1])


def target(view: Any, context: Any, obj: Action, name: str) -> Any:
    """What it was done to, as a link where the admin may follow it."""
    page = home_of(obj.target_type)
    if page is None or not page.can_view_details or not page.is_accessible():
        return obj.target_label
    url = url_if(f"{page.endpoint}.details_view", id=obj.target_id)
    return cells.link(url, obj.target_label) if url else obj.target_label


def kind(view: Any, context: Any, obj: Action, name: str) -> str:
    """What kind of thing."""
    return kind_words(obj.target_type)


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
    count_cap = 100_000
    can_create = can_edit = can_delete = False
    has_history = False
    details_template = "activity/action.html"
    description = "Every remote or account-changing action, with its reason and outcome."
    empty_hint = "Whatever is done to a charge point, a session or a user's account appears here."

    column_list = (
        "id",
        "name",
        "target_type",
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
        ChoiceWhere(Action.id, "Kind", kinds, lambda key: Action.target_type == key),
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
