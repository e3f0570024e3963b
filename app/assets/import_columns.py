"""The columns of an import of charge points: what each is called, may hold, and means. Pure.

One line is one EVSE; the charge point's own columns stand in its first line and may be repeated in the others. So a
station may have any number of EVSEs, every cell has one value, and the sheet can be sorted, filtered and filled down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from app.assets import verbs
from app.assets.models import (
    AccessType,
    ConnectorFormat,
    ConnectorType,
    EvseStatus,
    EvseType,
    NetworkProtocol,
    NetworkType,
    PhaseRotation,
    SecurityProfile,
    SystemStatus,
)
from app.core.import_columns import Choice, Column, OneOf, code, day, number, text, whole, yes_no

IDENTIFIER = "charge_point_id"
NETWORK_ID = "evse_network_id"

_PLUG = re.compile(r"\s*([^(),;]+?)\s*(?:\(([^()]*)\)\s*)?(?:[,;]|$)")


class Plug(NamedTuple):
    """A connector as a cell names it; ``status`` None leaves what is there."""

    type: ConnectorType
    format: ConnectorFormat
    status: EvseStatus | None


def watts(cell: str) -> int:
    """Power in kW, to the watt."""
    found = number(cell) * 1000
    if not 0 < found <= 10_000_000 or found % 1:
        raise ValueError("Power in kW like 22 or 7.4 is expected.")
    return int(found)


def amperes(cell: str) -> Decimal:
    """A current in A, to a tenth."""
    found = number(cell)
    if not 1 <= found <= 10_000 or (found * 10) % 1:
        raise ValueError("A current in A from 1 to 10,000 is expected, with at most one decimal.")
    return found.quantize(Decimal("0.1"))


def names(cell: str) -> list[str]:
    """Names between commas, each once."""
    found = [name.strip() for name in re.split(r"[,;]", cell)]
    if any(len(name) > verbs.MAX_TAG_LENGTH for name in found):
        raise ValueError(f"A tag has at most {verbs.MAX_TAG_LENGTH} characters.")
    return list(dict.fromkeys(name for name in found if name))


def plugs(cell: str) -> list[Plug]:
    """Connectors between commas: "CCS2 (cable), Type 2", in brackets how they are."""
    found = []
    at = 0
    while at < len(cell):
        match = _PLUG.match(cell, at)
        if match is None or match.end() == at:
            raise ValueError(f"“{cell[:80]}” cannot be read. Write connectors like: CCS2 (cable), Type 2 (socket).")
        found.append(_plug(match[1], match[2]))
        at = match.end()
    return found


_type, _format, _status = Choice(ConnectorType), Choice(ConnectorFormat), Choice(EvseStatus)


def _plug(kind: str, how: str | None) -> Plug:
    format, status = ConnectorFormat.SOCKET, None
    for word in re.split(r"[,;/]", how or ""):
        if not word.strip():
            continue
        try:
            format = _format(word.strip())
        except ValueError:
            try:
                status = _status(word.strip())
            except ValueError:
                raise ValueError(
                    f"“{word.strip()[:60]}” is neither a format (socket, cable) nor a status of a connector."
                ) from None
    return Plug(_type(kind), format, status)


def password(cell: str) -> str:
    """A network password as a station sends it. Raises InvalidNetworkPassword, which says what is possible."""
    verbs.password_bytes(cell)
    return cell


PHASES = {1: "Single Phase", 3: "3-Phase"}
CONNECTED_PHASES = {1: "L1", 2: "L2", 3: "L3"}
VOLTAGES = {120: "110-130 V", 230: "220-240 V"}
_ANY = text(255)

STATION: tuple[Column, ...] = (
    Column(IDENTIFIER, "identifier", "Charge Point ID", code(255),
           "The ID over OCPP, in every line. What exists is changed, what does not is created.", "MODERA-1"),
    Column("name", "name", "Name", _ANY, "Needed for a new charge point.", "Modera left"),
    Column("location", "location", "Location", _ANY,
           "The location's name; only needed where two have a Charging Zone of the same name.", "Modera parking"),
    Column("charging_zone", "zone", "Charging Zone", _ANY,
           "The name of an existing Charging Zone. Needed for a new charge point.", "Modera Zone"),
    Column("manufacture_date", "manufacture_date", "Manufacture Date", day, "Like 2026-11-22.", clearable=True),
    Column("integration_date", "integration_date", "Integration Date", day, "Like 2026-11-22.", "2026-11-22",
           clearable=True),
    Column("network_type", "network_type", "Network Type", Choice(NetworkType), "", "4G", clearable=True),
    Column("access_type", "access_type", "Access Type", Choice(AccessType), "", "Public"),
    Column("show_to_public_with_notice", "show_to_public_with_notice", "Show to public with notice", yes_no,
           "Only of a Private charge point."),
    Column("notice", "notice", "CP Notice", _ANY, "The name of an existing CP Notice.", clearable=True),
    Column("system_status", "status", "System status", Choice(SystemStatus), "", "Active"),
    Column("managed_by_operator", "managed_by_operator", "Managed By Operator", yes_no, "", "yes"),
    Column("protocol", "protocol", "Network Protocol", Choice(NetworkProtocol), "", "OCPP 1.6J"),
    Column("network_password", "network_password", "Network Password", password,
           "A new one; empty keeps the stored one. Never exported.", clearable=True, secret=True),
    Column("security_profile", "security_profile", "Security profile", Choice(SecurityProfile), ""),
    Column("plug_and_charge", "plug_and_charge", "Plug-n-charge without authorization", yes_no, ""),
    Column("local_auth_list", "local_auth_list", "Enable Local Auth List", yes_no, ""),
    Column("auto_recovery", "auto_recovery", "Enable Auto-Recovery", yes_no, ""),
    Column("load_management", "load_management", "Enable Load Management", yes_no, ""),
    Column("max_current_a", "max_current_a", "Charge Point Max Current (A)", amperes, "", clearable=True),
    Column("phases", "phases", "Phases", OneOf(PHASES), "", clearable=True),
    Column("input_voltage_v", "input_voltage_v", "Input Voltage", OneOf(VOLTAGES), "", clearable=True),
    Column("connected_phase", "connected_phase", "Connected Phase", OneOf(CONNECTED_PHASES), "", clearable=True),
    Column("phase_rotation", "phase_rotation", "Phase Rotation", Choice(PhaseRotation), "", clearable=True),
    Column("partner", "partner", "Owner", _ANY, "The name of an existing Partner; the operator if left out."),
)  # fmt: skip

EVSE: tuple[Column, ...] = tuple(
    Column(name, attribute, label, parse, told, example, clearable, of_line=True)
    for name, attribute, label, parse, told, example, clearable in (
        (NETWORK_ID, "network_id", "Network ID", whole(1, 2_000_000_000),
         "The EVSE's number within the station: 1, 2 … Needed as soon as a line says anything of an EVSE.", "1", False),
        ("evse_id", "code", "ID (QR Code)", code(40), "Left empty, one is drawn for a new EVSE.", "", False),
        ("evse_type", "type", "Type", Choice(EvseType), "Needed for a new EVSE.", "AC", False),
        ("evse_max_power_kw", "max_power_w", "Display Max Power", watts, "In kW.", "22", True),
        ("evse_tariff_group", "tariff_group_id", "Tariff Group", _ANY, "The name of an existing Tariff Group.", "",
         True),
        ("evse_reservation_minutes", "reservation_minutes", "Reservation Time (minutes)", whole(0, 100_000),
         "- is the default of the Settings, 0 disables reservation.", "", True),
        ("evse_tags", "tags", "Tags", names, "Between commas; new ones are made.", "north, covered", True),
        ("evse_status", "status", "Status", Choice(EvseStatus), "", "Active", False),
        ("evse_max_current_a", "max_current_a", "EVSE Max Current (A)", amperes, "", "", True),
        ("evse_phases", "phases", "EVSE Phases", OneOf(PHASES), "", "", True),
        ("evse_connected_phase", "connected_phase", "EVSE Connected Phase", OneOf(CONNECTED_PHASES), "", "", True),
        ("evse_phase_rotation", "phase_rotation", "EVSE Phase Rotation", Choice(PhaseRotation), "", "", True),
        ("connectors", "connectors", "Connectors", plugs,
         "All of the EVSE's connectors between commas, in brackets socket or cable, and the status unless Active.",
         "Type 2 (socket)", True),
    )
)  # fmt: skip

COLUMNS: dict[str, Column] = {column.name: column for column in (*STATION, *EVSE)}

#: what the list's own export says beside them: read and left alone
READ_ONLY = frozenset(
    {
        "id", "city", "country", "connection", "hardware_status", "last_seen_at", "vendor", "model", "serial_number",
        "firmware_version", "evses", "evse_ids", "created_at",
    }
)  # fmt: skip


def plugs_text(connectors: Iterable[Any]) -> str:
    """Connectors as a cell of the column; ``plugs`` reads it back."""
    told = []
    for each in connectors:
        status = "" if each.status is EvseStatus.ACTIVE else f", {each.status.label.lower()}"
        told.append(f"{each.type.value} ({each.format.value}{status})")
    return ", ".join(told)
