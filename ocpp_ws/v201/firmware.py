"""What stations report of firmware updates and uploads of logs (OCPP 2.0.1 part 2, blocks L and N), by number."""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection
from ocpp_ws.file_reports import report_firmware, report_transfer


def firmware_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far an update is."""
    return report_firmware(connection, payload, signed=False, numbered=True)


def log_status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """How far an upload of a log is."""
    return report_transfer(connection, payload, of_log=True)
