"""The demo's drivers: invented people with groups, cars and cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.crm.models import RfidTag, RfidTagStatus, User, UserGroup, UserStatus
from app.demo.catalogue import USER_GROUPS

if TYPE_CHECKING:
    from app.demo.cards import DemoCard

#: how many drivers each country has
COUNTS: Mapping[str, int] = {"BG": 58, "GB": 36, "GR": 26}

_FIRST: Mapping[str, tuple[str, ...]] = {
    "BG": ("Ivan", "Maria", "Georgi", "Elena", "Dimitar", "Desislava", "Nikolay", "Petya", "Stefan", "Radka",
           "Hristo", "Vesela"),
    "GB": ("Oliver", "Amelia", "Harry", "Isla", "George", "Freya", "Arthur", "Priya", "Rhys", "Niamh"),
    "GR": ("Giorgos", "Eleni", "Kostas", "Katerina", "Nikos", "Sofia", "Yannis", "Dimitra"),
}  # fmt: skip
_LAST: Mapping[str, tuple[str, ...]] = {
    "BG": ("Petrov", "Ivanova", "Dimitrov", "Georgieva", "Stoyanov", "Todorova", "Kolev", "Angelova", "Marinov"),
    "GB": ("Smith", "Jones", "Patel", "Taylor", "Campbell", "Evans", "Walker", "Okafor", "Murphy"),
    "GR": ("Papadopoulos", "Nikolaidi", "Georgiou", "Vlachos", "Makri", "Antoniou"),
}
_LOCALES = {"BG": "bg", "GB": "en", "GR": "el"}
#: none of these numbers can be called
_PHONES = {"BG": "+359 888 000 {:03d}", "GB": "+44 7700 900{:03d}", "GR": "+30 690 000 0{:03d}"}

#: make and model, battery in Wh, what the car takes at AC and at DC in W
_CARS = (
    ("Nissan", "Leaf", 40_000, 6_600, 46_000),
    ("Renault", "ZOE", 52_000, 22_000, 50_000),
    ("Volkswagen", "ID.3", 58_000, 11_000, 120_000),
    ("Hyundai", "Kona Electric", 64_000, 7_200, 77_000),
    ("Tesla", "Model Y", 75_000, 11_000, 170_000),
    ("Kia", "EV6", 77_000, 11_000, 150_000),
    ("Mitsubishi", "Outlander PHEV", 16_000, 3_700, 16_000),
)
_CITIES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "BG": (("Sofia", "1000", "Vitosha Blvd."), ("Plovdiv", "4000", "Glavnata"), ("Varna", "9000", "Primorski Blvd.")),
    "GB": (("London", "SE1 7PB", "Bridge St"), ("Leeds", "LS1 4DY", "Station Rd"), ("Bath", "BA1 1SX", "Quay St")),
    "GR": (("Athens", "105 57", "Ermou"), ("Thessaloniki", "546 24", "Tsimiski"), ("Patras", "262 21", "Korinthou")),
}  # fmt: skip
_PLATES = {"BG": "CB {:04d} XX", "GB": "SY{:02d} DEM", "GR": "IXX-{:04d}"}


@dataclass
class Driver:
    """A driver, what the car can do, and how often he comes."""

    user: User
    country: str
    groups: frozenset[str]
    tag_id: str
    weight: float
    battery_wh: int
    ac_w: int
    dc_w: int
    free_at: datetime
    id: int = 0
    card: DemoCard | None = None


@dataclass(frozen=True)
class People:
    """Drivers who charge, and cards that are turned away."""

    drivers: tuple[Driver, ...]
    refused_tags: tuple[tuple[RfidTag, str], ...]


def make_user_groups(session: Session) -> dict[str, UserGroup]:
    """The user groups tariffs are restricted to. Flushes."""
    made = {name: UserGroup(name=name) for name in USER_GROUPS}
    session.add_all(made.values())
    session.flush()
    return made


def make_people(session: Session, rng: Random, *, user_groups: Mapping[str, UserGroup], now: datetime) -> People:
    """Drivers with their cards; a few of them disabled, a few cards disabled or expired. Flushes."""
    drivers, refused = [], []
    number = 0
    for country, count in COUNTS.items():
        for _ in range(count):
            number += 1
            groups = _groups(number)
            user = _user(rng, country, number, now)
            user.groups = [user_groups[name] for name in groups]
            tag = _tag(rng, number, user, now)
            user.rfid_tags = [tag]
            session.add(user)
            if number % 29 == 0:
                user.status = UserStatus.DISABLED
                refused.append((tag, "user_disabled"))
                continue
            if number % 13 == 0:
                lost = _tag(rng, 500 + number, user, now)
                lost.status = RfidTagStatus.DISABLED
                user.rfid_tags.append(lost)
                refused.append((lost, "tag_disabled"))
            if number % 31 == 0:
                old = _tag(rng, 700 + number, user, now)
                old.expires_on = (now - timedelta(days=120)).date()
                user.rfid_tags.append(old)
                refused.append((old, "tag_expired"))
            make, model, battery_wh, ac_w, dc_w = rng.choice(_CARS)
            _fill_profile(user, country, number, f"{make}|{model}", now)
            drivers.append(
                Driver(
                    user=user,
                    country=country,
                    groups=frozenset(groups),
                    tag_id=tag.tag_id,
                    weight=rng.paretovariate(1.3) if "Fleet drivers" not in groups else 6.0,
                    battery_wh=battery_wh,
                    ac_w=ac_w,
                    dc_w=dc_w,
                    free_at=user.created_at,
                )
            )
    session.flush()
    for driver in drivers:
        driver.id = driver.user.id
    return People(tuple(drivers), tuple(refused))


def _groups(number: int) -> tuple[str, ...]:
    if number % 19 == 0:
        return ("Staff",)
    if number % 8 == 0:
        return ("Fleet drivers",)
    return ("Residents",) if number % 5 == 0 else ()


def _user(rng: Random, country: str, number: int, now: datetime) -> User:
    """Most have been with us for long; every seventh signed up within the last two months."""
    days = rng.randint(1, 60) if number % 7 == 0 else rng.randint(95, 400)
    first, last = rng.choice(_FIRST[country]), rng.choice(_LAST[country])
    return User(
        email=f"{first}.{last}.{number}@example.{rng.choice(('com', 'net', 'org'))}".lower(),
        first_name=first,
        last_name=last,
        phone=_PHONES[country].format(number),
        locale=_LOCALES[country],
        created_at=now - timedelta(days=days, seconds=rng.randint(0, 86_000)),
    )


def _fill_profile(user: User, country: str, number: int, car: str, now: datetime) -> None:
    """Most told their address and car; nine of ten have confirmed their e-mail address."""
    if number % 10:
        user.email_verified_at = min(now, user.created_at + timedelta(minutes=7 + number))
    if number % 6:
        city, post_code, street = _CITIES[country][number % 3]
        user.city, user.post_code, user.address = city, post_code, f"{street} {number}"
        user.country = country
    if number % 4:
        user.car_make, _, user.car_model = car.partition("|")
        user.licence_plate = _PLATES[country].format(number)
    if "Fleet drivers" in {group.name for group in user.groups}:
        user.company = "Green Mile Fleet"


def _tag(rng: Random, number: int, user: User, now: datetime) -> RfidTag:
    """A card with a seven-byte UID as MIFARE chips have it: 14 hexadecimal digits, the first byte the maker's."""
    return RfidTag(
        tag_id=f"04{rng.getrandbits(48):012X}",
        card_no=f"SYNC-{number:04d}",
        created_at=max(user.created_at, now - timedelta(days=rng.randint(90, 95))),
    )
