"""Charging Sessions: the list. Manual, "Charging Sessions"."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from flask import url_for
from markupsafe import Markup
from sqlalchemy.orm import joinedload

from admin_views import formats
from admin_views.activity.correction_actions import ACTIONS as CORRECTIONS
from admin_views.activity.session_filters import PRESETS, filters
from admin_views.activity.session_page import SessionPage
from admin_views.activity.timeline_page import TimelinePart
from admin_views.assets.charge_point_lists import SESSION_COLUMNS
from admin_views.assets.charging_actions import speaks_newer
from admin_views.assets.parts import LiveList
from admin_views.assets.start_session import USERS
from admin_views.base import BaseView, Outcome, RemoteAction, pill
from admin_views.crm.tag_links import tag_link
from admin_views.widgets import cells
from admin_views.widgets.chrome import icon
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.charging import remote, session_cost, session_status
from app.charging.commands import NotManaged
from app.charging.flags import flag_labels
from app.charging.lifecycle import RUNNING, LifecycleError, PaymentStatus
from app.charging.models import AuthorizationSource, ChargingSession
from app.charging.payments import paying
from app.charging.session_queries import duration_of
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin
from app.search.kinds import Kind

KWH = Decimal(1000)
#: manual, "Plug-n-charge without authorization"
ANONYMOUS = "Anonymous"

#: rows come with all that a line of the list shows
ROW_OPTIONS = (
    joinedload(ChargingSession.user),
    joinedload(ChargingSession.evse).selectinload(Evse.connectors),
    joinedload(ChargingSession.charge_point).joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
)


# --- cells


def duration(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """How long it took, or has taken."""
    found = duration_of(obj, now=utcnow())
    return found if context is None else formats.duration(found)


def energy(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """kWh, as the column says."""
    return formats.number(obj.energy_wh / KWH, 2)


def total(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """The amount with VAT."""
    return formats.money(obj.total_gross, obj.currency) if obj.currency else formats.NOTHING


def evse(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """EVSE and location, one below the other, as the manual shows them; the charge point's name on hover.

    To a partner that has sold the station nothing of it is known any more.
    """
    station = obj.charge_point
    if station is None or obj.evse is None:
        return formats.NOTHING
    parts = [obj.evse.type.label]
    if obj.evse.max_power_w:
        parts.append(str(formats.power(obj.evse.max_power_w)))
    parts += dict.fromkeys(connector.type.label for connector in obj.evse.connectors)
    return Markup('<span title="{}">EVSE ID: {} ({})<br>{}</span>').format(
        station, linked(obj.evse), " ".join(parts), linked(station.zone.location)
    )


def linked(obj: Any) -> Any:
    """A record within other words: its link is underlined."""
    return cells.record(obj, css="text-link")


def user(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """Who charged; a long name on two lines. Where nobody is asked, nobody is known."""
    if obj.user is None and obj.source is AuthorizationSource.PLUG_AND_CHARGE:
        return ANONYMOUS
    return cells.record(obj.user, css="two-lines")


def payment(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """Paid or not; what is owed stands out."""
    found = obj.payment_status
    return found if context is None else pill(found, "orange" if found is PaymentStatus.OUTSTANDING else None)


def paid_by(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """Who pays, as it was decided at the start."""
    return paying.paid_by(view.db_session, obj) or None


def flags(view: Any, context: Any, obj: ChargingSession, name: str) -> Any:
    """How many things were unusual, in words on hover."""
    if not obj.flags:
        return None
    words = "; ".join(flag_labels(obj.flags))
    return Markup('<span class="flagged" title="{}">{}{}</span>').format(
        words, icon("flag", label=words), len(obj.flags)
    )


# --- actions


def stop(obj: ChargingSession, form: Any, *, reason: str, actor: Admin) -> Action | Outcome:
    """Ask the station to stop; a session that has not begun is given up."""
    action = remote.stop_session(db.session(), charging_session=obj, reason=reason, actor=actor, now=utcnow())
    return action or Outcome(str(obj), "Finished", "The session had not begun and was given up.")


STOP = RemoteAction(
    "stop",
    "Stop Session",
    stop,
    permission="stop",
    icon="player-stop",
    available=lambda obj: obj.status in RUNNING,
    refusals=(LifecycleError, NotManaged),
    help="Asks the charge point to stop. A session that has not begun is given up.",
)


def ask(obj: ChargingSession, form: Any, *, reason: str, actor: Admin) -> Any:
    """Ask the station about it."""
    return session_status.ask_session(db.session(), charging_session=obj, reason=reason, actor=actor, now=utcnow())


ASK = RemoteAction(
    "status",
    "Get Session Status",
    ask,
    permission="stop",
    icon="message",
    bulk=False,
    available=lambda obj: obj.status in RUNNING and bool(obj.station_reference) and speaks_newer(obj.charge_point),
    refusals=(session_status.NotNamed, NotManaged),
    shows_response=True,
    help="Asks the charge point whether the session goes on there, and whether messages about it are still to come.",
)


def show_cost(obj: ChargingSession, form: Any, *, reason: str, actor: Admin) -> Any:
    """Show at the station what it costs so far."""
    return session_cost.show_cost(db.session(), charging_session=obj, reason=reason, actor=actor, now=utcnow())


SHOW_COST = RemoteAction(
    "show_cost",
    "Show Cost",
    show_cost,
    permission="stop",
    icon="coin",
    bulk=False,
    available=ASK.available,
    refusals=(session_cost.NoCost, NotManaged),
    help="Sends the charge point what the session costs up to now, with VAT, for its display.",
)


class ChargingSessionView(SessionPage, TimelinePart, LiveList, BaseView):
    """One charge each."""

    resource, singular, plural = "activity.charging_session", "Charging Session", "Charging Sessions"
    section, icon = "Activity", "bolt"
    list_template = "activity/sessions.html"
    live_topic = "sessions"
    count_cap = 100_000
    can_create = can_edit = can_delete = False
    has_history = False
    description = (
        "Failed does not necessarily mean a problem: usually the car was not plugged in within the time limit."
    )
    empty_hint = "Sessions appear here as soon as somebody charges."

    column_list = (*SESSION_COLUMNS, "evse", "flags")
    column_labels = {
        "id": "ID",
        "user": "User",
        "started_at": "Started At",
        "stopped_at": "Stopped At",
        "duration": "Duration",
        "paid_by": "Paid by",
        "status": "Session Status",
        "payment_status": "Payment Status",
        "energy_wh": "kWh",
        "total_gross": "Total Amount",
        "evse": "Charge Point",
        "at_evse": "EVSE",
        "charge_point": "Charge Point",
        "charge_point.zone.location": "Location",
        "authorization": "Authorization",
        "failure_reason": "Failed because",
        "stop_note": "Note",
        "flags": "Flags",
        "id_tag": "RFID tag",
        "source": "Started by",
        "tariff_name": "Tariff",
        "stop_reason": "Stop reason",
        "created_at": "Created at",
        "currency": "Currency",
    }
    column_pills = ("status",)
    column_formatters_detail = {"id_tag": tag_link}
    column_formatters = {
        "user": user,
        "payment_status": payment,
        "duration": duration,
        "paid_by": paid_by,
        "energy_wh": energy,
        "total_gross": total,
        "evse": evse,
        "at_evse": lambda view, context, obj, name: obj.evse,
        "flags": flags,
    }
    column_sortable_list = (
        "id",
        ("user", "user.last_name"),
        "started_at",
        "status",
        "payment_status",
        "energy_wh",
        "total_gross",
    )
    column_default_sort = ("id", True)
    column_searchable_list = ("id", "user.email", "user.first_name", "user.last_name", "id_tag", "evse.code")
    search_hint = "Search number, user, RFID tag, charge point, EVSE ID"
    search_related = ((Kind.USER, "user_id"), (Kind.CHARGE_POINT, "charge_point_id"), (Kind.EVSE, "evse_id"))
    search_numbers = ("id",)
    search_whole = ("id_tag",)
    column_filters = filters()
    column_export_list = (
        "id",
        ("user_email", "user.email"),
        "id_tag",
        ("charge_point_id", "charge_point.identifier"),
        ("evse_network_id", "evse.network_id"),
        ("evse_id", "evse.code"),
        "started_at",
        "stopped_at",
        "status",
        "payment_status",
        ("energy_kwh", lambda obj: formats.export_kwh(obj.energy_wh)),
        "currency",
        ("total_gross", lambda obj: formats.export_amount(obj.total_gross, obj.currency)),
        ("total_net", lambda obj: formats.export_amount(obj.total_net, obj.currency)),
        ("total_vat", lambda obj: formats.export_amount(obj.total_vat, obj.currency)),
        ("tariff", "tariff_name"),
        ("duration_s", lambda obj: duration_of(obj, now=utcnow()) or timedelta(0) if obj.started_at else None),
        ("charge_point", "charge_point.name"),
        ("location", lambda obj: formats.translated(cells.follow(obj, "charge_point.zone.location.name") or {})),
        ("started_by", "source"),
        "stop_reason",
        "failure_reason",
        "flags",
        "created_at",
    )
    load_options = ROW_OPTIONS
    form_columns = ("stop_note",)
    form_lookups = {"user": USERS}
    actions = (STOP, ASK, SHOW_COST, *CORRECTIONS)

    def list_context(self, page: Any) -> dict[str, Any]:
        """With the presets."""
        presets = [(words, url_for(".index_view", **found)) for words, found in PRESETS]
        return {**super().list_context(page), "presets_above": presets}
