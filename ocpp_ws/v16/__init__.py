"""OCPP 1.6J: short translations between the protocol and ``app.charging``, one file per message group."""

from __future__ import annotations

from collections.abc import Mapping

from ocpp_ws import presence, security_reports
from ocpp_ws.connection import Handler
from ocpp_ws.dialect import Dialect
from ocpp_ws.v16 import authorization, boot, data_transfer, firmware, metering, status, transactions
from ocpp_ws.v16.outgoing import MESSAGES

HANDLERS: Mapping[str, Handler] = {
    "BootNotification": boot.boot_notification,
    "Heartbeat": presence.heartbeat,
    "StatusNotification": status.status_notification,
    "Authorize": authorization.authorize,
    "StartTransaction": transactions.start_transaction,
    "StopTransaction": transactions.stop_transaction,
    "MeterValues": metering.meter_values,
    "DataTransfer": data_transfer.data_transfer,
    "FirmwareStatusNotification": firmware.firmware_status_notification,
    "DiagnosticsStatusNotification": firmware.diagnostics_status_notification,
    "LogStatusNotification": firmware.log_status_notification,
    "SignedFirmwareStatusNotification": firmware.signed_firmware_status_notification,
    "SecurityEventNotification": security_reports.security_event_notification,
    "SignCertificate": security_reports.sign_certificate,
}

DIALECT = Dialect("ocpp1.6", HANDLERS, MESSAGES)

__all__ = ["DIALECT"]
