"""What stations report of firmware updates, diagnostics and logs.

FirmwareStatusNotification and DiagnosticsStatusNotification (OCPP 1.6, 4.5 and 4.4), SignedFirmwareStatusNotification
and LogStatusNotification (security whitepaper, 4.5 and 4.3). Sent as things happen, and when TriggerMessage asks.
"""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection
from ocpp_ws.file_reports import report_firmware, report_transfer


def firmware_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far a plain update is; it carries no number."""
    return report_firmware(connection, payload, signed=False, numbered=False)


def signed_firmware_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far a signed update is."""
    return report_firmware(connection, payload, signed=True, numbered=True)


def diagnostics_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far an upload of diagnostics is; it carries no number."""
    return report_transfer(connection, payload, of_log=False)


def log_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far an upload of a log is."""
    return report_transfer(connection, payload, of_log=True)
