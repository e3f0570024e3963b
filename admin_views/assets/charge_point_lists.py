"""What the lists around a charge point declare: labels, filters, export, related lists."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, cast, select

from admin_views import formats
from admin_views.assets import quirks
from admin_views.assets.charge_point_form import GENERAL
from admin_views.assets.fields import tariff_groups
from admin_views.assets.parts import ChoiceWhere, TextWhere, YesNoWhere
from admin_views.base import Facts, Related
from app.assets.models import ChargePoint, ChargingZone, Evse, EvseType, Location, Tag
from app.billing.models import Transaction
from app.charging import queries
from app.charging.models import ChargingSession
from app.charging.status import HardwareStatus

COLUMN_LABELS = {
    "name": "Name",
    "zone": "Charging Zone",
    "zone.name": "Charging Zone",
    "zone.location": "Location",
    "zone.location.city": "City",
    "zone.location.country": "Country",
    "partner": "Partner",
    "partner.name": "Partner",
    "status": "System status",
    "state.connection": "Connection",
    "state.connected": "Socket open",
    "hardware": "Hardware",
    "state.last_seen_at": "Last seen",
    "state.vendor": "Vendor",
    "state.model": "Model",
    "state.serial_number": "Serial number",
    "state.firmware_version": "Firmware version",
    "state.meter_type": "Meter type",
    "state.meter_serial_number": "Meter serial number",
    "state.iccid": "ICCID",
    "state.imsi": "IMSI",
    "state.booted_at": "Last boot",
    "state.boot_reason": "Boot reason",
    "state.clock_offset_s": "Clock",
    "state.protocol": "Protocol in use",
    "state.remote_address": "Connects from",
    "manufacture_date": "Manufacture Date",
    "integration_date": "Integration Date",
    "network_type": "Network Type",
    "access_type": "Access Type",
    "show_to_public_with_notice": "Show to public with notice",
    "notice": "CP Notice",
    "notice.name": "CP Notice",
    "managed_by_operator": "Managed By Operator",
    "protocol": "Network Protocol",
    "identifier": "Charge Point ID",
    "ocpp_url": "OCPP URL",
    "security_profile": "Security Profile",
    "network_password": "Network Password",
    "password_hash": "Network Password",
    "plug_and_charge": "Plug-n-charge without authorization",
    "local_auth_list": "Enable Local Auth List",
    "auto_recovery": "Enable Auto-Recovery",
    "load_management": "Enable Load Management",
    "max_current_a": "Charge Point Max Current (A)",
    "phases": "Phases",
    "input_voltage_v": "Input Voltage",
    "connected_phase": "Connected Phase",
    "phase_rotation": "Phase Rotation",
    "evses": "EVSEs",
    "created_at": "Created at",
}


def filters() -> tuple[Any, ...]:
    """The filters of the Charge Points list; new objects, since Flask-Admin binds each to its view."""
    own = ChargePoint.id
    return (
        "status",
        "state.connection",
        ChoiceWhere(own, "Hardware status", _hardware_choices(), lambda key: queries.hardware_sql() == key),
        YesNoWhere(own, "Fault or connection loss", queries.fault_or_connection_loss),
        "name",
        "identifier",
        "access_type",
        TextWhere(own, "Charging Zone", lambda like: ChargePoint.zone.has(ChargingZone.name.ilike(like, escape="\\"))),
        TextWhere(own, "Location", lambda like: ChargePoint.zone.has(at_location(like))),
        "zone.location.city",
        "zone.location.country",
        "partner.name",
        TextWhere(own, "EVSE ID", lambda like: ChargePoint.evses.any(Evse.code.ilike(like, escape="\\"))),
        ChoiceWhere(
            own,
            "EVSE type",
            [(kind.value, kind.label) for kind in EvseType],
            lambda key: ChargePoint.evses.any(Evse.type == EvseType(key)),
        ),
        ChoiceWhere(own, "Tariff Group", tariff_group_choices, lambda key: ChargePoint.evses.any(has_group(key))),
        TextWhere(own, "Tag", lambda like: ChargePoint.evses.any(Evse.tags.any(Tag.name.ilike(like, escape="\\")))),
        "state.last_seen_at",
        "protocol",
        "managed_by_operator",
        "notice.name",
        "load_management",
        "network_type",
        "state.vendor",
        "state.model",
        "state.firmware_version",
        "state.serial_number",
        "integration_date",
        "manufacture_date",
        "created_at",
    )


def at_location(like: str) -> Any:
    """The condition that a zone's location has such a name, in any language."""
    return ChargingZone.location.has(cast(Location.name, String).ilike(like, escape="\\"))


def has_group(key: str) -> Any:
    """The condition that an EVSE has that tariff group, or none."""
    return Evse.tariff_group_id.is_(None) if key == "none" else Evse.tariff_group_id == int(key)


def tariff_group_choices() -> list[tuple[str, str]]:
    """The tariff groups, and what has none."""
    return [("none", "No tariff group"), *((str(number), name) for number, name in tariff_groups())]


def _hardware_choices() -> list[tuple[str, str]]:
    shown = (HardwareStatus.AVAILABLE, HardwareStatus.UNAVAILABLE, HardwareStatus.FAULTED, HardwareStatus.UNKNOWN)
    return [(status.value, status.label) for status in shown]


def _hardware(obj: ChargePoint) -> Any:
    return queries.station_hardware(obj.state.status, [evse.state.status for evse in obj.evses])


EXPORT: tuple[Any, ...] = (
    "id",
    ("charge_point_id", "identifier"),
    "name",
    ("charging_zone", "zone.name"),
    ("location", lambda obj: formats.translated(obj.zone.location.name)),
    ("city", "zone.location.city"),
    ("country", "zone.location.country"),
    ("partner", "partner.name"),
    ("system_status", "status"),
    ("connection", "state.connection"),
    ("hardware_status", _hardware),
    ("last_seen_at", "state.last_seen_at"),
    "protocol",
    "access_type",
    "managed_by_operator",
    ("vendor", "state.vendor"),
    ("model", "state.model"),
    ("serial_number", "state.serial_number"),
    ("firmware_version", "state.firmware_version"),
    "network_type",
    "manufacture_date",
    "integration_date",
    ("evses", lambda obj: len(obj.evses)),
    ("evse_ids", lambda obj: [evse.code for evse in obj.evses]),
    "created_at",
)


_GENERAL = [name for name in GENERAL if name != "zone"]
DETAILS = (
    Facts("General", (_GENERAL[0], "zone", "zone.location", *_GENERAL[1:], "created_at")),
    Facts(
        "OCPP",
        (
            "managed_by_operator",
            "protocol",
            "identifier",
            "ocpp_url",
            "security_profile",
            "network_password",
            "plug_and_charge",
            "local_auth_list",
            "state.protocol",
            "state.remote_address",
        ),
    ),
    Facts("EVSEs", template="assets/_evses_tab.html"),
    Facts(
        "Hardware",
        (
            "state.vendor",
            "state.model",
            "state.serial_number",
            "state.firmware_version",
            "state.meter_type",
            "state.meter_serial_number",
            "state.iccid",
            "state.imsi",
            "state.booted_at",
            "state.boot_reason",
            "state.clock_offset_s",
        ),
        template="assets/_hardware_tab.html",
    ),
    Facts("Configuration", template="assets/_configuration_tab.html"),
    Facts("Display", template="assets/_displays_tab.html"),
    Facts("Security", template="assets/_security_tab.html"),
    Facts("Advanced", template="assets/_advanced_tab.html"),
    Facts("Local Auth List", template="assets/_local_list_tab.html"),
    Facts("Customers", template="assets/_customers_tab.html"),
    Facts("Partner", ("partner",)),
)

#: the manual's columns of the Charging Sessions below a charge point or an EVSE
SESSION_COLUMNS = (
    "id",
    "user",
    "started_at",
    "duration",
    "status",
    "payment_status",
    "energy_wh",
    "total_gross",
)

#: and of their Reservations
RESERVATION_COLUMNS = ("id", "user", "created_at", "expires_at", "status", "end_reason", "session")


def _transactions(query: Any, obj: ChargePoint) -> Any:
    sessions = select(ChargingSession.id).where(ChargingSession.charge_point_id == obj.id)
    return query.filter(Transaction.session_id.in_(sessions))


def related() -> tuple[Related, ...]:
    """The lists below a charge point, in the manual's order."""
    return (
        Related("Charging Sessions", "charging_session", "charge_point_id", (*SESSION_COLUMNS, "evse")),
        Related("Transactions", "transaction", _transactions),
        Related("Reservations", "reservation", "charge_point_id", (*RESERVATION_COLUMNS, "evse")),
        Related("Authorizations", "authorization", "charge_point_id"),
        Related(
            "Actions",
            "action",
            "charge_point_id",
            ("id", "name", "target_label", "info", "reason", "status", "initiated_by", "created_at"),
        ),
        Related(
            "Faults & Recovery",
            "recovery",
            "charge_point_id",
            ("began_at", "part", "fault", "status", "tried", "outcome", "mailed_at"),
        ),
        Related(
            "Outages",
            "outage",
            "charge_point_id",
            ("began_at", "state", "ended_at", "lasted", "mailed_at", "back_mailed_at"),
        ),
        Related("Hardware Status Logs", "hardware_status_log", "charge_point_id"),
        Related("Network Status Logs", "network_status_log", "charge_point_id"),
        Related("Communication Logs", "communication_log", "charge_point_id"),
        Related(
            "Diagnostic Requests",
            "diagnostics_request",
            "charge_point_id",
            ("id", "kind", "requested_at", "status", "detail", "file", "action.reason", "action.initiated_by"),
        ),
        Related(
            "Firmware Updates",
            "firmware_update",
            "charge_point_id",
            ("id", "firmware", "status", "reported", "version_before", "version_after", "retrieve_at", "changed_at"),
        ),
        Related("Device Events", "device_event", "charge_point_id"),
        Related("Stray Messages", "stray_message", "charge_point_id"),
        quirks.RELATED,
    )
