"""Tags on EVSEs, for filters and reports. Manual, "EVSE", Tags."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from wtforms.validators import ValidationError

from admin_views import formats
from admin_views.base import BaseView, Facts, Related
from app.assets import queries
from app.assets.models import Evse, Tag


def carried(view: Any, context: Any, obj: Tag, name: str) -> Any:
    """How many EVSEs carry it, as counted for the whole page at once."""
    return formats.number(obj.counted)


class TagView(BaseView):
    """Marks."""

    resource, singular, plural = "assets.tag", "Tag", "Tags"
    section, icon = "Assets", "tags"
    description = "Marks on EVSEs, for filters and reports. They are put on EVSEs in their charge point's form."
    empty_hint = "Type one into an EVSE's form, or make it here."

    column_list = ("name", "evses")
    column_labels = {"evses": "EVSEs"}
    column_formatters = {"evses": carried}
    column_sortable_list = ("name",)
    column_default_sort = "name"
    column_searchable_list = ("name",)
    column_filters = ("name",)
    column_export_list = ("id", "name")
    form_columns = ("name",)
    details_tabs = (Facts("General", ("name",)),)
    related = (
        Related(
            "EVSEs",
            "evse",
            lambda query, obj: query.filter(Evse.tags.any(Tag.id == obj.id)),
            ("code", "charge_point", "network_id", "type", "max_power_w", "status", "shown"),
        ),
    )

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of EVSEs of all rows at once."""
        counts = queries.evses_by_tag(self.db_session, [row.id for row in rows])
        for row in rows:
            row.counted = counts.get(row.id, 0)
        return rows

    def on_model_change(self, form: Any, model: Tag, is_created: bool) -> None:
        """One tag of a name, whatever its case; the EVSE's form finds tags that way."""
        model.name = model.name.strip()
        if not model.name or "," in model.name:
            raise ValidationError("A tag has a name without commas.")
        same = select(Tag.id).where(func.lower(Tag.name) == model.name.lower(), Tag.id != (model.id or 0))
        if self.db_session.scalar(same.limit(1)) is not None:
            raise ValidationError(f"There is a tag “{model.name}” already.")

    def delete_warning(self, obj: Tag) -> str:
        """Who loses it."""
        count = queries.evses_by_tag(self.db_session, [obj.id]).get(obj.id, 0)
        if not count:
            return ""
        return f"{formats.number(count)} EVSE{'s carry' if count > 1 else ' carries'} it and will lose it."
