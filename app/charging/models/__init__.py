"""Authorizations, charging sessions, readings and the stations' logs."""

from app.charging.models.charging_plans import CompositeSchedule, LocalList, LocalListStatus, local_list_user
from app.charging.models.configuration import ConfigurationKey, ConfigurationStatus, Deviation
from app.charging.models.device_model import (
    DeviceEvent,
    DeviceMonitor,
    DeviceVariable,
    MonitorKind,
    MonitorStatus,
)
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
from app.charging.models.station_notices import (
    ChargingLimit,
    ChargingNeeds,
    CustomerInformation,
    DisplayMessage,
    DisplayStatus,
    StationProfile,
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
    "ChargingLimit",
    "ChargingNeeds",
    "ChargingSession",
    "CommunicationLog",
    "CompositeSchedule",
    "ConfigurationKey",
    "ConfigurationStatus",
    "CustomerInformation",
    "Deviation",
    "DeviceEvent",
    "DeviceMonitor",
    "DeviceVariable",
    "DiagnosticsKind",
    "DiagnosticsRequest",
    "Direction",
    "DisplayMessage",
    "DisplayStatus",
    "FileTicket",
    "FirmwareStatus",
    "FirmwareUpdate",
    "FrameKind",
    "HardwareStatusLog",
    "LocalList",
    "LocalListStatus",
    "MeterReading",
    "MonitorKind",
    "MonitorStatus",
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
    "StationProfile",
    "StrayMessage",
    "TransferStatus",
    "UnknownStation",
    "local_list_user",
]
