"""ASSETS: Locations, Charging Zones, Charge Points with their EVSEs, who tried to connect, and the stations' logs."""

from __future__ import annotations

from typing import Any

from admin_views.assets.charge_points import ChargePointView
from admin_views.assets.diagnostics import DiagnosticsRequestView
from admin_views.assets.evses import EvseView
from admin_views.assets.firmware import FirmwareFileView
from admin_views.assets.firmware_updates import FirmwareUpdateView
from admin_views.assets.location_images import LocationImageView
from admin_views.assets.locations import LocationView
from admin_views.assets.logs import log_views
from admin_views.assets.notices import NoticeView
from admin_views.assets.quirks import QuirkView, StationModelView
from admin_views.assets.security import SecurityEventView, StationCertificateView
from admin_views.assets.tags import TagView
from admin_views.assets.templates import TemplateView
from admin_views.assets.unknown_stations import UnknownStationView
from admin_views.assets.zones import ChargingZoneView
from app.assets.models import (
    ChargePoint,
    ChargePointNotice,
    ChargePointTemplate,
    ChargingZone,
    Evse,
    FirmwareFile,
    Location,
    LocationImage,
    StationModel,
    Tag,
)
from app.charging.models import (
    Deviation,
    DiagnosticsRequest,
    FirmwareUpdate,
    SecurityEvent,
    StationCertificate,
    UnknownStation,
)
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
        TemplateView(ChargePointTemplate, db),
        NoticeView(ChargePointNotice, db),
        LocationImageView(LocationImage, db),
        TagView(Tag, db),
        FirmwareFileView(FirmwareFile, db),
        FirmwareUpdateView(FirmwareUpdate, db, endpoint="firmware_update"),
        DiagnosticsRequestView(
            DiagnosticsRequest, db, endpoint="diagnostics_request", url="/assets/diagnostic-requests"
        ),
        QuirkView(Deviation, db, name="Quirk Book", endpoint="quirk", url="/assets/quirk-book"),
        StationModelView(StationModel, db, endpoint="station_model"),
        StationCertificateView(StationCertificate, db, endpoint="station_certificate"),
        SecurityEventView(SecurityEvent, db, endpoint="security_event"),
        *log_views(),
    ]
