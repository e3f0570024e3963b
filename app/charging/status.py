"""What is shown of a charge point, derived from three separate truths and storing none of it.

System status is the operator's intent, connection is what the socket says, reported status is what the
station says of its hardware (product, "Three separate truths about a charge point"). A station that is
not connected is never shown as Available: what it said last is kept beside it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.assets.models import ConnectionStatus, ReportedStatus, SystemStatus

__all__ = [
    "ConnectionStatus",
    "HardwareStatus",
    "ReportedStatus",
    "ShownEvse",
    "ShownStatus",
    "SystemStatus",
    "connection_status",
    "evse_reported_status",
    "evse_shown_status",
    "hardware_status",
    "stricter_system_status",
]


class HardwareStatus(StrEnum):
    """The hardware of an EVSE as operators speak of it (manual, "Charge Point details", Connectors)."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    CHARGING = "charging"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        """As written on screen."""
        return "Fault" if self is HardwareStatus.FAULTED else self.value.capitalize()


_HARDWARE = {
    ReportedStatus.AVAILABLE: HardwareStatus.AVAILABLE,
    ReportedStatus.PREPARING: HardwareStatus.OCCUPIED,
    ReportedStatus.CHARGING: HardwareStatus.CHARGING,
    ReportedStatus.SUSPENDED_EV: HardwareStatus.OCCUPIED,
    ReportedStatus.SUSPENDED_EVSE: HardwareStatus.OCCUPIED,
    ReportedStatus.FINISHING: HardwareStatus.OCCUPIED,
    ReportedStatus.OCCUPIED: HardwareStatus.OCCUPIED,
    ReportedStatus.RESERVED: HardwareStatus.RESERVED,
    ReportedStatus.UNAVAILABLE: HardwareStatus.UNAVAILABLE,
    ReportedStatus.FAULTED: HardwareStatus.FAULTED,
    ReportedStatus.UNKNOWN: HardwareStatus.UNKNOWN,
}


class ShownStatus(StrEnum):
    """The one status an EVSE is shown with."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    CHARGING = "charging"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"
    UNKNOWN = "unknown"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    LONG_TERM_UNAVAILABLE = "long_term_unavailable"
    NEVER_CONNECTED = "never_connected"
    DISABLED = "disabled"
    OUT_OF_ORDER = "out_of_order"
    DEMO = "demo"
    #: a point of interest, of which nothing is known
    NOT_MANAGED = "not_managed"

    @property
    def label(self) -> str:
        """As written on screen."""
        return _SHOWN_LABELS[self]


_SHOWN_LABELS = {
    **{ShownStatus(status.value): status.label for status in HardwareStatus},
    **{
        ShownStatus(status.value): status.label
        for status in ConnectionStatus
        if status is not ConnectionStatus.AVAILABLE
    },
    ShownStatus.DISABLED: "Disabled",
    ShownStatus.OUT_OF_ORDER: "Out of order",
    ShownStatus.DEMO: "Demo",
    ShownStatus.NOT_MANAGED: "Not managed",
}

_WHY_SYSTEM = {
    SystemStatus.DISABLED: "An operator has disabled it",
    SystemStatus.OUT_OF_ORDER: "An operator has set it to Out of order",
    SystemStatus.DEMO: "It is for demonstration only, without an actual charge point",
}
_WHY_CONNECTION = {
    ConnectionStatus.NEVER_CONNECTED: "The charge point has never connected",
    ConnectionStatus.TEMPORARILY_UNAVAILABLE: "The connection to the charge point is lost",
    ConnectionStatus.LONG_TERM_UNAVAILABLE: "The connection to the charge point has been lost for long",
}
_SYSTEM_STRICTNESS = (
    SystemStatus.DISABLED,
    SystemStatus.OUT_OF_ORDER,
    SystemStatus.DEMO,
    SystemStatus.ACTIVE,
)


@dataclass(frozen=True, slots=True)
class ShownEvse:
    """What is shown of an EVSE, why in words, and beside it what the station reported last."""

    status: ShownStatus
    why: str
    last_reported: ReportedStatus


def connection_status(
    *,
    connected: bool,
    last_seen_at: datetime | None,
    now: datetime,
    temporary_after_s: float,
    long_term_after_s: float,
) -> ConnectionStatus:
    """The rung of the ladder Available, Temp. unavailable, Long-term unavailable (manual, "Connection").

    It counts from the last frame of any kind including pong, not from the socket: one that is open but
    silent is as good as lost, one that closed a moment ago is not lost yet. Limits are in seconds and
    reached when that much time has passed. A socket that is open and has not spoken yet is Available.
    """
    if last_seen_at is None:
        return ConnectionStatus.AVAILABLE if connected else ConnectionStatus.NEVER_CONNECTED
    silence = now - last_seen_at
    if silence >= timedelta(seconds=max(temporary_after_s, long_term_after_s)):
        return ConnectionStatus.LONG_TERM_UNAVAILABLE
    if silence >= timedelta(seconds=temporary_after_s):
        return ConnectionStatus.TEMPORARILY_UNAVAILABLE
    return ConnectionStatus.AVAILABLE


def hardware_status(reported: ReportedStatus) -> HardwareStatus:
    """What a reported status means to an operator: all that stands with a car but no current is Occupied."""
    return _HARDWARE[reported]


def stricter_system_status(charge_point_status: str, evse_status: str) -> SystemStatus:
    """The one of both intents that counts for the EVSE. Raises ValueError for a status nobody knows."""
    both = (SystemStatus(charge_point_status), SystemStatus(evse_status))
    return min(both, key=_SYSTEM_STRICTNESS.index)


#: a station that is Unavailable takes no new sessions; those that run go on (OCPP 1.6, 5.2)
GOES_ON = frozenset(
    {
        ReportedStatus.CHARGING,
        ReportedStatus.SUSPENDED_EV,
        ReportedStatus.SUSPENDED_EVSE,
        ReportedStatus.FINISHING,
        ReportedStatus.OCCUPIED,
    }
)


def evse_reported_status(reported: ReportedStatus, station: ReportedStatus) -> ReportedStatus:
    """What counts of what is reported: what a station says of itself (connector or EVSE 0) is true of its EVSEs.

    A fault of the station is one of each EVSE; Unavailable is, where nobody is charging. Any other status of the
    station says nothing of an EVSE. This is the one place where that is decided; ``app.dashboard.sites`` has it in SQL.
    """
    if station is ReportedStatus.FAULTED:
        return station
    if station is ReportedStatus.UNAVAILABLE and reported not in (*GOES_ON, ReportedStatus.FAULTED):
        return station
    return reported


def evse_shown_status(
    system_status: str,
    connection: ConnectionStatus,
    reported: ReportedStatus,
    station: ReportedStatus = ReportedStatus.UNKNOWN,
) -> ShownEvse:
    """What to show of an EVSE: the operator's intent first, then the connection, then the hardware.

    ``station`` is what the charge point reports of itself. Raises ValueError for a system status nobody knows.
    """
    intent = SystemStatus(system_status)
    if intent is not SystemStatus.ACTIVE:
        return ShownEvse(ShownStatus(intent.value), _WHY_SYSTEM[intent], reported)
    if connection is not ConnectionStatus.AVAILABLE:
        why = f"{_WHY_CONNECTION[connection]}; last reported: {reported.label}"
        return ShownEvse(ShownStatus(connection.value), why, reported)
    counts = evse_reported_status(reported, station)
    hardware = hardware_status(counts)
    if counts is not reported:
        why = f"The charge point as a whole reports: {station.label}; the EVSE itself: {reported.label}"
    elif hardware is HardwareStatus.UNKNOWN:
        why = "Nothing reported yet"
    else:
        why = f"Reported: {reported.label}"
    return ShownEvse(ShownStatus(hardware.value), why, reported)
