"""The list behind the card "Faults & connectivity loss": which stations, since when, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from flask import g, redirect, request, url_for
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import String, cast
from sqlalchemy.orm import joinedload, selectinload

from admin_views import formats
from admin_views.assets.parts import ChoiceWhere, LiveList, OffMenu, TextWhere
from admin_views.base import BaseView, pill_formatter
from admin_views.dashboard import care
from admin_views.dashboard.links import page_of
from admin_views.widgets import lookups
from admin_views.widgets.cells import follow, link, pill, record
from admin_views.widgets.export import BATCH_ROWS
from app.assets.models import (
    ChargePoint,
    ChargingZone,
    ConnectionStatus,
    Evse,
    Location,
    ReportedStatus,
)
from app.charging import fault_queries
from app.charging.fault_queries import FAULT_KINDS, Care, FaultKind
from app.charging.models import RecoveryStatus
from app.charging.recovery import words as fault_words
from app.core.db import allow_minutes


def _faulted(station: ChargePoint) -> Iterator[tuple[str, Any]]:
    """The station itself ("") and its EVSEs that report a fault, each with its state."""
    if station.state.status is ReportedStatus.FAULTED:
        yield "", station.state
    for evse in station.evses:
        if evse.state.status is ReportedStatus.FAULTED:
            yield f"EVSE {evse.network_id}", evse.state


def hardware(station: ChargePoint) -> str:
    """'Fault', 'Fault: EVSE 2', or nothing."""
    found = [name for name, _ in _faulted(station)]
    named = ", ".join(name for name in found if name)
    return "" if not found else f"Fault: {named}" if named else "Fault"


def errors(station: ChargePoint) -> str:
    """What is wrong, in plain words and in the station's own."""
    said = [
        (name, fault_words.fault_in_words(state.error_code, _own_words(state))) for name, state in _faulted(station)
    ]
    return "; ".join(f"{name}: {error}" if name else error for name, error in said)


def _own_words(state: Any) -> str:
    return ", ".join(part for part in (state.error_info, getattr(state, "vendor_error_code", None)) if part)


def since(station: ChargePoint) -> Any:
    """Since when the oldest of its troubles lasts; None where nobody knows."""
    moments = [state.faulted_at or state.status_received_at or state.status_at for _, state in _faulted(station)]
    if station.state.connection is not ConnectionStatus.AVAILABLE:
        moments.append(station.state.connection_changed_at)
    return min((moment for moment in moments if moment is not None), default=None)


def _name(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    page = page_of("charge_point")
    return link(url_for("charge_point.details_view", id=obj.id), obj.name, css="cell-lead") if page else obj.name


def _location(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    return record(obj.zone.location)


def _hardware(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    words = hardware(obj)
    return pill(ReportedStatus.FAULTED, text=words) if words else formats.NOTHING


def _errors(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    words = errors(obj)
    return Markup('<span title="{}">{}</span>').format(words, words) if words else formats.NOTHING


def _since(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    moment = since(obj)
    if moment is None:
        return formats.NOTHING
    return Markup('{} <span class="text-secondary">({})</span>').format(formats.when(moment), formats.ago(moment))


def care_for(station: ChargePoint) -> Care:
    """What was done about it, loaded for the page (or the batch) that it is on."""
    found: dict[int, Care] = g.get("care", {})
    return found.get(station.id) or Care(None, None)


def _recovery(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    return care.standing(care_for(obj).recovery, enabled=obj.auto_recovery)


def _mailed(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    return formats.when(care_for(obj).mailed_at)


def _links(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    """To where something can be done, and to what was done."""
    page = page_of("charge_point")
    return link(url_for("charge_point.details_view", id=obj.id), "Act on it", css="btn btn-sm") if page else None


def _recovery_text(obj: ChargePoint) -> str:
    recovery = care_for(obj).recovery
    return recovery.status.value if recovery is not None else "idle" if obj.auto_recovery else "off"


def _at_location(like: str) -> Any:
    return ChargingZone.location.has(cast(Location.name, String).ilike(like, escape="\\"))


def _of_kind(key: str) -> Any:
    return fault_queries.of_kind(FaultKind(key))


RECOVERY_STATES = (
    *((status.value, status.label) for status in RecoveryStatus),
    ("idle", "On, nothing tried yet"),
    ("off", "Off"),
)


class FaultsView(OffMenu, LiveList, BaseView):
    """Charge points that are offline or have a hardware fault. Manual, "Card: Faults & connectivity loss"."""

    resource = "assets.charge_point"
    singular, plural = "Charge Point", "Faults & connectivity loss"
    section, icon = None, "alert-triangle"
    description = "Charge points that are offline or report a fault. Only those Active or Out of order are watched."
    empty_hint = "Every watched charge point is connected and without fault."
    list_template = "dashboard/faults.html"
    live_topic = "charge_points"
    can_create = can_edit = can_delete = False
    has_history = False

    column_list = (
        "name",
        "zone",
        "state.connection",
        "hardware",
        "since",
        "errors",
        "recovery",
        "mailed",
        "status",
        "act",
    )
    column_labels = {
        "identifier": "Charge Point ID",
        "zone": "Location",
        "status": "System status",
        "state.connection": "Connection",
        "state.status": "Reported by the station",
        "hardware": "Hardware",
        "errors": "Error",
        "since": "Since",
        "recovery": "Auto-recovery",
        "mailed": "Last mail",
        "act": "What to do",
        "zone.name": "Charging Zone",
        "zone.location.city": "City",
        "state.connection_changed_at": "Connection since",
    }
    column_formatters = {
        "name": _name,
        "zone": _location,
        "state.connection": pill_formatter("state.connection"),
        "hardware": _hardware,
        "errors": _errors,
        "since": _since,
        "recovery": _recovery,
        "mailed": _mailed,
        "act": _links,
    }
    column_pills = ("status",)
    column_sortable_list = (
        "name",
        "identifier",
        "status",
        ("state.connection", "state.connection"),
        ("since", "state.connection_changed_at"),
    )
    column_default_sort = ("state.connection_changed_at", True)
    column_searchable_list = ("name", "identifier", "zone.name", "zone.location.city")
    search_hint = "Search name, ID, zone or city"
    column_filters = (
        ChoiceWhere(ChargePoint.id, "Kind", [(k.value, v) for k, v in FAULT_KINDS.items()], _of_kind),
        ChoiceWhere(ChargePoint.id, "Auto-recovery", RECOVERY_STATES, fault_queries.latest_recovery_is),
        TextWhere(ChargePoint.id, "Location", lambda like: ChargePoint.zone.has(_at_location(like))),
        "state.connection",
        "status",
        "zone.name",
        "zone.location.city",
        "state.connection_changed_at",
    )
    export_list = ""  # what was tried, in words, is no charge point's column
    column_export_list = (
        "name",
        ("charge_point_id", "identifier"),
        ("location", lambda obj: str(obj.zone.location)),
        ("system_status", "status"),
        ("connection", "state.connection"),
        ("hardware", hardware),
        ("error", errors),
        ("since", since),
        ("auto_recovery", _recovery_text),
        ("tried", lambda obj: care.tried_text(care_for(obj).recovery)),
        ("mailed_at", lambda obj: care_for(obj).mailed_at),
    )
    load_options = (
        joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
        joinedload(ChargePoint.state),
        selectinload(ChargePoint.evses).joinedload(Evse.state),
    )

    def create_blueprint(self, admin: Any) -> Any:
        """Put the page on the application; links to a charge point still lead to its own page, not here."""
        home = lookups.VIEWS.get(self.model)
        made = super().create_blueprint(admin)
        lookups.VIEWS.pop(self.model, None)
        if home is not None:
            lookups.register(home)
        return made

    @expose("/details/")
    def details_view(self) -> Any:
        """The charge point's own page."""
        return redirect(url_for("charge_point.details_view", id=self.get_one(request.args.get("id")).id))

    def scope(self, query: Any) -> Any:
        """Only what needs attention."""
        return super().scope(query).filter(fault_queries.needs_attention())

    def list_context(self, page: Any) -> dict[str, Any]:
        """What was done about the stations of the page."""
        g.care = fault_queries.care_of(self.db_session(), [row.id for row in page.rows])
        return {**super().list_context(page)}

    def export_rows(self, query: Any) -> Iterator[list[Any]]:
        """As the base's, with what was done about each batch of stations."""
        sources = [source for _, source in self.export_columns()]
        paths = [source for source in sources if isinstance(source, str)]
        session = query.session
        try:
            allow_minutes(session, 15)
            rows = iter(query.options(*self.row_options(paths)).yield_per(BATCH_ROWS))
            while batch := list(islice(rows, BATCH_ROWS)):
                g.care = fault_queries.care_of(session, [row.id for row in batch])
                for row in batch:
                    yield [follow(row, source) if isinstance(source, str) else source(row) for source in sources]
        finally:
            session.close()
