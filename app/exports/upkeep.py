"""Logs, firmware, diagnostics, security and what deviates from the protocol as rows of a CSV."""

from __future__ import annotations

from sqlalchemy import case, func, literal

from app.assets.models import FirmwareFile
from app.charging.models import (
    CommunicationLog,
    Deviation,
    DeviceEvent,
    DiagnosticsRequest,
    FirmwareUpdate,
    HardwareStatusLog,
    NetworkStatusLog,
    Outage,
    SecurityEvent,
    StationCertificate,
    StrayMessage,
)
from app.charging.security.passwords import CRITICAL
from app.charging.upkeep.deviations import RULES, words_of
from app.exports.activity import station_id
from app.exports.cells import in_words, json_text, text, yes_no
from app.exports.columns import ExportList, by

_MEANINGS = {rule: meaning for rule, (_, meaning) in RULES.items()}

HARDWARE_STATUS_LOGS = ExportList(
    HardwareStatusLog,
    (
        "at",
        ("charge_point_id", station_id),
        "network_id",
        "status",
        "error_code",
        "vendor_error_code",
        "info",
        "reported_at",
    ),
    time="at",
)

NETWORK_STATUS_LOGS = ExportList(
    NetworkStatusLog, ("at", ("charge_point_id", station_id), "status", "detail"), time="at"
)

COMMUNICATION_LOGS = ExportList(
    CommunicationLog,
    ("at", ("charge_point_id", station_id), "direction", "kind", "message_id", "action", "payload"),
    time="at",
)

STRAY_MESSAGES = ExportList(
    StrayMessage,
    ("id", "at", ("charge_point_id", station_id), "action", "note", ("payload", by(json_text, "payload"))),
    time="at",
)

DEVICE_EVENTS = ExportList(
    DeviceEvent,
    (
        "at",
        ("charge_point_id", station_id),
        "reported_at",
        "event_number",
        "key",
        "trigger",
        "value",
        "cleared",
        "severity",
        "monitor_id",
        "cause",
        "session_reference",
        "technical_code",
        "technical_info",
    ),
    time="at",
)

OUTAGES = ExportList(
    Outage,
    (
        "id",
        ("charge_point", "charge_point.name"),
        ("charge_point_id", "charge_point.identifier"),
        "began_at",
        "ended_at",
        "mailed_at",
        "back_mailed_at",
    ),
    time="began_at",
)

FIRMWARE = ExportList(
    FirmwareFile,
    (
        "id",
        "name",
        ("version", "firmware_version"),
        "vendor",
        "model",
        ("file_name", "file.name"),
        ("size_bytes", "file.size_bytes"),
        ("sha256", "file.sha256"),
        ("signed", lambda row: yes_no(func.coalesce(row("signature"), "") != "")),
        ("uploaded_at", "created_at"),
    ),
    time="created_at",
)

FIRMWARE_UPDATES = ExportList(
    FirmwareUpdate,
    (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        ("firmware", lambda row: text(row("firmware_file.name") + " (" + row("firmware_file.firmware_version") + ")")),
        ("address", "location"),
        "signed",
        "status",
        "reported",
        "version_before",
        "version_after",
        "requested_at",
        "retrieve_at",
        "install_at",
        ("last_news_at", "changed_at"),
        ("initiated_by", "action.initiated_by"),
        ("reason", "action.reason"),
    ),
    time="requested_at",
)

DIAGNOSTICS = ExportList(
    DiagnosticsRequest,
    (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        "kind",
        "requested_at",
        ("start_time", "logs_from"),
        ("stop_time", "logs_to"),
        "status",
        "detail",
        ("file_name", "file.name"),
        ("file_size_bytes", "file.size_bytes"),
        ("file_sha256", "file.sha256"),
        ("file_received_at", "received_at"),
        ("reason", "action.reason"),
        ("initiated_by", "action.initiated_by"),
    ),
    time="requested_at",
)

CERTIFICATES = ExportList(
    StationCertificate,
    (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        "use",
        "status",
        "subject",
        "issuer",
        "serial_number",
        "fingerprint",
        "valid_from",
        "valid_until",
        "detail",
        "changed_at",
    ),
    time="changed_at",
)

SECURITY_EVENTS = ExportList(
    SecurityEvent,
    (
        "received_at",
        ("charge_point_id", "charge_point.identifier"),
        "type",
        ("importance", lambda row: case((row("type").in_(sorted(CRITICAL)), "critical"), else_="info")),
        "info",
        "happened_at",
    ),
    time="received_at",
)

DEVIATIONS = ExportList(
    Deviation,
    (
        "vendor",
        "model",
        "firmware_version",
        "protocol",
        ("message", "action"),
        "rule",
        ("meaning", lambda row: in_words(row("rule"), _MEANINGS, literal(words_of("?")[1]))),
        ("field", "path"),
        "example",
        "messages",
        "first_seen_at",
        "last_seen_at",
    ),
    time="last_seen_at",
)
