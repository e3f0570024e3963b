"""ASSETS > Quirk Book: what the firmware of which make does against the protocol, and the models themselves.

product.md, "Beyond the manual", 4.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import false, func, select

from admin_views import formats
from admin_views.assets.parts import ChoiceWhere, OffMenu
from admin_views.base import BaseView, Facts, Related
from admin_views.dashboard.links import Where, list_url
from admin_views.widgets import cells
from app.assets.models import ChargePoint, ChargePointState, StationModel
from app.charging.models import Deviation
from app.charging.upkeep.deviations import make_of, words_of
from app.core.db import db


def rule(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """The rule's name, what it means on hover."""
    title, meaning = words_of(obj.rule)
    return title if context is None else Markup('<span title="{}">{}</span>').format(meaning, title)


def meaning(view: Any, context: Any, obj: Deviation, name: str) -> str:
    """What the rule means."""
    return words_of(obj.rule)[1]


def firmware(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """The firmware; a make may not tell it."""
    return obj.firmware_version or None


def field(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """Which field; empty: the message as a whole."""
    return obj.path if context is None or obj.path else "whole message"


def seen(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """How long ago, the time on hover."""
    return obj.last_seen_at if context is None else formats.ago(obj.last_seen_at)


def stations(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """To the charge points of the make."""
    where = [Where("Vendor", obj.vendor), Where("Model", obj.model)]
    if obj.firmware_version:
        where.append(Where("Firmware version", obj.firmware_version))
    url = list_url("charge_point", *where)
    return cells.link(url, "Charge points of this make", css="text-link") if url else None


def last_station(view: Any, context: Any, obj: Deviation, name: str) -> Any:
    """Where it was seen last."""
    found = view.db_session.get(ChargePoint, obj.last_charge_point_id) if obj.last_charge_point_id else None
    return cells.record(found)


def rule_choices() -> list[tuple[str, str]]:
    """The rules that were needed so far."""
    found = db.session.scalars(select(Deviation.rule).distinct().order_by(Deviation.rule)).all()
    return sorted(((key, words_of(key)[0]) for key in found), key=lambda choice: choice[1])


class QuirkView(BaseView):
    """One line a habit. Nothing here is entered by hand."""

    resource, singular, plural = "assets.quirk", "Deviation", "Deviations"
    section, icon = "Assets", "bug"
    description = "What charge points do against the protocol, learned from their messages, and how it is put right."
    empty_hint = "What charge points do against the protocol appears here within seconds."
    list_template = "assets/quirks.html"
    can_create = can_edit = can_delete = False
    has_history = False

    column_list = (
        "rule",
        "vendor",
        "model",
        "firmware_version",
        "action",
        "path",
        "messages",
        "last_seen_at",
    )
    column_labels = {
        "rule": "Deviation",
        "firmware_version": "Firmware",
        "action": "Message",
        "path": "Field",
        "messages": "Messages",
        "first_seen_at": "First seen",
        "last_seen_at": "Last seen",
        "meaning": "What it means",
        "example": "Example",
        "charge_points": "Where",
        "last_charge_point_id": "Last seen at",
    }
    column_formatters = {"rule": rule, "firmware_version": firmware, "path": field, "last_seen_at": seen}
    column_formatters_detail = {
        "meaning": meaning,
        "charge_points": stations,
        "last_charge_point_id": last_station,
    }
    column_sortable_list = (
        "rule",
        "vendor",
        "model",
        "firmware_version",
        "action",
        "path",
        "messages",
        "last_seen_at",
    )
    column_default_sort = ("last_seen_at", True)
    column_searchable_list = ("vendor", "model", "firmware_version", "action", "path", "rule", "example")
    search_hint = "Search make, message, field"
    column_filters = (
        "vendor",
        "model",
        "firmware_version",
        ChoiceWhere(Deviation.id, "Rule", rule_choices, lambda key: Deviation.rule == key),
        "action",
        "path",
        "protocol",
        "messages",
        "last_seen_at",
        "first_seen_at",
    )
    column_export_list = (
        "vendor",
        "model",
        "firmware_version",
        "protocol",
        ("message", "action"),
        "rule",
        ("meaning", lambda obj: words_of(obj.rule)[1]),
        ("field", "path"),
        "example",
        "messages",
        "first_seen_at",
        "last_seen_at",
    )
    details_tabs = (
        Facts(
            "Deviation",
            (
                "rule",
                "meaning",
                "action",
                "path",
                "example",
                "messages",
                "first_seen_at",
                "last_seen_at",
                "last_charge_point_id",
            ),
        ),
        Facts("Make", ("vendor", "model", "firmware_version", "protocol", "charge_points")),
    )

    def render(self, template: str, **context: Any) -> str:
        """The list is called by its menu entry."""
        if template == self.list_template:
            context.setdefault("page_title", "Quirk Book")
        return str(super().render(template, **context))


def of_station(query: Any, obj: ChargePoint) -> Any:
    """The habits of a charge point's vendor, model and firmware."""
    state = obj.state
    if state.model is None:
        return query.filter(false())
    make = make_of(state.vendor, state.model, state.firmware_version, state.protocol)
    return query.filter(
        Deviation.vendor == make.vendor,
        Deviation.model == make.model,
        Deviation.firmware_version == make.firmware_version,
    )


#: the tab below a charge point
RELATED = Related(
    "Deviations",
    "quirk",
    of_station,
    ("rule", "action", "path", "example", "messages", "first_seen_at", "last_seen_at"),
)


def charge_points(view: Any, context: Any, obj: StationModel, name: str) -> Any:
    """How many stations of the model there are, as counted for all rows at once."""
    return obj.counted_stations  # type: ignore[attr-defined]  # see StationModelView.prepared


def habits(view: Any, context: Any, obj: StationModel, name: str) -> Any:
    """How many deviations are known of it, as counted for the whole page at once; to them."""
    number = obj.counted_habits  # type: ignore[attr-defined]
    # regardless of case, as models are told apart
    url = list_url("quirk", Where("vendor", obj.vendor, "contains"), Where("model", obj.model, "contains"))
    return cells.link(url, formats.number(number)) if number and url else number


def _stations_of(query: Any, obj: StationModel) -> Any:
    of_model = select(ChargePointState.charge_point_id).where(
        func.lower(ChargePointState.vendor) == obj.vendor.lower(),
        func.lower(ChargePointState.model) == obj.model.lower(),
    )
    return query.filter(ChargePoint.id.in_(of_model))


def _habits_of(query: Any, obj: StationModel) -> Any:
    return query.filter(
        func.lower(Deviation.vendor) == obj.vendor.lower(), func.lower(Deviation.model) == obj.model.lower()
    )


class StationModelView(OffMenu, BaseView):
    """The models that have connected; a row is made when the first station of a model boots."""

    resource, singular, plural = "assets.quirk", "Station Model", "Station Models"
    section, icon = "Assets", "router"
    description = "Models of charge points that have connected. Some firmware hangs on configuration sent after boot."
    empty_hint = "A model appears with the first boot of one of its charge points."
    list_template = "assets/station_models.html"
    can_create = can_delete = False

    column_list = ("model", "vendor", "configure_after_boot", "charge_points", "deviations", "notes")
    column_labels = {
        "configure_after_boot": "Configure after boot",
        "charge_points": "Charge Points",
        "deviations": "Deviations",
        "created_at": "First boot",
    }
    column_formatters = {"charge_points": charge_points, "deviations": habits}
    column_sortable_list = ("model", "vendor", "configure_after_boot")
    column_default_sort = "vendor"
    column_searchable_list = ("vendor", "model", "notes")
    column_filters = ("vendor", "model", "configure_after_boot", "created_at")
    column_export_list = ("id", "vendor", "model", "configure_after_boot", "notes", "created_at")

    form_columns = ("configure_after_boot", "notes")
    form_args = {
        "configure_after_boot": {
            "label": "Configure after boot",
            "description": "Off: charge points of this model are never sent the configuration defaults of Settings.",
        },
        "notes": {"description": "For colleagues: what to know of this model."},
    }
    details_tabs = (Facts("General", ("vendor", "model", "configure_after_boot", "notes", "created_at")),)
    related = (
        Related(
            "Charge Points",
            "charge_point",
            _stations_of,
            ("name", "zone", "state.connection", "state.firmware_version"),
        ),
        Related("Deviations", "quirk", _habits_of),
    )

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of all rows at once."""
        stations = self._counted(ChargePointState, rows)
        habits = self._counted(Deviation, rows)
        for row in rows:
            key = (row.vendor.lower(), row.model.lower())
            row.counted_stations, row.counted_habits = stations.get(key, 0), habits.get(key, 0)
        return rows

    def _counted(self, of: Any, rows: list[StationModel]) -> dict[tuple[str, str], int]:
        """How many rows of a table each vendor and model has, both regardless of case."""
        names = {row.model.lower() for row in rows}
        vendor, model = func.lower(of.vendor), func.lower(of.model)
        found = self.db_session.execute(
            select(vendor, model, func.count()).where(model.in_(names)).group_by(vendor, model)
        )
        return {(each[0], each[1]): each[2] for each in found}
