"""Locations, zones, charge points, EVSEs and connectors of the file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

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
    """Create or update the file's locations and all that stands on them."""
    codes = {
        evse.id.upper()
        for location in source.document.locations
        for zone in location.zones
        for station in zone.charge_points
        for evse in station.evses
        if evse.id is not None
    }
    sites = _Sites(work, source, codes)
    for location in source.document.locations:
        sites.apply_location(location)


class _Sites:
    def __init__(self, work: Work, source: Source, codes: set[str]) -> None:
        self.work = work
        self.session = work.session
        self.source = source
        #: EVSE IDs the file gives, which must not be drawn for another EVSE
        self.codes = codes

    def apply_location(self, entry: LocationEntry) -> None:
        """One location and its zones."""
        name = entry.name["en"]
        query = select(Location).where(Location.name["en"].astext == name)
        location, certain = self.work.find(at(entry.path, "name"), f"locations “{name}”", query)
        values = entry.given(*_LOCATION_FIELDS)
        if not certain:
            return
        for field in ("latitude", "longitude", "country"):
            if field in values and values[field] is None:
                self.work.mistakes.add(at(entry.path, field), "a value is required")
                return
        if location is not None:
            self.work.count("locations", self.work.change(location, values))
        elif self.work.require(entry.path, "location", values, ("latitude", "longitude", "country")):
            location = Location(**values)
            self.work.create(location, values)
            self.work.count("locations", Outcome.CREATED)
        for zone in entry.zones:
            self._apply_zone(zone, location)

    def _apply_zone(self, entry: ZoneEntry, location: Location | None) -> None:
        """A zone; without location (it could not be made) only what stands in it is checked."""
        zone = None
        values = {"name": entry.name, **_without_none(entry.given("status"))}
        if location is not None:
            query = select(ChargingZone).where(ChargingZone.location_id == location.id, ChargingZone.name == entry.name)
            path = at(entry.path, "name")
            zone, certain = self.work.find(path, f"zones “{entry.name}” in this location", query)
            if zone is not None:
                self.work.count("charging zones", self.work.change(zone, values))
            elif certain:
                zone = ChargingZone(location=location, **values)
                self.work.create(zone, {**values, "location": str(location)})
                self.work.count("charging zones", Outcome.CREATED)
        for charge_point in entry.charge_points:
            self._apply_charge_point(charge_point, zone)

    def _apply_charge_point(self, entry: ChargePointEntry, zone: ChargingZone | None) -> None:
        charge_point = self.session.scalars(
            select(ChargePoint)
            .where(func.lower(ChargePoint.identifier) == entry.id.lower())
            .options(selectinload(ChargePoint.evses).selectinload(Evse.connectors))
        ).one_or_none()
        values: dict[str, Any] = {
            "identifier": entry.id,
            **_without_none(entry.given("name", "protocol", "status", "plug_and_charge")),
        }
        if entry.access is not None:
            values["access_type"] = entry.access
        if "password" in entry.model_fields_set:
            values["password_hash"] = self._password_hash(charge_point, entry.password)
        if "owner" in entry.model_fields_set:
            values["partner_id"] = self._owner_id(entry)
        if zone is not None:
            values["zone_id"] = zone.id
        if charge_point is not None:
            outcome = self.work.change(charge_point, values)
            if values.get("partner_id") is not None and outcome is Outcome.UPDATED:
                self.session.expire(charge_point, ["evses"])  # the database took the EVSEs along
        elif zone is not None:
            charge_point = ChargePoint(**{"name": entry.id, **values})
            self.work.create(charge_point, {"name": entry.id, **values})
            outcome = Outcome.CREATED
        else:
            outcome = Outcome.UNCHANGED
        evses = [self._apply_evse(evse, charge_point) for evse in entry.evses]
        if charge_point is None:
            return
        self.work.count("charge points", outcome)
        if outcome is not Outcome.UNCHANGED or any(each is not Outcome.UNCHANGED for each in evses):
            events.announce(
                self.session,
                "charge_point.changed",
                partner_id=charge_point.partner_id,
                charge_point_id=charge_point.id,
            )

    def _password_hash(self, charge_point: ChargePoint | None, password: bytes | None) -> str | None:
        """The stored form; the present one where it is that password already, since each hash has a new salt."""
        if password is None:
            return None
        stored = charge_point.password_hash if charge_point is not None else None
        if stored is not None and verify_station_password(stored, [password], self.work.secret_key):
            return stored
        return hash_station_password(password, self.work.secret_key)

    def _owner_id(self, entry: ChargePointEntry) -> int:
        if entry.owner is None:
            return HOUSE_PARTNER_ID
        found = self.session.scalar(select(Partner.id).where(Partner.name == entry.owner))
        if found is None:
            self.work.mistakes.add(at(entry.path, "owner"), f'there is no partner "{entry.owner}"')
        return found or HOUSE_PARTNER_ID

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
            values.setdefault("code", draw_evse_code(self.session, taken=self.codes))
            evse = Evse(network_id=entry.network_id, **values)
            charge_point.evses.append(evse)
            self.work.create(evse, {"network_id": entry.network_id, **values})
            outcome = Outcome.CREATED
        if "connectors" in entry.model_fields_set:
            changed = self._apply_connectors(entry.connectors, evse)
            outcome = Outcome.UPDATED if changed and outcome is Outcome.UNCHANGED else outcome
        self.work.count("EVSEs", outcome)
        return outcome

    def _tariff_group_id(self, entry: EvseEntry) -> int | None:
        name = entry.tariff_group
        if name is None:
            return None
        found = self.session.scalar(select(TariffGroup.id).where(TariffGroup.name == name))
        if found is None and name not in self.source.tariff_group_names:
            self.work.mistakes.add(at(entry.path, "tariff_group"), f'there is no tariff group "{name}"')
        return found

    def _code_is_free(self, entry: EvseEntry, evse: Evse | None) -> bool:
        assert entry.id is not None
        other = self.session.scalars(select(Evse).where(func.upper(Evse.code) == entry.id.upper())).one_or_none()
        if other is None or other is evse:
            return True
        holder = f"EVSE {other.network_id} of charge point {other.charge_point.identifier}"
        self.work.mistakes.add(at(entry.path, "id"), f'"{entry.id}" is the EVSE ID of {holder}')
        return False

    def _apply_connectors(self, entries: list[ConnectorEntry], evse: Evse) -> bool:
        """Make the EVSE's connectors these, in this order. True when something changed."""
        before = [_plug(connector) for connector in evse.connectors]
        for place, entry in enumerate(entries):
            values: dict[str, Any] = {"type": entry.type, "format": entry.format or ConnectorFormat.SOCKET}
            if place < len(evse.connectors):
                kept = evse.connectors[place]
                kept.type, kept.format = values["type"], values["format"]
                kept.status = entry.status or kept.status
            else:
                evse.connectors.append(Connector(**values, status=entry.status or EvseStatus.ACTIVE))
        for connector in evse.connectors[len(entries) :]:
            evse.connectors.remove(connector)
        self.session.flush()
        after = [_plug(connector) for connector in evse.connectors]
        if before != after:
            self.work.audit("change", evse, {"connectors": before}, {"connectors": after})
        return before != after


def _plug(connector: Connector) -> str:
    return f"{connector.type.label}, {connector.format.label.lower()}, {connector.status.label.lower()}"


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """A null where something is required leaves what is stored as it is."""
    return {name: value for name, value in values.items() if value is not None}
