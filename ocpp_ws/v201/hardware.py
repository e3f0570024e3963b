"""What a 2.0.1 connection remembers of its EVSEs: connectors and charging states, and the one status they make.

In 2.0.1 a connector is only Occupied; what the car does is said by TransactionEvent (part 2,
ChargingStateEnumType). Both are one status to the house.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.assets.models import ReportedStatus

CONNECTOR_STATUSES = {
    "Available": ReportedStatus.AVAILABLE,
    "Occupied": ReportedStatus.OCCUPIED,
    "Reserved": ReportedStatus.RESERVED,
    "Unavailable": ReportedStatus.UNAVAILABLE,
    "Faulted": ReportedStatus.FAULTED,
}
CHARGING_STATES = {
    "EVConnected": ReportedStatus.PREPARING,
    "Charging": ReportedStatus.CHARGING,
    "SuspendedEV": ReportedStatus.SUSPENDED_EV,
    "SuspendedEVSE": ReportedStatus.SUSPENDED_EVSE,
}
#: of several connectors of an EVSE, which only one car can use at a time
_STRONGEST = (
    ReportedStatus.OCCUPIED,
    ReportedStatus.RESERVED,
    ReportedStatus.AVAILABLE,
    ReportedStatus.FAULTED,
    ReportedStatus.UNAVAILABLE,
)
MOST_CONNECTORS = 16


@dataclass(slots=True)
class EvseMemory:
    """An EVSE as this connection has heard of it."""

    connectors: dict[int, ReportedStatus] = field(default_factory=dict)
    charging: ReportedStatus | None = None

    def hear_connector(self, connector_id: int, status: ReportedStatus) -> ReportedStatus:
        """A connector's status; returns what the EVSE's is then."""
        if connector_id in self.connectors or len(self.connectors) < MOST_CONNECTORS:
            self.connectors[connector_id] = status
        together = combined(self.connectors.values()) if self.connectors else status
        if together is ReportedStatus.OCCUPIED and self.charging is not None:
            return self.charging
        if together is not ReportedStatus.OCCUPIED:
            self.charging = None
        return together

    def hear_charging(self, status: ReportedStatus | None) -> ReportedStatus | None:
        """What the car does; returns what the EVSE's status is then, None when it says nothing new.

        None: the transaction is over; the connector may be occupied still.
        """
        if status is self.charging:
            return None
        self.charging = status
        if status is None:
            return ReportedStatus.FINISHING if ReportedStatus.OCCUPIED in self.connectors.values() else None
        return status


def combined(statuses: Iterable[ReportedStatus]) -> ReportedStatus:
    """The status of an EVSE by those of its connectors: a car at one of them occupies it; one that works is enough."""
    heard = set(statuses)
    return next((status for status in _STRONGEST if status in heard), ReportedStatus.UNKNOWN)
