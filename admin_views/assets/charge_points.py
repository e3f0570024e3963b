"""Charge Points: list, form, and the page of one with its live cards. Manual, "Charge Points"."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import abort, request
from flask_admin import expose
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload
from wtforms.validators import ValidationError

from admin_views.assets import charge_point_audit
from admin_views.assets import charge_point_form as form_of
from admin_views.assets.charge_point_actions import ACTIONS
from admin_views.assets.charge_point_cells import DETAIL_FORMATTERS, FORMATTERS
from admin_views.assets.charge_point_import import ImportPages
from admin_views.assets.charge_point_lists import COLUMN_LABELS, DETAILS, EXPORT, filters, related
from admin_views.assets.configuration import ConfigurationMixin
from admin_views.assets.customer_part import CustomerMixin
from admin_views.assets.display_part import DisplayMixin
from admin_views.assets.fields import tariff_groups
from admin_views.assets.local_list_part import USERS as LIST_USERS
from admin_views.assets.local_list_part import LocalListMixin
from admin_views.assets.messages import CommunicationPages
from admin_views.assets.parts import DEFAULT_PERIOD, PERIODS, LiveList, period
from admin_views.assets.qr import QrMixin
from admin_views.assets.schedule_part import ScheduleMixin
from admin_views.assets.security import SecurityMixin
from admin_views.assets.templates import TemplateMixin
from admin_views.base import BaseView, Lookup
from admin_views.widgets.tabs import own_errors
from app.assets import verbs
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.charging import queries
from app.charging.models import UnknownStation
from app.core import principal
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import HOUSE_PARTNER_ID
from app.partners.models import Partner
from app.provisioning.evse_codes import draw_evse_code
from app.search.kinds import Kind

#: EVSEs with all that the form and the EVSEs tab show of them
EVSE_OPTIONS = (
    selectinload(ChargePoint.evses).options(
        joinedload(Evse.state), selectinload(Evse.connectors), selectinload(Evse.tags)
    ),
)


class ChargePointView(
    CommunicationPages,
    ImportPages,
    TemplateMixin,
    QrMixin,
    SecurityMixin,
    LocalListMixin,
    ScheduleMixin,
    ConfigurationMixin,
    DisplayMixin,
    CustomerMixin,
    LiveList,
    BaseView,
):
    """The physical devices."""

    resource, singular, plural = "assets.charge_point", "Charge Point", "Charge Points"
    section, icon = "Assets", "charging-pile"
    live_topic = "charge_points"
    list_template = "assets/charge_points.html"
    details_template = "assets/charge_point.html"
    create_template, edit_template = "assets/charge_point_form.html", "assets/form.html"
    empty_hint = "Create the Location and the Charging Zone first, then the charge points in it."

    column_list = (
        "name",
        "zone",
        "zone.location",
        "partner",
        "status",
        "state.connection",
        "hardware",
        "state.last_seen_at",
    )
    column_labels = COLUMN_LABELS
    column_pills = ("status", "state.connection")
    column_formatters = FORMATTERS
    column_formatters_detail = DETAIL_FORMATTERS
    column_sortable_list = (
        "name",
        ("zone", "zone.name"),
        ("zone.location", "zone.location.name"),
        ("partner", "partner.name"),
        "status",
        "state.connection",
        "state.last_seen_at",
    )
    column_default_sort = "name"
    column_searchable_list = ("name", "identifier", "zone.name", "state.serial_number", "evses.code")
    search_hint = "Search name, Charge Point ID, location, serial number, EVSE ID"
    search_kind = Kind.CHARGE_POINT
    column_filters = filters()
    column_export_list = EXPORT
    load_options = (selectinload(ChargePoint.evses).joinedload(Evse.state),)
    details_load_options = EVSE_OPTIONS

    form_columns = form_of.FORM_COLUMNS
    form_overrides = form_of.FORM_OVERRIDES
    form_args = form_of.FORM_ARGS
    form_extra_fields = form_of.EXTRA_FIELDS
    form_rules = form_of.FORM_RULES
    inline_models = (form_of.EVSES,)
    only_with = form_of.ONLY_WITH
    form_lookups = {
        "zone": Lookup(
            "zone",
            ChargingZone,
            session=db,
            fields=["name"],
            narrow=lambda query: query.options(joinedload(ChargingZone.location)),
            text=lambda zone: f"{zone.name} ({zone.location})",
        ),
        "partner": ("name",),
        "list_users": LIST_USERS,
    }
    constraint_messages = {
        "fk_charging_session_evse": (
            "evses",
            "An EVSE with charging sessions cannot be removed. Set its status to Disabled instead.",
        ),
        "uq_evse_charge_point_id_network_id": (
            "network_id",
            "Two EVSEs of a charge point cannot have the same Network ID.",
        ),
    }
    refusals = (verbs.InvalidChargePoint,)

    details_tabs = DETAILS
    related = related()
    actions = ACTIONS

    # --- loading and saving -----------------------------------------------------------------------------

    def get_one(self, id: Any, *, lock: bool = False, options: Any = ()) -> ChargePoint:
        """With its EVSEs when a form is drawn or saved."""
        if not options and request.endpoint == f"{self.endpoint}.edit_view":
            options = EVSE_OPTIONS
        found: ChargePoint = super().get_one(id, lock=lock, options=options)
        return found

    def create_form(self, obj: Any = None) -> Any:
        """The house owns a new charge point unless another partner is chosen."""
        form = super().create_form(obj)
        del form.clear_password
        if request.method == "GET" and form.partner.data is None:
            form.partner.data = self.db_session.get(Partner, HOUSE_PARTNER_ID)
        return form

    def edit_form(self, obj: Any = None) -> Any:
        """A stored password is kept unless another is entered or it is removed."""
        form = super().edit_form(obj)
        if obj is not None and obj.password_hash:
            form.network_password.description = "A password is set. Leave empty to keep it; it is never shown."
        else:
            del form.clear_password
        del form.template
        return form

    def update_model(self, form: Any, model: ChargePoint) -> bool:
        """EVSEs may swap their numbers; whoever has the form open meanwhile is told."""
        verbs.allow_renumbering(self.db_session())
        saved: bool = super().update_model(form, model)
        return saved

    def on_model_change(self, form: Any, model: ChargePoint, is_created: bool) -> None:
        """Draw missing EVSE IDs, judge the whole, count up the version. Nobody's is the operator's."""
        if model.partner is None:
            model.partner = self.db_session.get(Partner, HOUSE_PARTNER_ID)
        kept = _kept_evses(form.evses, model)
        drawn = {evse.code.upper() for _, evse in kept if evse.code}
        for _, evse in kept:
            if not evse.code:
                evse.code = draw_evse_code(self.db_session, taken=drawn)
                drawn.add(evse.code)
        verbs.name_point_of_interest(model)
        if not verbs.notice_applies(model):
            model.notice = None
        verbs.check_charge_point(model, kept)
        if not is_created:
            verbs.mark_changed(model)

    def record(self, event: str, obj: ChargePoint, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Audit, and tell the gateway to reload, in the transaction of the change."""
        super().record(event, obj, before, after)
        verbs.announce_changed(self.db_session(), obj)

    def audited(self, obj: ChargePoint) -> dict[str, Any]:
        """Field by field, also of its EVSEs."""
        return charge_point_audit.facts(obj, super().audited(obj))

    def on_model_delete(self, model: ChargePoint) -> None:
        """Charge points with a past are kept."""
        if queries.has_activity(self.db_session, charge_point_id=model.id):
            raise ValidationError(
                f"“{model}” has charging sessions or authorizations and cannot be deleted. "
                "Set its status to Disabled instead."
            )

    def explain(self, error: Exception, form: Any) -> None:
        """Mistakes of the whole, each at its field."""
        if not isinstance(error, verbs.InvalidChargePoint):
            super().explain(error, form)
            return
        for mistake in error.mistakes:
            bound = form
            for step in mistake.path:
                bound = bound.entries[step].form if isinstance(step, int) else bound[step]
            bound.errors = [*own_errors(bound), mistake.message]

    # --- pages and parts --------------------------------------------------------------------------------

    def live_topics(self, obj: ChargePoint) -> list[str]:
        """The station, and its running sessions, whose readings change the EVSEs card."""
        running = queries.running_sessions(self.db_session, [evse.id for evse in obj.evses])
        return [f"charge_point-{obj.id}", *(f"session-{session.id}" for session in running.values())]

    def list_context(self, page: Any) -> dict[str, Any]:
        """Beside the list: how many stations were refused lately; nobody knows whose they would be."""
        if principal.current().is_partner:
            return {**super().list_context(page), "refused_lately": 0}
        since = utcnow() - timedelta(days=1)
        waiting = select(func.count()).select_from(UnknownStation).where(UnknownStation.last_seen_at >= since)
        return {**super().list_context(page), "refused_lately": self.db_session.scalar(waiting)}

    def details_context(self, obj: ChargePoint) -> dict[str, Any]:
        """The cards and the EVSEs tab."""
        return {**super().details_context(obj), **self._cards(obj), **self._usage(obj)}

    def _cards(self, obj: ChargePoint) -> dict[str, Any]:
        return {
            "station": queries.station_status(self.db_session, obj, now=utcnow()),
            "tariff_groups": dict(tariff_groups()),
        }

    def _usage(self, obj: ChargePoint) -> dict[str, Any]:
        chosen = period(request.args.get("period", DEFAULT_PERIOD), now=utcnow())
        found = queries.usage(self.db_session, since=chosen.since, until=chosen.until, charge_point_ids=[obj.id])
        return {"usage": found, "period": chosen, "periods": PERIODS}

    @expose("/card/<card>/")
    def card_view(self, card: str) -> str:
        """One live card: status, evses or usage."""
        if card not in ("status", "evses", "usage"):
            abort(404)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        context = self._usage(obj) if card == "usage" else self._cards(obj)
        return self.render(f"assets/_{card}_card.html", model=obj, **context)

    @expose("/evse-code/")
    def evse_code_view(self) -> Any:
        """A new EVSE ID that nobody has yet."""
        if not (self.can_create or self.can_edit):
            abort(403)
        return draw_evse_code(self.db_session), 200, {"Content-Type": "text/plain; charset=utf-8"}

    @expose("/related/<int:number>/")
    def related_view(self, number: int) -> Any:
        """Messages have a tab of their own kind; the other lists are the base's."""
        if number not in dict(self.related_tabs()):
            abort(404)
        if self.related[number].endpoint != "communication_log":
            return super().related_view(number)
        return self.communication_view(number)


def _kept_evses(field: Any, model: ChargePoint) -> list[tuple[int, Evse]]:
    """The EVSEs that will be left, each with its place in the form; new ones follow the stored ones in order."""
    stored = {str(evse.id): evse for evse in model.evses if evse.id is not None}
    new = iter([evse for evse in model.evses if evse.id is None])
    kept = []
    for place, entry in enumerate(field.entries):
        evse = stored.get(str(entry.get_pk() or "")) or next(new, None)
        if evse is not None and not field.should_delete(entry):
            kept.append((place, evse))
    return kept
