"""OCPP 1.6J: short translations between the protocol and ``app.charging``, one file per message group."""

from __future__ import annotations

from collections.abc import Mapping

from ocpp_ws.connection import Handler
from ocpp_ws.v16 import authorization, boot, data_transfer, metering, notifications, status, transactions

HANDLERS: Mapping[str, Handler] = {
    "BootNotification": boot.boot_notification,
    "Heartbeat": boot.heartbeat,
    "StatusNotification": status.status_notification,
    "Authorize": authorization.authorize,
    "StartTransaction": transactions.start_transaction,
    "StopTransaction": transactions.stop_transaction,
    "MeterValues": metering.meter_values,
    "DataTransfer": data_transfer.data_transfer,
    "FirmwareStatusNotification": notifications.confirm,
    "DiagnosticsStatusNotification": notifications.confirm,
    "LogStatusNotification": notifications.confirm,
    "SignedFirmwareStatusNotification": notifications.confirm,
    "SecurityEventNotification": notifications.confirm,
    "SignCertificate": notifications.refuse_certificate,
}

__all__ = ["HANDLERS"]
