"""Authorizations, charging sessions, readings and the stations' logs."""

from app.charging.models.charging_plans import CompositeSchedule, LocalList, LocalListStatus, local_list_user
from app.charging.models.configuration import ConfigurationKey, ConfigurationStatus, Deviation
from app.charging.models.logs import (
    CommunicationLog,
    Direction,
    FrameKind,
    HardwareStatusLog,
    NetworkStatusLog,
    StrayMessage,
    UnknownStation,
)
from app.charging.models.price_versions import PriceCause, SessionPriceVersion
from app.charging.models.recovery import Outage, Recovery, RecoveryAttempt, RecoveryStatus
from app.charging.models.reservations import Reservation, ReservationStatus
from app.charging.models.security import (
    CertificateAuthority,
    CertificateStatus,
    CertificateUse,
    SecurityEvent,
    StationCertificate,
)
from app.charging.models.sessions import (
    LARGEST_ID,
    Authorization,
    AuthorizationResult,
    AuthorizationSource,
    ChargingSession,
    MeterReading,
)
from app.charging.models.transfers import (
    DiagnosticsKind,
    DiagnosticsRequest,
    FileTicket,
    FirmwareStatus,
    FirmwareUpdate,
    TransferStatus,
)

__all__ = [
    "LARGEST_ID",
    "Authorization",
    "AuthorizationResult",
    "AuthorizationSource",
    "CertificateAuthority",
    "CertificateStatus",
    "CertificateUse",
    "ChargingSession",
    "CommunicationLog",
    "CompositeSchedule",
    "ConfigurationKey",
    "ConfigurationStatus",
    "Deviation",
    "DiagnosticsKind",
    "DiagnosticsRequest",
    "Direction",
    "FileTicket",
    "FirmwareStatus",
    "FirmwareUpdate",
    "FrameKind",
    "HardwareStatusLog",
    "LocalList",
    "LocalListStatus",
    "MeterReading",
    "NetworkStatusLog",
    "Outage",
    "PriceCause",
    "Recovery",
    "RecoveryAttempt",
    "RecoveryStatus",
    "Reservation",
    "ReservationStatus",
    "SecurityEvent",
    "SessionPriceVersion",
    "StationCertificate",
    "StrayMessage",
    "TransferStatus",
    "UnknownStation",
    "local_list_user",
]
