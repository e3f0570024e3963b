"""The list behind the card "Faults & connectivity loss": which stations, since when, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import redirect, request, url_for
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy.orm import joinedload, selectinload

from admin_views import formats
from admin_views.assets.parts import LiveList, OffMenu
from admin_views.base import BaseView, pill_formatter
from admin_views.dashboard.links import page_of
from admin_views.widgets import lookups
from admin_views.widgets.cells import link, pill, record
from app.assets.models import (
    ChargePoint,
    ChargingZone,
    ConnectionStatus,
    Evse,
    ReportedStatus,
)
from app.charging.queries import error_of, fault_or_connection_loss


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
    """What the station says is wrong, in its own words."""
    said = [(name, error_of(state)) for name, state in _faulted(station)]
    return "; ".join(f"{name}: {error}" if name else error for name, error in said if error)


def since(station: ChargePoint) -> Any:
    """Since when the oldest of its troubles lasts; None where nobody knows."""
    moments = [state.status_at or state.status_received_at for _, state in _faulted(station)]
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

    column_list = ("name", "zone", "state.connection", "hardware", "since", "errors", "status", "identifier")
    column_labels = {
        "identifier": "Charge Point ID",
        "zone": "Location",
        "status": "System status",
        "state.connection": "Connection",
        "state.status": "Reported by the station",
        "hardware": "Hardware",
        "errors": "Error",
        "since": "Since",
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
    column_filters = ("state.connection", "status", "zone.name", "zone.location.city", "state.connection_changed_at")
    column_export_list = (
        "name",
        ("charge_point_id", "identifier"),
        ("location", lambda obj: str(obj.zone.location)),
        ("system_status", "status"),
        ("connection", "state.connection"),
        ("hardware", hardware),
        ("error", errors),
        ("since", since),
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
        return super().scope(query).filter(fault_or_connection_loss())
