"""OCPP 2.0.1: short translations between the protocol and ``app.charging``, one file per message group."""

from __future__ import annotations

from collections.abc import Mapping

from ocpp_ws import presence, security_reports
from ocpp_ws.connection import Handler
from ocpp_ws.dialect import Dialect
from ocpp_ws.v201 import (
    authorization,
    boot,
    customers,
    displays,
    firmware,
    limits,
    metering,
    monitoring,
    notices,
    reports,
    reserving,
    security,
    status,
    transactions,
)
from ocpp_ws.v201.outgoing import MESSAGES

HANDLERS: Mapping[str, Handler] = {
    "BootNotification": boot.boot_notification,
    "Heartbeat": presence.heartbeat,
    "StatusNotification": status.status_notification,
    "Authorize": authorization.authorize,
    "TransactionEvent": transactions.transaction_event,
    "MeterValues": metering.meter_values,
    "NotifyReport": reports.notify_report,
    "NotifyEvent": monitoring.notify_event,
    "NotifyMonitoringReport": monitoring.notify_monitoring_report,
    "NotifyChargingLimit": limits.notify_charging_limit,
    "ClearedChargingLimit": limits.cleared_charging_limit,
    "NotifyEVChargingNeeds": limits.ev_charging_needs,
    "NotifyEVChargingSchedule": notices.ev_charging_schedule,
    "ReportChargingProfiles": limits.report_charging_profiles,
    "NotifyDisplayMessages": displays.notify_display_messages,
    "NotifyCustomerInformation": customers.notify_customer_information,
    "ReservationStatusUpdate": reserving.reservation_status_update,
    "PublishFirmwareStatusNotification": notices.noted,
    "FirmwareStatusNotification": firmware.firmware_status_notification,
    "LogStatusNotification": firmware.log_status_notification,
    "SecurityEventNotification": security_reports.security_event_notification,
    "SignCertificate": security.sign_certificate,
    "Get15118EVCertificate": security.get_ev_certificate,
    "GetCertificateStatus": security.get_certificate_status,
    "DataTransfer": notices.data_transfer,
}

DIALECT = Dialect("ocpp2.0.1", HANDLERS, MESSAGES)

__all__ = ["DIALECT"]
