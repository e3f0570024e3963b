"""EVSEs: the page of one, with its own actions, and their list. Manual, "EVSE Actions"."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, make_response, request
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from admin_views import formats
from admin_views.assets.charge_point_lists import (
    RESERVATION_COLUMNS,
    SESSION_COLUMNS,
    at_location,
    has_group,
    tariff_group_choices,
)
from admin_views.assets.evse_actions import ACTIONS
from admin_views.assets.fields import tariff_groups
from admin_views.assets.parts import DEFAULT_PERIOD, PERIODS, ChoiceWhere, LiveList, OffMenu, TextWhere, period
from admin_views.assets.schedule_part import ScheduleMixin
from admin_views.assets.start_session import USERS, payment_choices
from admin_views.base import BaseView, Facts, Related, pill
from admin_views.widgets import cells
from app.assets import qr_codes
from app.assets.models import ChargePoint, ChargingZone, Connector, ConnectorType, Evse, Tag
from app.billing.models import Transaction
from app.charging import queries
from app.charging.models import ChargingSession
from app.charging.reservations import reserved
from app.core.clock import utcnow
from app.core.models import Action
from app.search.kinds import Kind


def shown(view: Any, context: Any, obj: Evse, name: str) -> Any:
    """The derived status, with why on hover."""
    found = queries.shown_evse(obj.charge_point, obj, getattr(obj, "kept", None))
    return found.status if context is None else pill(found.status, title=found.why)


def station(view: Any, context: Any, obj: Evse, name: str) -> Any:
    """The charge point; a long name on two lines."""
    return cells.record(obj.charge_point, css="two-lines")


def tariff_group(view: Any, context: Any, obj: Evse, name: str) -> Any:
    """The tariff group by name."""
    found = dict(tariff_groups()).get(obj.tariff_group_id)
    return Markup('<span class="two-lines">{}</span>').format(found) if found else None


def connectors(view: Any, context: Any, obj: Evse, name: str) -> str:
    """The plugs in words."""
    return ", ".join(f"{each.type.label} ({each.format.label.lower()})" for each in obj.connectors)


def _transactions(query: Any, obj: Evse) -> Any:
    return query.filter(Transaction.session_id.in_(select(ChargingSession.id).where(ChargingSession.evse_id == obj.id)))


def _at(like: str) -> Any:
    return Evse.charge_point.has(ChargePoint.zone.has(at_location(like)))


class EvseView(ScheduleMixin, OffMenu, LiveList, BaseView):
    """The places where cars charge. They are changed in their charge point's form."""

    resource, singular, plural = "assets.charge_point", "EVSE", "EVSEs"
    section, icon = "Assets", "plug"
    description = "Every place where a car can charge. EVSEs are added and changed in their charge point's form."
    live_topic = "charge_points"
    can_create = can_edit = can_delete = False
    details_template = "assets/evse.html"
    qr_sizes = qr_codes.SIZES_MM

    column_list = (
        "code",
        "charge_point",
        "network_id",
        "type",
        "max_power_w",
        "connectors",
        "tariff_group_id",
        "status",
        "shown",
        "state.status",
    )
    column_labels = {
        "code": "ID (QR Code)",
        "network_id": "Network ID",
        "charge_point": "Charge Point",
        "charge_point.name": "Charge Point",
        "charge_point.identifier": "Charge Point ID",
        "charge_point.zone": "Charging Zone",
        "charge_point.zone.location": "Location",
        "charge_point.state.connection": "Connection",
        "max_power_w": "Display Max Power",
        "tariff_group_id": "Tariff Group",
        "reservation_minutes": "Reservation Time (minutes)",
        "status": "System status",
        "shown": "Shown status",
        "state.status": "Last reported",
        "max_current_a": "EVSE Max Current (A)",
        "phase_rotation": "EVSE Phase Rotation",
    }
    column_pills = ("status", "state.status")
    column_power = ("max_power_w",)
    column_formatters = {
        "charge_point": station,
        "shown": shown,
        "tariff_group_id": tariff_group,
        "connectors": connectors,
    }
    column_sortable_list = (
        "code",
        ("charge_point", "charge_point.name"),
        "network_id",
        "type",
        "max_power_w",
        "status",
        "state.status",
    )
    column_default_sort = "code"
    column_searchable_list = ("code", "charge_point.name", "charge_point.identifier")
    search_hint = "Search EVSE ID, charge point, Charge Point ID"
    search_kind = Kind.EVSE
    column_filters = (
        "status",
        "state.status",
        "charge_point.state.connection",
        "type",
        "max_power_w",
        ChoiceWhere(
            Evse.id,
            "Connector",
            [(kind.value, kind.label) for kind in ConnectorType],
            lambda key: Evse.connectors.any(Connector.type == ConnectorType(key)),
        ),
        ChoiceWhere(Evse.id, "Tariff Group", tariff_group_choices, has_group),
        TextWhere(Evse.id, "Tag", lambda like: Evse.tags.any(Tag.name.ilike(like, escape="\\"))),
        "code",
        "charge_point.name",
        "charge_point.identifier",
        TextWhere(Evse.id, "Location", _at),
    )
    column_export_list = (
        "id",
        ("evse_id", "code"),
        ("evse_network_id", "network_id"),
        ("charge_point_id", "charge_point.identifier"),
        ("charge_point", "charge_point.name"),
        ("location", lambda obj: formats.translated(obj.charge_point.zone.location.name)),
        "type",
        ("max_power_kw", lambda obj: None if obj.max_power_w is None else obj.max_power_w / 1000),
        ("connectors", lambda obj: [each.type.label for each in obj.connectors]),
        ("tariff_group", lambda obj: dict(tariff_groups()).get(obj.tariff_group_id)),
        ("tags", lambda obj: [tag.name for tag in obj.tags]),
        ("system_status", "status"),
        ("shown_status", lambda obj: queries.shown_evse(obj.charge_point, obj).status),
        ("last_reported", "state.status"),
    )
    load_options = (
        joinedload(Evse.charge_point).options(
            joinedload(ChargePoint.state), joinedload(ChargePoint.zone).joinedload(ChargingZone.location)
        ),
        joinedload(Evse.state),
        selectinload(Evse.connectors),
        selectinload(Evse.tags),
    )
    form_columns = ("status",)
    form_lookups = {"user": USERS}

    details_tabs = (
        Facts(
            "General",
            (
                "charge_point",
                "charge_point.zone",
                "charge_point.zone.location",
                "code",
                "network_id",
                "type",
                "max_power_w",
                "tariff_group_id",
                "reservation_minutes",
                "tags",
                "status",
            ),
        ),
        Facts("Connectors", template="assets/_connectors_tab.html"),
        Facts("Current profile", template="assets/_schedule_tab.html"),
    )
    has_history = False
    related = (
        Related("Charging Sessions", "charging_session", "evse_id", SESSION_COLUMNS),
        Related("Transactions", "transaction", _transactions),
        Related("Reservations", "reservation", "evse_id", RESERVATION_COLUMNS),
        Related("Authorizations", "authorization", "evse_id"),
        Related(
            "Actions",
            "action",
            lambda query, obj: query.filter(Action.target_type == "evse", Action.target_id == obj.id),
            ("id", "name", "info", "reason", "status", "initiated_by", "created_at"),
        ),
        # by the charge point too: that is what the logs are indexed by
        Related(
            "Hardware Status Logs",
            "hardware_status_log",
            lambda query, obj: query.filter_by(charge_point_id=obj.charge_point_id, evse_id=obj.id),
        ),
    )
    actions = ACTIONS

    @expose("/ajax/lookup/")
    def ajax_lookup(self) -> Any:
        """Users, for whoever may start a session."""
        self.require("command")
        loader = self._form_ajax_refs.get(request.args.get("name", ""))
        if loader is None:
            abort(404)
        found = loader.get_list(request.args.get("query", ""), request.args.get("offset", 0, type=int))
        return [loader.format(record) for record in found]

    @expose("/payment-choices/")
    def payment_choices_view(self) -> Response:
        """What may pay for a session of the user chosen in the dialog "Start Session", as its options."""
        self.require("command")
        user = self._form_ajax_refs["user"].get_one(request.args.get("user", ""))
        options = (Markup('<option value="{}">{}</option>').format(*each) for each in payment_choices(user))
        return make_response(Markup("").join(options))

    def live_topics(self, obj: Evse) -> list[str]:
        """The station, the EVSE and its running session."""
        running = queries.running_sessions(self.db_session, [obj.id])
        sessions = [f"session-{row.id}" for row in running.values()]
        return [f"charge_point-{obj.charge_point_id}", f"evse-{obj.id}", *sessions]

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the reservations of the EVSEs on the page."""
        kept = reserved.open_by_evse(self.db_session, [evse.id for evse in rows], now=utcnow())
        for evse in rows:
            evse.kept = kept.get(evse.id)
        return rows

    def details_context(self, obj: Evse) -> dict[str, Any]:
        """The cards."""
        return {**super().details_context(obj), **self._cards(obj), **self._usage(obj)}

    def _cards(self, obj: Evse) -> dict[str, Any]:
        kept = reserved.open_by_evse(self.db_session, [obj.id], now=utcnow()).get(obj.id)
        return {
            "shown": queries.shown_evse(obj.charge_point, obj, kept),
            "reservation": kept,
            "error": queries.error_of(obj.state),
            "running": queries.running_sessions(self.db_session, [obj.id]).get(obj.id),
            "last": queries.last_session(self.db_session, evse_id=obj.id),
        }

    def _usage(self, obj: Evse) -> dict[str, Any]:
        chosen = period(request.args.get("period", DEFAULT_PERIOD), now=utcnow())
        found = queries.usage(self.db_session, since=chosen.since, until=chosen.until, evse_id=obj.id)
        return {"usage": found, "period": chosen, "periods": PERIODS}

    @expose("/card/<card>/")
    def card_view(self, card: str) -> str:
        """One live card: status, session or usage."""
        if card not in ("status", "session", "usage"):
            abort(404)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        context = self._usage(obj) if card == "usage" else self._cards(obj)
        template = "assets/_usage_card.html" if card == "usage" else f"assets/_evse_{card}_card.html"
        return self.render(template, model=obj, **context)
