"""Authorizations, charging sessions, readings and the stations' logs."""

from app.charging.models.logs import (
    CommunicationLog,
    Direction,
    FrameKind,
    HardwareStatusLog,
    NetworkStatusLog,
    StrayMessage,
    UnknownStation,
)
from app.charging.models.sessions import (
    LARGEST_ID,
    Authorization,
    AuthorizationResult,
    AuthorizationSource,
    ChargingSession,
    MeterReading,
)

__all__ = [
    "LARGEST_ID",
    "Authorization",
    "AuthorizationResult",
    "AuthorizationSource",
    "ChargingSession",
    "CommunicationLog",
    "Direction",
    "FrameKind",
    "HardwareStatusLog",
    "MeterReading",
    "NetworkStatusLog",
    "StrayMessage",
    "UnknownStation",
]
