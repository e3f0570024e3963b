"""Charging Zones: parts of a location. Manual, "Charging Zones"."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, cast

from admin_views import formats
from admin_views.assets.locations import NAME_LENGTH, all_languages, counted
from admin_views.assets.parts import TextWhere
from admin_views.base import BaseView, Facts, I18nField, I18nTextArea, Lookup, Related
from app.assets import queries
from app.assets.models import ChargingZone, Location
from app.core.db import db
from app.search.kinds import Kind


def _named(like: str) -> Any:
    return cast(Location.name, String).ilike(like, escape="\\")


class ChargingZoneView(BaseView):
    """Parts of a location."""

    resource, singular, plural = "assets.charging_zone", "Charging Zone", "Charging Zones"
    section, icon = "Assets", "layout-grid"
    empty_hint = "Most locations have one zone. Create the location first."
    edit_template = create_template = "assets/form.html"

    column_list = ("name", "location", "location.city", "status", "show_in_app", "charge_points")
    column_labels = {
        "charge_points": "Charge Points",
        "location.city": "City",
        "show_in_app": "Additional info in client app",
        "title": "Title (in client app)",
        "description": "Description (in client app)",
        "created_at": "Created at",
    }
    column_pills = ("status",)
    column_formatters = {"charge_points": counted}
    column_formatters_detail = {"title": all_languages, "description": all_languages}
    column_sortable_list = ("name", ("location", "location.name"), ("location.city", "location.city"), "status")
    column_default_sort = "name"
    column_searchable_list = ("name", "location.name", "location.city")
    search_hint = "Search name, location, city"
    search_kind = Kind.CHARGING_ZONE
    column_filters = (
        "status",
        TextWhere(ChargingZone.id, "Location", lambda like: ChargingZone.location.has(_named(like))),
        "location.city",
        "location.country",
        "show_in_app",
        "created_at",
    )
    column_export_list = (
        "id",
        "name",
        ("location", lambda obj: formats.translated(obj.location.name)),
        ("city", "location.city"),
        "status",
        "show_in_app",
        ("title", lambda obj: formats.translated(obj.title)),
        "created_at",
    )

    form_columns = ("name", "status", "location", "show_in_app", "title", "description")
    form_overrides = {"title": I18nField, "description": I18nTextArea}
    form_args = {
        "name": {
            "description": "NOT shown to the EV Driver. It is a good practice to name it like the Location with Zone "
            "at the end."
        },
        "status": {
            "description": "Disabled: none of the charging stations at this zone are visible in the driver's app, and "
            "no session starts there. A session that is running is not ended by it."
        },
        "show_in_app": {
            "label": "Additional info in client app",
            "description": "Shows title and description to the EV Driver.",
        },
        "title": {"label": "Title (in client app)", "max_length": NAME_LENGTH},
        "description": {"label": "Description (in client app)", "max_length": 10_000},
    }
    only_with = {"title": [("show_in_app", "")], "description": [("show_in_app", "")]}
    form_lookups = {
        "location": Lookup("location", Location, session=db, fields=["name", "city"], order_by="city"),
    }
    details_tabs = (
        Facts("General", ("name", "status", "location", "created_at")),
        Facts("Client app", ("show_in_app", "title", "description")),
    )
    related = (
        Related(
            "Charge Points",
            "charge_point",
            "zone_id",
            ("name", "status", "state.connection", "hardware", "state.last_seen_at"),
        ),
    )

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of charge points of all rows at once."""
        counts = queries.charge_points_by_zone(self.db_session, [row.id for row in rows])
        for row in rows:
            row.counted = counts.get(row.id, 0)
        return rows
