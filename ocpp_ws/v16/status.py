"""StatusNotification (OCPP 1.6, 4.9). Connector 0 is the station itself."""

from __future__ import annotations

from typing import Any

from app.assets.models import ReportedStatus
from app.charging.clocks import clean_time
from app.charging.hardware import record_status
from ocpp_ws.codec import PROPERTY_CONSTRAINT_VIOLATION, HardFault
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v16.values import moment

LARGEST_CONNECTOR_ID = 32_767

STATUSES = {
    "Available": ReportedStatus.AVAILABLE,
    "Preparing": ReportedStatus.PREPARING,
    "Charging": ReportedStatus.CHARGING,
    "SuspendedEVSE": ReportedStatus.SUSPENDED_EVSE,
    "SuspendedEV": ReportedStatus.SUSPENDED_EV,
    "Finishing": ReportedStatus.FINISHING,
    "Reserved": ReportedStatus.RESERVED,
    "Unavailable": ReportedStatus.UNAVAILABLE,
    "Faulted": ReportedStatus.FAULTED,
}


def status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep what the station reports of itself or a connector."""
    status = payload.get("status")
    if status is None:  # nothing that could be read as a status: it changes nothing, and is answered
        return {}
    network_id = payload["connectorId"]
    if not 0 <= network_id <= LARGEST_CONNECTOR_ID:
        raise HardFault(PROPERTY_CONSTRAINT_VIOLATION, f"there is no connector {network_id}", "connectorId")
    of = served(connection)
    now = now_of(connection)
    error = payload.get("errorCode")
    record_status(
        of.writer,
        of.station,
        network_id=network_id,
        status=STATUSES.get(status, ReportedStatus.UNKNOWN),
        reported_at=clean_time(moment(payload.get("timestamp"), now), now)[0],
        now=now,
        error_code=None if error in (None, "NoError") else error,
        info=(payload.get("info") or "")[:255] or None,
        vendor_error_code=(payload.get("vendorErrorCode") or "")[:80] or None,
    )
    return {}
