"""Stations that tried to connect and were refused, one click from being charge points. stations.md, line 6."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_admin import expose
from markupsafe import Markup
from wtforms import TextAreaField, validators

from admin_views.assets.parts import LiveList
from admin_views.base import BaseView, Outcome, ReasonForm, RecordAction
from admin_views.widgets import cells
from app.assets.queries import known_identifiers
from app.charging.models import UnknownStation
from app.charging.station import forget_unknown
from app.core.db import db
from app.core.models import Admin

DISMISS = "assets.charge_point.create"


class DismissForm(ReasonForm):
    """Nothing happens to a station, so no reason is asked for."""

    reason = TextAreaField("Note", [validators.Length(max=400)], render_kw={"rows": 2, "maxlength": 400})


def dismiss(obj: UnknownStation, form: DismissForm, *, reason: str, actor: Admin) -> Outcome:
    """Take it off the list until it tries again."""
    forget_unknown(db.session(), station=obj)
    return Outcome(obj.identifier, "Dismissed")


def next_step(view: Any, context: Any, obj: UnknownStation, name: str) -> Any:
    """To the form with its ID filled in; or to the charge point, when there is one of that ID."""
    if "/" in obj.identifier:  # it failed before it could say who it is; no Charge Point ID has a slash
        return _dismiss_button(obj) if view.may(DISMISS) else None
    known = obj.charge_point_id  # type: ignore[attr-defined]  # see UnknownStationView.prepared
    if known is not None:
        step = cells.link(url_for("charge_point.details_view", id=known), "Open Charge Point", css="btn btn-sm")
    elif view.may("assets.charge_point.create"):
        url = url_for("charge_point.create_view", identifier=obj.identifier)
        step = cells.link(url, "Create Charge Point", css="btn btn-sm btn-primary")
    else:
        return None
    if not view.may(DISMISS):
        return step
    return Markup("{} {}").format(step, _dismiss_button(obj))


def _dismiss_button(obj: UnknownStation) -> Markup:
    return Markup(
        '<button type="button" class="btn btn-sm" hx-post="{}" hx-swap="none" aria-label="Dismiss {}">Dismiss</button>'
    ).format(url_for("unknown_station.dismiss_view", id=obj.identifier), obj.identifier)


class UnknownStationView(LiveList, BaseView):
    """Who tried, from where, why it was refused, and how often."""

    resource, singular, plural = "assets.charge_point", "Refused Station", "Refused Stations"
    section, icon = "Assets", "plug-connected-x"
    staff_only = True
    description = "Stations that tried to connect and were refused: unknown, with a wrong password or certificate."
    empty_hint = "Stations with an unknown Charge Point ID or a wrong password appear here."
    live_topic = "charge_points"
    can_create = can_edit = can_delete = False
    can_view_details = False
    has_history = False

    column_list = (
        "identifier",
        "reason",
        "attempts",
        "last_seen_at",
        "first_seen_at",
        "remote_address",
        "protocols",
        "next_step",
    )
    column_labels = {
        "identifier": "Charge Point ID",
        "reason": "Refused because",
        "attempts": "Attempts",
        "first_seen_at": "First attempt",
        "last_seen_at": "Last attempt",
        "remote_address": "From",
        "protocols": "Offered protocols",
        "next_step": "What to do",
    }
    column_formatters = {"next_step": next_step}
    column_sortable_list = ("identifier", "reason", "attempts", "first_seen_at", "last_seen_at")
    column_default_sort = ("last_seen_at", True)
    column_searchable_list = ("identifier", "remote_address", "reason")
    column_filters = ("identifier", "reason", "last_seen_at", "first_seen_at", "attempts", "remote_address")
    column_export_list = (
        ("charge_point_id", "identifier"),
        "reason",
        "attempts",
        "first_seen_at",
        "last_seen_at",
        "remote_address",
        "protocols",
    )
    form_columns = ("reason",)
    actions = (
        RecordAction(
            "dismiss",
            "Dismiss",
            dismiss,
            permission=DISMISS,
            form=DismissForm,
            icon="x",
            row=False,
            help="Takes the stations off this list. They come back when they try again.",
        ),
    )

    def render(self, template: str, **context: Any) -> str:
        """The list is called by its menu entry."""
        context.setdefault("page_title", "Tried to Connect")
        return str(super().render(template, **context))

    def prepared(self, rows: list[Any]) -> list[Any]:
        """Which of the IDs are charge points already."""
        known = known_identifiers(self.db_session, [row.identifier for row in rows])
        for row in rows:
            row.charge_point_id = known.get(row.identifier.lower())
        return rows

    @expose("/dismiss/", methods=("POST",))
    def dismiss_view(self) -> Any:
        """One station off the list; the open list fetches itself again."""
        self.require(DISMISS)
        forget_unknown(self.db_session, station=self.get_one(request.args.get("id")))
        self.db_session.commit()
        return "", 204, {"HX-Trigger": "record-changed"}
