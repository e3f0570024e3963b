"""The demo's sites, stations, tariffs: made with the same verbs and models as an operator's own."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargingZone,
    Connector,
    ConnectorFormat,
    Evse,
    EvseType,
    Location,
    NetworkProtocol,
    NetworkType,
    SystemStatus,
)
from app.core.models import HOUSE_PARTNER_ID
from app.core.passwords import hash_station_password
from app.crm.models import UserGroup
from app.demo.catalogue import PARTNERS, PLACES, TARIFF_GROUPS, TARIFFS, ZONES, Place, specials
from app.partners.models import Partner
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffGroup, TariffPowerLevel, TariffType

_STATUSES = {"disabled": SystemStatus.DISABLED, "out_of_order": SystemStatus.OUT_OF_ORDER}
_NETWORKS = (NetworkType.MOBILE_4G, NetworkType.ETHERNET, NetworkType.MOBILE_4G, NetworkType.WIFI)


@dataclass(frozen=True)
class Site:
    """A place with its stored stations and their make on the wire."""

    place: Place
    location: Location
    stations: tuple[ChargePoint, ...]


def station_identifier(place: Place, number: int) -> str:
    """The Charge Point ID of a place's station, counted from 1: SOF-NDK-01."""
    return f"{place.code}-{number:02d}"


def station_password(identifier: str, secret_key: str) -> str:
    """A demo station's network password; the simulator derives the same, so that none is stored."""
    return hashlib.sha256(f"demo station {identifier}\0{secret_key}".encode()).hexdigest()[:24]


def make_tariffs(session: Session, user_groups: Mapping[str, UserGroup]) -> dict[str, TariffGroup]:
    """The tariff groups with their base tariffs, and the tariffs for some drivers below them."""
    made = {}
    for name, columns in TARIFF_GROUPS.items():
        made[name] = groups.create_group(session, name=name, actor=None)
        _fill(groups.base_tariff(made[name]), columns)
    for name, (columns, user_group, attached_to) in TARIFFS.items():
        tariff = Tariff(name=name, user_groups=[user_groups[user_group]])
        _fill(tariff, columns)
        session.add(tariff)
        for group in attached_to:
            groups.attach_tariff(session, group=made[group], tariff=tariff, actor=None)
    session.flush()
    return made


def _fill(tariff: Tariff, columns: Mapping[str, Any]) -> None:
    for column, value in columns.items():
        if column == "type":
            tariff.type = TariffType(value)
        elif column == "levels":
            tariff.levels = [TariffPowerLevel(max_power_w=power_w, price_per_minute=price) for power_w, price in value]
        else:
            setattr(tariff, column, value)


def make_sites(
    session: Session, rng: Random, *, tariff_groups: Mapping[str, TariffGroup], secret_key: str, now: datetime
) -> list[Site]:
    """Every place with its zone and stations, every second of them of OCPP 2.0.1. Flushes."""
    partners = {name: Partner(name=name) for name in PARTNERS}
    session.add_all(partners.values())
    session.flush()
    sites = []
    code = 1100
    protocols = itertools.cycle((NetworkProtocol.OCPP16, NetworkProtocol.OCPP201))
    for place in PLACES:
        opened_at = now - timedelta(days=place.opened_days_ago)
        location = Location(
            name=dict(place.name),
            latitude=Decimal(place.latitude),
            longitude=Decimal(place.longitude),
            address=dict(place.address),
            city=place.city,
            postcode=place.postcode,
            region=place.city,
            country=place.country,
            timezone=ZONES[place.country],
            created_at=opened_at,
        )
        zone = ChargingZone(name=f"{place.name['en']} zone", location=location, created_at=opened_at)
        partner_id = partners[place.partner].id if place.partner else HOUSE_PARTNER_ID
        stations = []
        for number, planned in enumerate(place.stations, start=1):
            station = _station(place, number, planned, partner_id, rng, secret_key, now)
            station.zone = zone
            station.protocol = next(protocols)
            for evse in station.evses:
                evse.code = str(code := code + 1)
                evse.tariff_group_id = tariff_groups[place.tariff_groups[evse.type.value]].id
            stations.append(station)
        session.add_all([location, zone, *stations])
        sites.append(Site(place, location, tuple(stations)))
    session.flush()
    return sites


def _station(
    place: Place, number: int, planned: str, partner_id: int, rng: Random, secret_key: str, now: datetime
) -> ChargePoint:
    model, special = specials(planned)
    identifier = station_identifier(place, number)
    password = station_password(identifier, secret_key).encode()
    opened_at = now - timedelta(days=place.opened_days_ago)
    built: date = (now - timedelta(days=rng.randint(430, 900))).date()
    return ChargePoint(
        identifier=identifier,
        name=f"{place.name['en']} {number}",
        partner_id=partner_id,
        manufacture_date=built,
        integration_date=opened_at.date(),
        network_type=rng.choice(_NETWORKS),
        status=_STATUSES.get(special, SystemStatus.ACTIVE),
        password_hash=hash_station_password(password, secret_key) if place.password else None,
        created_at=opened_at,
        evses=[
            Evse(
                network_id=network_id,
                type=EvseType(plan.kind),
                max_power_w=plan.max_power_w,
                connectors=[
                    Connector(type=plug, format=ConnectorFormat.CABLE if plan.cable else ConnectorFormat.SOCKET)
                    for plug in plan.plugs
                ],
            )
            for network_id, plan in enumerate(model.evses, start=1)
        ],
    )
