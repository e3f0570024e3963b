"""ASSETS: Locations, Charging Zones, Charge Points with their EVSEs, who tried to connect, and the stations' logs."""

from __future__ import annotations

from typing import Any

from admin_views.assets.charge_points import ChargePointView
from admin_views.assets.evses import EvseView
from admin_views.assets.locations import LocationView
from admin_views.assets.logs import log_views
from admin_views.assets.unknown_stations import UnknownStationView
from admin_views.assets.zones import ChargingZoneView
from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.charging.models import UnknownStation
from app.core.db import db


def views() -> list[Any]:
    """The section's pages in the order of the menu; EVSEs and logs are reached from charge points."""
    return [
        LocationView(Location, db),
        ChargingZoneView(ChargingZone, db),
        ChargePointView(ChargePoint, db),
        UnknownStationView(
            UnknownStation, db, name="Tried to Connect", endpoint="unknown_station", url="/assets/tried-to-connect"
        ),
        EvseView(Evse, db, endpoint="evse", url="/assets/evses"),
        *log_views(),
    ]
