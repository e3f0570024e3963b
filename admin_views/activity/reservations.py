"""Reservations: which EVSE was kept for whom, until when, and what came of it. Manual, "Reservations"."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from admin_views import formats
from admin_views.assets.charge_point_lists import at_location
from admin_views.assets.parts import LiveList, TextWhere, YesNoWhere
from admin_views.base import BaseView, Facts, Related, RemoteAction
from admin_views.widgets import cells
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.charging.models import ChargingSession, Reservation
from app.charging.reservations import reservations
from app.charging.reservations.lifecycle import OPEN, ReservationOver
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin
from app.crm.models import User
from app.search.kinds import Kind

OPTIONS = (
    joinedload(Reservation.user),
    joinedload(Reservation.evse),
    joinedload(Reservation.session),
    joinedload(Reservation.action),
    joinedload(Reservation.charge_point).joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
)


def user(view: Any, context: Any, obj: Reservation, name: str) -> Any:
    """For whom; a long name on two lines."""
    return cells.record(obj.user, css="two-lines")


def length(view: Any, context: Any, obj: Reservation, name: str) -> Any:
    """For how long it was made."""
    return formats.duration(timedelta(minutes=round((obj.expires_at - obj.created_at).total_seconds() / 60)))


def _user(like: str) -> Any:
    name = User.first_name + " " + User.last_name
    return Reservation.user.has(or_(User.email.ilike(like, escape="\\"), name.ilike(like, escape="\\")))


def _station(condition: Any) -> Any:
    return Reservation.charge_point_id.in_(select(ChargePoint.id).where(condition))


def _evse(condition: Any) -> Any:
    return Reservation.evse_id.in_(select(Evse.id).where(condition))


def cancel(obj: Reservation, form: Any, *, reason: str, actor: Admin) -> Action:
    """Give the EVSE free again, and tell the station."""
    _, action = reservations.cancel(db.session(), reservation=obj, reason=reason, actor=actor, now=utcnow())
    return action


CANCEL = RemoteAction(
    "cancel",
    "Cancel Reservation",
    cancel,
    permission="assets.charge_point.command",
    icon="circle-x",
    available=lambda obj: obj.status in OPEN,
    refusals=(ReservationOver,),
    help="Everybody may charge there again at once. The charge point is told too; if it is not connected, the "
    "reservation is cancelled all the same, and the charge point lets go of it when its time is over.",
)


class ReservationView(LiveList, BaseView):
    """An EVSE kept for a user."""

    resource, singular, plural = "activity.reservation", "Reservation", "Reservations"
    section, icon = "Activity", "calendar-event"
    live_topic = "reservations"
    can_create = can_edit = can_delete = False
    has_history = False
    description = "EVSEs kept for one user. They are made with the action Reserve of an EVSE."
    empty_hint = (
        "Reservations are switched on in CONFIGURATION > Settings, and made with the action Reserve of an EVSE."
    )

    column_list = ("id", "user", "created_at", "expires_at", "status", "evse", "charge_point", "end_reason", "session")
    column_labels = {
        "id": "ID",
        "user": "User",
        "created_at": "Created at",
        "expires_at": "Until",
        "length": "Duration",
        "status": "Status",
        "evse": "EVSE",
        "charge_point": "Charge Point",
        "charge_point.zone.location": "Location",
        "end_reason": "Ended because",
        "ended_at": "Ended at",
        "session": "Charging Session",
        "id_tag": "Token",
        "reminded_at": "Reminded at",
        "action": "Action",
    }
    column_pills = ("status",)
    column_formatters = {"user": user, "length": length}
    column_sortable_list = ("id", ("user", "user.last_name"), "created_at", "expires_at", "status")
    column_default_sort = ("id", True)
    column_searchable_list = (
        "id_tag",
        "user.email",
        "user.first_name",
        "user.last_name",
        "evse.code",
        "charge_point.name",
        "charge_point.identifier",
    )
    search_hint = "Search user, token, EVSE ID, charge point"
    search_related = ((Kind.USER, "user_id"), (Kind.CHARGE_POINT, "charge_point_id"), (Kind.EVSE, "evse_id"))
    search_numbers = ("id",)
    search_whole = ("id_tag",)
    column_filters = (
        "status",
        YesNoWhere(Reservation.id, "Open", lambda: Reservation.status.in_(OPEN)),
        "created_at",
        "expires_at",
        "ended_at",
        TextWhere(Reservation.id, "User", _user),
        TextWhere(Reservation.id, "EVSE ID", lambda like: _evse(Evse.code.ilike(like, escape="\\"))),
        TextWhere(Reservation.id, "Charge Point", lambda like: _station(ChargePoint.name.ilike(like, escape="\\"))),
        TextWhere(
            Reservation.id, "Charge Point ID", lambda like: _station(ChargePoint.identifier.ilike(like, escape="\\"))
        ),
        TextWhere(Reservation.id, "Location", lambda like: _station(ChargePoint.zone.has(at_location(like)))),
        "id_tag",
    )
    column_export_list = (
        "id",
        "created_at",
        "expires_at",
        "status",
        ("user_email", "user.email"),
        ("charge_point_id", "charge_point.identifier"),
        ("evse_network_id", "evse.network_id"),
        ("evse_id", "evse.code"),
        "ended_at",
        "end_reason",
        "session_id",
        "id_tag",
        "reminded_at",
    )
    load_options = OPTIONS
    form_columns = ("status",)
    details_tabs = (
        Facts(
            "General",
            (
                "status",
                "user",
                "evse",
                "charge_point",
                "charge_point.zone.location",
                "created_at",
                "expires_at",
                "length",
                "ended_at",
                "end_reason",
                "session",
                "id_tag",
                "reminded_at",
                "action",
            ),
        ),
    )
    related = (
        Related(
            "Charging Sessions",
            "charging_session",
            lambda query, obj: query.filter(ChargingSession.id == (obj.session_id or 0)),
        ),
        Related(
            "Actions",
            "action",
            lambda query, obj: query.filter(
                or_(
                    Action.id == (obj.action_id or 0),
                    Action.request.contains({"reservation_id": obj.id}) & (Action.target_id == obj.evse_id),
                ),
                Action.target_type == "evse",
            ),
            ("id", "name", "info", "reason", "status", "initiated_by", "created_at"),
        ),
    )
    actions = (CANCEL,)

    def live_topics(self, obj: Reservation) -> list[str]:
        """The reservation and its EVSE's station."""
        return [f"reservation-{obj.id}", f"charge_point-{obj.charge_point_id}"]
