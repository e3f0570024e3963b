"""StatusNotification (OCPP 1.6, 4.9). Connector 0 is the station itself."""

from __future__ import annotations

from typing import Any

from app.assets.models import ReportedStatus
from app.charging.clocks import clean_time
from app.charging.hardware import log_unreadable_status, record_status
from ocpp_ws.codec import PROPERTY_CONSTRAINT_VIOLATION, HardFault
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import Served, now_of, served
from ocpp_ws.timestamps import moment
from ocpp_ws.tolerance import UNREADABLE_STATUS

LARGEST_CONNECTOR_ID = 32_767
#: connectors whose last unreadable word is remembered with a connection
MOST_UNREADABLE = 64

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
    network_id = payload["connectorId"]
    if not 0 <= network_id <= LARGEST_CONNECTOR_ID:
        raise HardFault(PROPERTY_CONSTRAINT_VIOLATION, f"there is no connector {network_id}", "connectorId")
    of = served(connection)
    now = now_of(connection)
    of.watch_clock(payload.get("timestamp"), now)
    word = payload.get("status")
    error = payload.get("errorCode")
    report = {
        "network_id": network_id,
        "reported_at": clean_time(moment(payload.get("timestamp"), now), now)[0],
        "now": now,
        "error_code": None if error in (None, "NoError") else error,
        "info": (payload.get("info") or "")[:255] or None,
        "vendor_error_code": (payload.get("vendorErrorCode") or "")[:80] or None,
    }
    if word is None:
        _keep_unreadable(of, payload.get(UNREADABLE_STATUS) or "", report)
    else:
        of.heard.unreadable.pop(network_id, None)
        record_status(of.writer, of.station, status=STATUSES.get(word, ReportedStatus.UNKNOWN), **report)
    return {}


def _keep_unreadable(of: Served, word: str, report: dict[str, Any]) -> None:
    """A word that is no status changes nothing: it is logged, once while it is said again and again."""
    network_id = report["network_id"]
    if of.heard.unreadable.get(network_id) == word:
        return
    if len(of.heard.unreadable) < MOST_UNREADABLE:
        of.heard.unreadable[network_id] = word
    said = f"not a status: {word}" if word else "no status given"
    info = f"{said}; {report['info']}" if report["info"] else said
    log_unreadable_status(of.writer, of.station, **{**report, "info": info[:255]})
