"""Locations, zones, charge points, EVSEs and connectors of the file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from app.assets.models import (
    ChargePoint,
    ChargingZone,
    Connector,
    ConnectorFormat,
    Evse,
    EvseStatus,
    Location,
)
from app.core import events
from app.core.models import HOUSE_PARTNER_ID
from app.core.passwords import hash_station_password, verify_station_password
from app.partners.models import Partner
from app.provisioning.changes import Outcome, Work
from app.provisioning.document import ChargePointEntry, ConnectorEntry, EvseEntry, LocationEntry, ZoneEntry
from app.provisioning.evse_codes import draw_evse_code
from app.provisioning.mistakes import at
from app.provisioning.reading import Source
from app.tariffs.models import TariffGroup

_LOCATION_FIELDS = (
    "name",
    "short_description",
    "description",
    "latitude",
    "longitude",
    "address",
    "city",
    "postcode",
    "region",
    "country",
    "timezone",
)


def apply_sites(work: Work, source: Source) -> None:
    """Create or update the file's locations and all that stands on them; tells of each station it changed."""
    with work.session.no_autoflush:
        sites = _Sites(work, source)
        for location in source.document.locations:
            sites.apply_location(location)
        work.flush()
    for charge_point in sites.changed:
        events.announce(
            work.session,
            "charge_point.changed",
            partner_id=charge_point.partner_id,
            charge_point_id=charge_point.id,
        )


class _Sites:
    """The file's locations, with all that is stored of them read beforehand: no query per station."""

    def __init__(self, work: Work, source: Source) -> None:
        self.work = work
        self.session = work.session
        self.source = source
        self.changed: list[ChargePoint] = []
        entries = source.document.locations
        stations = [station for loc in entries for zone in loc.zones for station in zone.charge_points]
        given = [evse.id.upper() for station in stations for evse in station.evses if evse.id is not None]
        self.locations = _locations(self.session, [entry.name["en"] for entry in entries])
        self.stations = _stations(self.session, [station.id.lower() for station in stations])
        self.holders = _holders(self.session, given)
        groups = self.session.execute(select(TariffGroup.name, TariffGroup.id)).tuples()
        self.groups: dict[str, int] = dict(groups.all())
        partners = self.session.execute(select(Partner.name, Partner.id)).tuples()
        self.partners: dict[str, int] = dict(partners.all())
        #: EVSE IDs the file gives or that were drawn for it, which must not come up again
        self.codes = set(given)

    def apply_location(self, entry: LocationEntry) -> None:
        """One location and its zones."""
        name, path = entry.name["en"], at(entry.path, "name")
        stored = self.locations.setdefault(name, [])
        location = self.work.only(path, f"locations “{name}”", stored)
        values = entry.given(*_LOCATION_FIELDS)
        for field in ("latitude", "longitude", "country"):
            if field in values and values[field] is None:
                self.work.mistakes.add(at(entry.path, field), "a value is required")
        if self.work.mistakes.within(path):
            return
        if location is not None:
            self.work.count("locations", self.work.change(location, values))
        elif self.work.require(entry.path, "location", values, ("latitude", "longitude", "country")):
            location = Location(**values, zones=[])
            stored.append(location)
            self.work.create(location, values)
            self.work.count("locations", Outcome.CREATED)
        for zone in entry.zones:
            self._apply_zone(zone, location)

    def _apply_zone(self, entry: ZoneEntry, location: Location | None) -> None:
        """A zone; without location (it could not be made) only what stands in it is checked."""
        zone = None
        values = {"name": entry.name, **_without_none(entry.given("status"))}
        if location is not None:
            path = at(entry.path, "name")
            stored = [zone for zone in location.zones if zone.name == entry.name]
            zone = self.work.only(path, f"zones “{entry.name}” in this location", stored)
            if zone is not None:
                self.work.count("charging zones", self.work.change(zone, values))
            elif not self.work.mistakes.within(path):
                zone = ChargingZone(**values)
                location.zones.append(zone)
                self.work.create(zone, {**values, "location": str(location)})
                self.work.count("charging zones", Outcome.CREATED)
        for charge_point in entry.charge_points:
            self._apply_charge_point(charge_point, zone)

    def _apply_charge_point(self, entry: ChargePointEntry, zone: ChargingZone | None) -> None:
        charge_point = self.stations.get(entry.id.lower())
        values = self._charge_point_values(entry, charge_point)
        if zone is not None:
            values["zone"] = zone
        outcome = Outcome.UNCHANGED
        if charge_point is not None:
            outcome = self._change_charge_point(charge_point, values)
        elif zone is not None:
            values = {"name": entry.id, "partner_id": HOUSE_PARTNER_ID, **values}
            charge_point = ChargePoint(**values, evses=[])
            self.stations[entry.id.lower()] = charge_point
            self.work.create(charge_point, values)
            outcome = Outcome.CREATED
        evses = [self._apply_evse(evse, charge_point) for evse in entry.evses]
        if charge_point is None:
            return
        self.work.count("charge points", outcome)
        if any(each is not Outcome.UNCHANGED for each in (outcome, *evses)):
            self.changed.append(charge_point)

    def _charge_point_values(self, entry: ChargePointEntry, stored: ChargePoint | None) -> dict[str, Any]:
        values: dict[str, Any] = {
            "identifier": entry.id,
            **_without_none(entry.given("name", "protocol", "status", "plug_and_charge")),
        }
        if entry.access is not None:
            values["access_type"] = entry.access
        if "password" in entry.model_fields_set:
            values["password_hash"] = self._password_hash(stored, entry.password)
        if "owner" in entry.model_fields_set:
            values["partner_id"] = self._owner_id(entry)
        return values

    def _change_charge_point(self, charge_point: ChargePoint, values: dict[str, Any]) -> Outcome:
        moves = values.get("partner_id", charge_point.partner_id) != charge_point.partner_id
        outcome = self.work.change(charge_point, values)
        if moves:
            # the database takes EVSEs and connectors along to the new owner
            self.work.flush()
            for evse in charge_point.evses:
                for connector in evse.connectors:
                    self.session.expire(connector, ["partner_id"])
                self.session.expire(evse, ["partner_id"])
        return outcome

    def _password_hash(self, charge_point: ChargePoint | None, password: bytes | None) -> str | None:
        """The stored form; the present one where it is that password already: each hash has a new salt."""
        if password is None:
            return None
        stored = charge_point.password_hash if charge_point is not None else None
        if stored is not None and verify_station_password(stored, [password], self.work.secret_key):
            return stored
        return hash_station_password(password, self.work.secret_key)

    def _owner_id(self, entry: ChargePointEntry) -> int:
        if entry.owner is None:
            return HOUSE_PARTNER_ID
        if entry.owner not in self.partners:
            self.work.mistakes.add(at(entry.path, "owner"), f'there is no partner "{entry.owner}"')
        return self.partners.get(entry.owner, HOUSE_PARTNER_ID)

    def _apply_evse(self, entry: EvseEntry, charge_point: ChargePoint | None) -> Outcome:
        evse = None
        if charge_point is not None:
            evse = next((e for e in charge_point.evses if e.network_id == entry.network_id), None)
        values: dict[str, Any] = _without_none(entry.given("type", "status"))
        if "max_power_kw" in entry.model_fields_set:
            values["max_power_w"] = entry.max_power_kw
        if "tariff_group" in entry.model_fields_set:
            values["tariff_group_id"] = self._tariff_group_id(entry)
        if entry.id is not None and self._code_is_free(entry, evse):
            values["code"] = entry.id
        if evse is not None:
            outcome = self.work.change(evse, values)
        elif not self.work.require(entry.path, "EVSE", values, ("type",)) or charge_point is None:
            return Outcome.UNCHANGED
        else:
            if "code" not in values:
                values["code"] = draw_evse_code(self.session, taken=self.codes)
                self.codes.add(values["code"])
            values["network_id"] = entry.network_id
            evse = Evse(**values, connectors=[])
            charge_point.evses.append(evse)
            self.work.create(evse, values)
            outcome = Outcome.CREATED
        if "connectors" in entry.model_fields_set:
            changed = self._apply_connectors(entry.connectors, evse, is_new=outcome is Outcome.CREATED)
            outcome = Outcome.UPDATED if changed and outcome is Outcome.UNCHANGED else outcome
        self.work.count("EVSEs", outcome)
        return outcome

    def _tariff_group_id(self, entry: EvseEntry) -> int | None:
        name = entry.tariff_group
        if name is not None and name not in self.groups and name not in self.source.tariff_group_names:
            self.work.mistakes.add(at(entry.path, "tariff_group"), f'there is no tariff group "{name}"')
        return None if name is None else self.groups.get(name)

    def _code_is_free(self, entry: EvseEntry, evse: Evse | None) -> bool:
        assert entry.id is not None
        other = self.holders.get(entry.id.upper())
        if other is None or other is evse:
            return True
        holder = f"EVSE {other.network_id} of charge point {other.charge_point.identifier}"
        self.work.mistakes.add(at(entry.path, "id"), f'"{entry.id}" is the EVSE ID of {holder}')
        return False

    def _apply_connectors(self, entries: list[ConnectorEntry], evse: Evse, *, is_new: bool) -> bool:
        """Make the EVSE's connectors these, in this order. True when something changed."""
        before = [_plug(connector) for connector in evse.connectors]
        for place, entry in enumerate(entries):
            format = entry.format or ConnectorFormat.SOCKET
            if place < len(evse.connectors):
                kept = evse.connectors[place]
                kept.type, kept.format, kept.status = entry.type, format, entry.status or kept.status
            else:
                status = entry.status or EvseStatus.ACTIVE
                evse.connectors.append(Connector(type=entry.type, format=format, status=status))
        for connector in evse.connectors[len(entries) :]:
            evse.connectors.remove(connector)
        after = [_plug(connector) for connector in evse.connectors]
        if before != after and not is_new:
            self.work.audit("change", evse, {"connectors": before}, {"connectors": after})
        return before != after


def _locations(session: Session, names: list[str]) -> dict[str, list[Location]]:
    """The stored locations of these English names, with their zones."""
    english = Location.name["en"].astext
    found: dict[str, list[Location]] = {}
    for location in session.scalars(select(Location).where(english.in_(names)).options(selectinload(Location.zones))):
        found.setdefault(location.name["en"], []).append(location)
    return found


def _stations(session: Session, identifiers: list[str]) -> dict[str, ChargePoint]:
    """The stored charge points of these identifiers (lower case), with EVSEs and connectors."""
    query = (
        select(ChargePoint)
        .where(func.lower(ChargePoint.identifier).in_(identifiers))
        .options(selectinload(ChargePoint.zone), selectinload(ChargePoint.evses).selectinload(Evse.connectors))
    )
    return {charge_point.identifier.lower(): charge_point for charge_point in session.scalars(query)}


def _holders(session: Session, codes: list[str]) -> dict[str, Evse]:
    """The stored EVSEs of these EVSE IDs (upper case)."""
    query = select(Evse).where(func.upper(Evse.code).in_(codes)).options(selectinload(Evse.charge_point))
    return {evse.code.upper(): evse for evse in session.scalars(query)}


def _plug(connector: Connector) -> str:
    return f"{connector.type.label}, {connector.format.label.lower()}, {connector.status.label.lower()}"


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """A null where something is required leaves what is stored as it is."""
    return {name: value for name, value in values.items() if value is not None}
