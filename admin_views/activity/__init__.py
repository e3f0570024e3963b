"""ACTIVITY: Charging Sessions, Authorizations, Reservations, Actions log."""

from __future__ import annotations

from typing import Any

from admin_views.activity.actions_log import ActionView
from admin_views.activity.authorizations import AuthorizationView
from admin_views.activity.reservations import ReservationView
from admin_views.activity.sessions import ChargingSessionView
from app.charging.models import Authorization, ChargingSession, Reservation
from app.core.db import db
from app.core.models import Action


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [
        ChargingSessionView(ChargingSession, db),
        AuthorizationView(Authorization, db),
        ReservationView(Reservation, db),
        ActionView(Action, db, name="Actions log"),
    ]
