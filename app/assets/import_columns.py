"""The columns of an import of charge points: what each is called, may hold, and means. Pure.

One line is one EVSE; the charge point's own columns stand in its first line and may be repeated in the others. So a
station may have any number of EVSEs, every cell has one value, and the sheet can be sorted, filtered and filled down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
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

#: a cell that says: nothing shall be there. An empty cell leaves what is there.
CLEAR = "-"
IDENTIFIER = "charge_point_id"
NETWORK_ID = "evse_network_id"

_YES = frozenset({"true", "yes", "y", "1", "x", "wahr", "ja", "vrai", "oui"})
_NO = frozenset({"false", "no", "n", "0", "falsch", "nein", "faux", "non"})
_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+\d+")
_PLUG = re.compile(r"\s*([^(),;]+?)\s*(?:\(([^()]*)\)\s*)?(?:[,;]|$)")


class Plug(NamedTuple):
    """A connector as a cell names it; ``status`` None leaves what is there."""

    type: ConnectorType
    format: ConnectorFormat
    status: EvseStatus | None


@dataclass(frozen=True)
class Column:
    """A column: where its value goes, how its text is read, and what is told of it.

    ``parse`` raises ValueError with a sentence. ``clearable``: a "-" makes it empty.
    """

    name: str
    attribute: str
    label: str
    parse: Callable[[str], Any]
    help: str
    example: str = ""
    clearable: bool = False
    of_evse: bool = False
    secret: bool = False

    @property
    def options(self) -> str:
        """What may be chosen, in words; empty where anything may be written."""
        return str(getattr(self.parse, "options", ""))


def text(limit: int) -> Callable[[str], str]:
    """Text of at most so many characters."""

    def parse(cell: str) -> str:
        if len(cell) > limit:
            raise ValueError(f"At most {limit} characters are possible.")
        if re.search(r"[\x00-\x1f\x7f]", cell):
            raise ValueError("Line breaks and other control characters are not possible here.")
        return cell

    return parse


def code(limit: int) -> Callable[[str], str]:
    """An ID; what a spreadsheet has made a number of is refused, because its digits are lost."""
    short = text(limit)

    def parse(cell: str) -> str:
        cell = cell[1:] if re.fullmatch(r"'\d.*", cell) else cell
        if _SCIENTIFIC.fullmatch(cell):
            raise ValueError(
                f"The spreadsheet has made a number of this ID ({cell}). Format the column as Text and enter it again."
            )
        return short(cell)

    return parse


class Choice:
    """Reads a member of an enum by value or label, whatever the case and the blanks."""

    def __init__(self, kind: type[StrEnum]) -> None:
        self.options = ", ".join(_label(member) for member in kind)
        self._members: dict[str, Any] = {
            _plain(name): member for member in kind for name in (member.value, _label(member))
        }

    def __call__(self, cell: str) -> Any:
        """The member. Raises ValueError."""
        found = self._members.get(_plain(cell.removeprefix("'")))
        if found is None:
            raise ValueError(f"“{cell[:60]}” is none of: {self.options}.")
        return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _label(member: Any) -> str:
    return str(getattr(member, "label", member.value))


def yes_no(cell: str) -> bool:
    """Yes or no in the words of spreadsheets."""
    if cell.casefold() in _YES:
        return True
    if cell.casefold() in _NO:
        return False
    raise ValueError(f"“{cell[:60]}” is neither yes nor no.")


def number(cell: str) -> Decimal:
    """A number with a point or a comma. Raises ValueError."""
    plain = cell.replace(" ", "")
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        found = Decimal(plain)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ValueError(f"“{cell[:60]}” is no number.")
    return found


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds; spreadsheets may write it 1,0."""

    def parse(cell: str) -> int:
        found = number(cell)
        if found != found.to_integral_value() or not low <= found <= high:
            raise ValueError(f"A whole number from {low} to {high:,} is expected, not “{cell[:60]}”.")
        return int(found)

    return parse


class OneOf:
    """Reads a number among few, also by its words."""

    def __init__(self, options: dict[int, str]) -> None:
        self.options = ", ".join(f"{value} ({label})" for value, label in options.items())
        self._values = {_plain(label): value for value, label in options.items()}
        self._values |= {str(value): value for value in options}

    def __call__(self, cell: str) -> int:
        """The number. Raises ValueError."""
        found = self._values.get(_plain(re.sub(r"[.,]0+$", "", cell)))
        if found is None:
            raise ValueError(f"“{cell[:60]}” is none of: {self.options}.")
        return found


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


def day(cell: str) -> date:
    """A date: 2026-11-22, 22.11.2026, or with slashes where only one reading is possible."""
    plain = re.sub(r"[T ]00:00(:00)?(\.0+)?$", "", cell)
    year, month, in_month = 0, 0, 0
    if match := re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", plain):
        year, month, in_month = (int(part) for part in match.groups())
    elif match := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", plain):
        in_month, month, year = (int(part) for part in match.groups())
    elif match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", plain):
        one, two, year = (int(part) for part in match.groups())
        if one != two and max(one, two) <= 12:
            raise ValueError(f"“{cell[:60]}” can be two dates. Write it as {year}-MM-DD.")
        month, in_month = (two, one) if one > 12 else (one, two)
    try:
        if 1970 <= year <= 2200:
            return date(year, month, in_month)
    except ValueError:
        pass
    raise ValueError(f"“{cell[:60]}” is no date. Write it like 2026-11-22.")


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
    Column(name, attribute, label, parse, told, example, clearable, of_evse=True)
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
