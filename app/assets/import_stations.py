"""One charge point of an import: its lines in the file, and the charge point made or changed as they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.assets import verbs
from app.assets.import_columns import COLUMNS, EVSE, IDENTIFIER, NETWORK_ID, STATION, Plug, plugs_text
from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargePointNotice,
    ChargingZone,
    Connector,
    Evse,
    EvseStatus,
    NetworkProtocol,
    SecurityProfile,
    SystemStatus,
    Tag,
)
from app.core.audit import plain
from app.core.import_columns import parsed
from app.core.import_file import Line, Mistake, Sheet
from app.core.models import HOUSE_PARTNER_ID
from app.core.passwords import verify_station_password

#: of a new charge point, what the database would fill in
DEFAULTS: dict[str, Any] = {
    "access_type": AccessType.PUBLIC,
    "status": SystemStatus.ACTIVE,
    "managed_by_operator": True,
    "protocol": NetworkProtocol.OCPP16,
    "security_profile": SecurityProfile.ANY,
    "show_to_public_with_notice": False,
    "plug_and_charge": False,
    "local_auth_list": False,
    "auto_recovery": False,
    "load_management": False,
    "partner_id": HOUSE_PARTNER_ID,
}
#: columns whose value is found by name
_NAMED = ("location", "zone", "partner", "notice", "network_password")
_EVSE_NAMED = ("network_id", "code", "tariff_group_id", "tags", "connectors")


@dataclass
class Known:
    """What a file can name, and the EVSE IDs somebody has: upper case → EVSE and Charge Point ID."""

    zones: list[ChargingZone]
    partners: dict[int, str]
    notices: list[ChargePointNotice]
    tariff_groups: dict[str, int]
    tags: dict[str, Tag]
    holders: dict[str, tuple[int, str]]
    given_codes: set[str]
    secret_key: str
    taken_codes: dict[str, int] = field(default_factory=dict)

    def tag(self, name: str) -> Tag:
        """The tag of that name, a new one if there is none."""
        return self.tags.setdefault(name.casefold(), Tag(name=name))


@dataclass
class StationLines:
    """The lines of one charge point: its own cells with the line each comes from, and the lines of its EVSEs."""

    key: str
    numbers: tuple[int, ...]
    cells: dict[str, tuple[int, str]]
    evses: dict[int, Line]

    def line_of(self, column: str) -> int:
        """Where a column of the charge point is said, else its first line."""
        return self.cells[column][0] if column in self.cells else self.numbers[0]

    def codes(self) -> Iterator[str]:
        """The EVSE IDs it gives, in upper case."""
        for line in self.evses.values():
            if "evse_id" in line.cells:
                yield line.cells["evse_id"].removeprefix("'").upper()

    def mistake_at(self, mistake: verbs.Mistake, evses: Sequence[Evse]) -> Mistake:
        """A mistake of the whole charge point at the line and column that has to change."""
        if mistake.path[0] == "evses" and isinstance(mistake.path[1], int):
            number = evses[mistake.path[1]].network_id
            line = self.evses.get(number)
            column = next((each.name for each in EVSE if each.attribute == mistake.path[-1]), "")
            return Mistake(line.number if line is not None else self.numbers[0], column, mistake.message)
        column = next((each.name for each in STATION if each.attribute == mistake.path[0]), "")
        return Mistake(self.line_of(column), column, mistake.message)


def gather(sheet: Sheet, mistakes: list[Mistake]) -> list[StationLines]:
    """The file's charge points in its order; lines that contradict each other are mistakes."""
    if IDENTIFIER not in sheet.columns:
        mistakes.append(Mistake(1, IDENTIFIER, "This column is needed: it says which charge point a line is about."))
        return []
    parse = COLUMNS[IDENTIFIER].parse
    found: dict[str, StationLines] = {}
    for line in sheet.lines:
        try:
            identifier = parse(line.cells[IDENTIFIER]) if IDENTIFIER in line.cells else ""
        except ValueError as error:
            mistakes.append(Mistake(line.number, IDENTIFIER, str(error)))
            continue
        if not identifier:
            mistakes.append(Mistake(line.number, IDENTIFIER, "Every line needs the Charge Point ID."))
            continue
        group = found.setdefault(identifier.lower(), StationLines(identifier.lower(), (), {}, {}))
        group.numbers = (*group.numbers, line.number)
        _add_own_cells(group, line, mistakes)
        _add_evse(group, line, mistakes)
    return list(found.values())


def _add_own_cells(group: StationLines, line: Line, mistakes: list[Mistake]) -> None:
    for column in STATION:
        if column.name not in line.cells:
            continue
        cell = line.cells[column.name]
        first, said = group.cells.setdefault(column.name, (line.number, cell))
        if said != cell and column.name != IDENTIFIER:
            mistakes.append(
                Mistake(
                    line.number,
                    column.name,
                    f"Line {first} says something else of the same charge point. Repeat it or leave it empty here.",
                )
            )


def _add_evse(group: StationLines, line: Line, mistakes: list[Mistake]) -> None:
    given = [column.name for column in EVSE if column.name in line.cells]
    if not given:
        return
    if NETWORK_ID not in line.cells:
        mistakes.append(Mistake(line.number, NETWORK_ID, "Say which EVSE this is: its number within the station."))
        return
    try:
        number = COLUMNS[NETWORK_ID].parse(line.cells[NETWORK_ID])
    except ValueError as error:
        mistakes.append(Mistake(line.number, NETWORK_ID, str(error)))
        return
    if number in group.evses:
        first = group.evses[number].number
        mistakes.append(Mistake(line.number, NETWORK_ID, f"Line {first} is about EVSE {number} already."))
        return
    group.evses[number] = line


def facts_of(station: ChargePoint, known: Known) -> dict[str, Any]:
    """What the columns say of a charge point and its EVSEs, as the audit and the preview tell it."""
    found: dict[str, Any] = {}
    for column in STATION:
        if column.attribute in _NAMED:
            continue
        found[column.attribute] = plain(getattr(station, column.attribute))
    found["zone"] = f"{station.zone.name} ({station.zone.location})" if station.zone is not None else None
    found["partner"] = known.partners.get(station.partner_id)
    found["notice"] = station.notice.name if station.notice is not None else None
    found["password_hash"] = station.password_hash
    groups = {number: name for name, number in known.tariff_groups.items()}
    for evse in station.evses:
        for column in EVSE:
            found[f"EVSE {evse.network_id} {column.label}"] = _evse_fact(evse, column.attribute, groups)
    return found


def _evse_fact(evse: Evse, attribute: str, groups: dict[int, str]) -> Any:
    if attribute == "tariff_group_id":
        return groups.get(evse.tariff_group_id or 0)
    if attribute == "tags":
        return ", ".join(sorted(tag.name for tag in evse.tags)) or None
    if attribute == "connectors":
        return plugs_text(evse.connectors) or None
    if attribute == "max_power_w":
        return None if evse.max_power_w is None else f"{plain(Decimal(evse.max_power_w) / 1000)} kW"
    return plain(getattr(evse, attribute))


def change_station(
    group: StationLines, stored: ChargePoint | None, known: Known, mistakes: list[Mistake]
) -> ChargePoint:
    """Make the charge point what its lines say; what cannot be is added to ``mistakes``."""
    said = dict(parsed(group.cells, STATION, mistakes))
    station = stored
    if station is None:
        station = ChargePoint(**DEFAULTS, identifier=said["identifier"], evses=[])
        missing = [needed for needed in ("name", "charging_zone") if needed not in group.cells]
        mistakes.extend(Mistake(group.numbers[0], needed, "Needed for a new charge point.") for needed in missing)
    for attribute, value in said.items():
        if attribute not in ("identifier", *_NAMED) and getattr(station, attribute) != value:
            setattr(station, attribute, value)
    _set_zone(group, station, said, known, mistakes)
    _set_owner(group, station, said, known, mistakes)
    _set_notice(group, station, said, known, mistakes)
    _set_password(station, said, known)
    for number, line in group.evses.items():
        _change_evse(station, number, line, known, mistakes)
    return station


def _set_zone(
    group: StationLines, station: ChargePoint, said: dict[str, Any], known: Known, mistakes: list[Mistake]
) -> None:
    zone, location = said.get("zone"), said.get("location")
    if zone is None and location is None:
        return
    if zone is None:
        if station.zone is None or not _is_at(station.zone, str(location)):
            at = group.line_of("location")
            mistakes.append(Mistake(at, "location", "Another location needs its Charging Zone beside it."))
        return
    at = group.line_of("charging_zone")
    called = [each for each in known.zones if each.name.casefold() == zone.casefold()]
    there = [each for each in called if location is None or _is_at(each, location)]
    if station.zone is not None and station.zone in there:
        return
    if len(there) == 1:
        station.zone = there[0]
    elif there:
        told = ", ".join(sorted(str(each.location) for each in there))[:200]
        mistakes.append(Mistake(at, "charging_zone", f"Several zones have this name; name the location too: {told}."))
    elif called:
        mistakes.append(Mistake(group.line_of("location"), "location", f"There is no zone “{zone}” at “{location}”."))
    else:
        mistakes.append(Mistake(at, "charging_zone", f"There is no Charging Zone “{zone}”. Create it first."))


def _is_at(zone: ChargingZone, location: str) -> bool:
    return location.casefold() in {name.casefold() for name in zone.location.name.values()}


def _set_owner(
    group: StationLines, station: ChargePoint, said: dict[str, Any], known: Known, mistakes: list[Mistake]
) -> None:
    name = said.get("partner")
    if name is None:
        return
    called = [number for number, each in known.partners.items() if each.casefold() == name.casefold()]
    if station.partner_id in called and station.id is not None:
        return
    if len(called) == 1:
        station.partner_id = called[0]
        return
    message = f"Several partners are called “{name}”." if called else f"There is no partner “{name}”."
    mistakes.append(Mistake(group.line_of("partner"), "partner", message))


def _set_notice(
    group: StationLines, station: ChargePoint, said: dict[str, Any], known: Known, mistakes: list[Mistake]
) -> None:
    if "notice" not in said:
        return
    name = said["notice"]
    found = next((each for each in known.notices if name and each.name.casefold() == name.casefold()), None)
    if name is not None and found is None:
        mistakes.append(Mistake(group.line_of("notice"), "notice", f"There is no CP Notice “{name}”."))
    elif station.notice is not found:
        station.notice = found


def _set_password(station: ChargePoint, said: dict[str, Any], known: Known) -> None:
    if "network_password" not in said:
        return
    typed = said["network_password"]
    if typed is None:
        verbs.clear_network_password(station)
        return
    stored = station.password_hash
    if stored is None or not verify_station_password(stored, [verbs.password_bytes(typed)], known.secret_key):
        verbs.set_network_password(station, text=typed, secret_key=known.secret_key)


def _change_evse(station: ChargePoint, number: int, line: Line, known: Known, mistakes: list[Mistake]) -> None:
    said = dict(parsed({name: (line.number, cell) for name, cell in line.cells.items()}, EVSE, mistakes))
    evse = next((each for each in station.evses if each.network_id == number), None)
    if evse is None:
        if "evse_type" not in line.cells:
            mistakes.append(Mistake(line.number, "evse_type", "Needed for a new EVSE."))
        evse = Evse(network_id=number, status=EvseStatus.ACTIVE, connectors=[], tags=[])
        station.evses.append(evse)
    if "code" in said:
        _set_code(evse, said["code"], line, known, mistakes)
    if "tariff_group_id" in said:
        _set_tariff_group(evse, said["tariff_group_id"], line, known, mistakes)
    if "tags" in said:
        wanted = [known.tag(name) for name in said["tags"] or ()]
        if {tag.name for tag in wanted} != {tag.name for tag in evse.tags}:
            evse.tags = wanted
    if "connectors" in said:
        _set_connectors(evse, said["connectors"] or [])
    for attribute, value in said.items():
        if attribute not in _EVSE_NAMED and getattr(evse, attribute) != value:
            setattr(evse, attribute, value)


def _set_code(evse: Evse, code: str, line: Line, known: Known, mistakes: list[Mistake]) -> None:
    holder = known.holders.get(code.upper())
    first = known.taken_codes.setdefault(code.upper(), line.number)
    if first != line.number:
        mistakes.append(Mistake(line.number, "evse_id", f"Line {first} gives this EVSE ID already."))
    elif holder is not None and holder[0] != evse.id:
        mistakes.append(Mistake(line.number, "evse_id", f"“{code}” is the ID of an EVSE of {holder[1]}."))
    elif evse.code != code:
        evse.code = code


def _set_tariff_group(evse: Evse, name: str | None, line: Line, known: Known, mistakes: list[Mistake]) -> None:
    if name is None:
        evse.tariff_group_id = None
        return
    called = [number for each, number in known.tariff_groups.items() if each.casefold() == name.casefold()]
    if evse.tariff_group_id in called:
        return
    if len(called) == 1:
        evse.tariff_group_id = called[0]
        return
    message = f"Several Tariff Groups are called “{name}”." if called else f"There is no Tariff Group “{name}”."
    mistakes.append(Mistake(line.number, "evse_tariff_group", message))


def _set_connectors(evse: Evse, wanted: Sequence[Plug]) -> None:
    """Make the EVSE's connectors these, in this order; a status that is not said stays."""
    for place, plug in enumerate(wanted):
        if place < len(evse.connectors):
            kept = evse.connectors[place]
            kept.type, kept.format, kept.status = plug.type, plug.format, plug.status or kept.status
        else:
            status = plug.status or EvseStatus.ACTIVE
            evse.connectors.append(Connector(type=plug.type, format=plug.format, status=status))
    for connector in evse.connectors[len(wanted) :]:
        evse.connectors.remove(connector)
