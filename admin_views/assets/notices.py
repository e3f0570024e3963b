"""CP Notices: what drivers read at a private or unmanaged charge point. Manual, "Access Type" and "OCPP"."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from wtforms.validators import ValidationError

from admin_views import formats
from admin_views.assets.locations import all_languages
from admin_views.base import BaseView, Facts, I18nTextArea, Related
from app.assets import queries
from app.assets.models import ChargePoint, ChargePointNotice
from app.core.references import listed

NAMED = 5


def shown_by(view: Any, context: Any, obj: ChargePointNotice, name: str) -> Any:
    """How many charge points show it, as counted for the whole page at once."""
    return formats.number(obj.counted)


class NoticeView(BaseView):
    """Texts for drivers."""

    resource, singular, plural = "assets.cp_notice", "CP Notice", "CP Notices"
    section, icon = "Assets", "message-circle"
    empty_hint = "For Private charge points that are shown to the public, and for those not Managed By Operator."

    column_list = ("name", "message", "charge_points")
    column_labels = {"charge_points": "Charge Points", "message": "Text"}
    column_formatters = {"charge_points": shown_by}
    column_formatters_detail = {"message": all_languages}
    column_sortable_list = ("name",)
    column_default_sort = "name"
    column_searchable_list = ("name", "message")
    column_filters = ("name",)
    column_export_list = ("id", "name", ("text", lambda obj: formats.translated(obj.message)))

    form_columns = ("name", "message")
    form_overrides = {"message": I18nTextArea}
    form_args = {
        "name": {"description": "For whoever chooses it; not shown to the EV Driver."},
        "message": {
            "label": "Text",
            "max_length": 2000,
            "required_languages": ("en",),
            "description": "What drivers read instead of, or beside, the price.",
        },
    }
    details_tabs = (Facts("General", ("name", "message")),)
    related = (Related("Charge Points", "charge_point", "notice_id", ("name", "zone", "status", "state.connection")),)

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of charge points of all rows at once."""
        counts = queries.charge_points_by_notice(self.db_session, [row.id for row in rows])
        for row in rows:
            row.counted = counts.get(row.id, 0)
        return rows

    def on_model_delete(self, model: ChargePointNotice) -> None:
        """One that charge points show is kept."""
        using = select(ChargePoint.name).where(ChargePoint.notice_id == model.id).order_by(ChargePoint.name)
        count = self.db_session.scalar(select(func.count()).select_from(using.order_by(None).subquery()))
        if count:
            names = [f"“{name}”" for name in self.db_session.scalars(using.limit(NAMED))]
            more = [f"{formats.number(count - len(names))} more"] if count > len(names) else []
            raise ValidationError(
                f"“{model}” cannot be deleted, because it is shown at {listed([*names, *more])}. "
                "Choose another notice there first."
            )
