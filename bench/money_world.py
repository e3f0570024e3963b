"""Where the simulation of money happens: stations with all five tariff types, drivers who pay in every way."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Evse, EvseType, Location
from app.billing import auto_top_up, ledger, vouchers
from app.billing.models import TopUpPackage
from app.billing.payments import methods
from app.billing.payments.test_processor import card_of
from app.charging.station import EvseRef, Station
from app.core import settings
from app.crm.models import RfidTag, User
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffPowerLevel, TariffType

STRATEGIES = ("after_session", "preauthorize", "balance_or_payment_method", "none")

#: which cards drivers have, and how many of a hundred drivers; None: no card, the balance pays
CARDS: tuple[tuple[str | None, int], ...] = (
    (None, 34),
    ("approve", 30),
    ("timeout", 8),
    ("insufficient", 6),
    ("decline", 6),
    ("authenticate", 4),
    ("refuse-capture", 5),
    ("refuse-refund", 5),
    ("unreachable", 2),
)

SETTINGS: dict[str, Any] = {
    "system.currency": "EUR",
    "system.timezone": "Europe/Sofia",
    "payment.processor": "test",
    "billing.auto_top_up_enabled": True,
    "billing.auto_top_up_below": Decimal(5),
    "billing.preauthorize_amount": Decimal(10),
    "receipt.send_by_email": False,
}


@dataclass(frozen=True)
class Driver:
    """Somebody who charges."""

    user_id: int
    tag: str
    methods: tuple[int, ...]


@dataclass(frozen=True)
class World:
    """What the simulation plays with."""

    stations: list[Station]
    drivers: list[Driver]
    package_id: int


def make(session: Session, chance: random.Random, *, drivers: int, now: datetime) -> World:
    """Settings, sites, tariffs and drivers, flushed."""
    for key, value in SETTINGS.items():
        settings.change_setting(session, key=key, value=value, actor=None)
    package = TopUpPackage(price=Decimal(50), bonus=Decimal(2), currency="EUR", position=1)
    session.add(package)
    session.flush()
    groups = [_group(session, terms) for terms in TARIFFS]
    location = Location(
        name={"en": "Modera Restaurant parking"},
        latitude=Decimal("42.6977"),
        longitude=Decimal("23.3219"),
        country="BG",
        timezone="Europe/Sofia",
    )
    zone = ChargingZone(location=location, name="Modera Zone")
    session.add(zone)
    session.flush()
    stations = [_station(session, zone, number, groups[number % len(groups)]) for number in range(40)]
    people = [_driver(session, chance, number, package, now) for number in range(drivers)]
    vouchers.create_vouchers(
        session, quantity=200, amount=Decimal(10), redeem_before=None, description="Spring", actor=None, now=now
    )
    return World(stations, people, package.id)


#: the five tariff types with their terms
TARIFFS: tuple[dict[str, Any], ...] = (
    {"type": TariffType.FREE},
    {"type": TariffType.FLAT, "price_per_session": Decimal("3.99")},
    {
        "type": TariffType.DURATION_ENERGY,
        "price_per_minute": Decimal("0.02"),
        "price_per_kwh": Decimal("0.40"),
        "connection_fee": Decimal("0.50"),
    },
    {
        "type": TariffType.DURATION_ENERGY_TOD,
        "price_per_minute": Decimal("0.03"),
        "price_per_kwh": Decimal("0.4567"),
        "night_price_per_minute": Decimal("0.011"),
        "night_price_per_kwh": Decimal("0.2345"),
        "day_starts": time(7),
        "night_starts": time(22),
    },
    {"type": TariffType.POWER_LEVELS, "connection_fee": Decimal("0.35")},
)
_LEVELS = ((7_400, "0.05"), (22_000, "0.15"), (50_000, "0.30"))


def _group(session: Session, terms: dict[str, Any]) -> TariffGroup:
    title = terms["type"].label
    base = Tariff(name=title, is_base=True, **terms)
    if terms["type"] is TariffType.POWER_LEVELS:
        base.levels = [TariffPowerLevel(max_power_w=watts, price_per_minute=Decimal(price)) for watts, price in _LEVELS]
    group = TariffGroup(name=title)
    session.add_all([base, group])
    session.flush()
    session.add(TariffGroupTariff(tariff_group_id=group.id, tariff_id=base.id, position=0, is_base=True))
    session.flush()
    return group


def _station(session: Session, zone: ChargingZone, number: int, group: TariffGroup) -> Station:
    row = ChargePoint(zone_id=zone.id, partner_id=1, name=f"Station {number}", identifier=f"MONEY-{number:03d}")
    row.evses.append(
        Evse(
            partner_id=1,
            network_id=1,
            code=f"M{number:03d}",
            type=EvseType.DC,
            max_power_w=150_000,
            tariff_group_id=group.id,
        )
    )
    session.add(row)
    session.flush()
    evse = row.evses[0]
    return Station(
        id=row.id,
        partner_id=1,
        identifier=row.identifier,
        protocol=row.protocol,
        managed=True,
        disabled=False,
        plug_and_charge=False,
        password_hash=None,
        evses={1: EvseRef(evse.id, 1, evse.max_power_w)},
    )


def _driver(session: Session, chance: random.Random, number: int, package: TopUpPackage, now: datetime) -> Driver:
    aliases, weights = zip(*CARDS, strict=True)
    (alias,) = chance.choices(aliases, weights)
    tag = f"0A{number:06X}"
    user = User(email=f"driver{number}@sim.example", first_name="Driver", last_name=str(number))
    user.rfid_tags.append(RfidTag(tag_id=tag))
    session.add(user)
    session.flush()
    cards = []
    if alias is not None:
        cards.append(methods.add_method(session, user=user, processor="test", card=card_of(alias), now=now))
        if chance.random() < 0.4:  # a second card, that works: for retries
            cards.append(methods.add_method(session, user=user, processor="test", card=card_of("approve"), now=now))
    if chance.random() < 0.6:
        ledger.add_balance(
            session,
            user=user,
            amount=Decimal(chance.choice((5, 40, 300))),
            currency="EUR",
            reason="At the beginning",
            actor=None,
            now=now,
        )
    if cards and chance.random() < 0.3:
        auto_top_up.enable(session, user=user, package=package, method=cards[0], reason="Ordered", actor=None, now=now)
    return Driver(user.id, tag, tuple(card.id for card in cards))
