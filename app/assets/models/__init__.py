"""Sites and stations."""

from app.assets.models.charge_points import (
    AccessType,
    ChargePoint,
    Connector,
    ConnectorFormat,
    ConnectorType,
    Evse,
    EvseStatus,
    EvseType,
    NetworkProtocol,
    NetworkType,
    PhaseRotation,
    SystemStatus,
    Tag,
    evse_tag,
)
from app.assets.models.sites import ChargingZone, Location, ZoneStatus
from app.assets.models.state import ChargePointState, ConnectionStatus, EvseState, ReportedStatus

__all__ = [
    "AccessType",
    "ChargePoint",
    "ChargePointState",
    "ChargingZone",
    "ConnectionStatus",
    "Connector",
    "ConnectorFormat",
    "ConnectorType",
    "Evse",
    "EvseState",
    "EvseStatus",
    "EvseType",
    "Location",
    "NetworkProtocol",
    "NetworkType",
    "PhaseRotation",
    "ReportedStatus",
    "SystemStatus",
    "Tag",
    "ZoneStatus",
    "evse_tag",
]
