"""The demo's world as data: real places and models of charge points, invented operator, tariffs by all five types.

Coordinates are of the places named. `make` is the habit a simulated station has on the wire, by its key in the
simulator, which takes its like for a station of OCPP 2.0.1; vendor and model are what it says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import Any

from app.assets.models import ConnectorType


@dataclass(frozen=True)
class EvsePlan:
    """An EVSE of a model: kind of current, power in W, plugs."""

    kind: str
    max_power_w: int
    plugs: tuple[ConnectorType, ...]
    cable: bool


@dataclass(frozen=True)
class Model:
    """A model of charge point on the market."""

    make: str
    vendor: str
    name: str
    firmware: str
    evses: tuple[EvsePlan, ...]


def _sockets(count: int, max_power_w: int) -> tuple[EvsePlan, ...]:
    return (EvsePlan("AC", max_power_w, (ConnectorType.TYPE_2,), cable=False),) * count


def _cable(max_power_w: int) -> tuple[EvsePlan, ...]:
    return (EvsePlan("AC", max_power_w, (ConnectorType.TYPE_2,), cable=True),)


def _dc(max_power_w: int, *plugs: tuple[ConnectorType, ...]) -> tuple[EvsePlan, ...]:
    return tuple(EvsePlan("DC", max_power_w, each, cable=True) for each in plugs)


_CCS, _CHADEMO = ConnectorType.CCS2, ConnectorType.CHADEMO

MODELS: Mapping[str, Model] = {
    "eve": Model("oriel-duo", "Alfen BV", "Eve Double Pro-line", "6.6.0-4239", _sockets(2, 22_000)),
    "emh3": Model("brenta-strada", "ABL", "eMH3 Twin", "1.8p4", _sockets(2, 22_000)),
    "evlink": Model("oriel-duo", "Schneider Electric", "EVlink Pro AC", "2.5.0.13", _sockets(1, 22_000)),
    "p30": Model("tessin-wall", "KEBA", "KeContact P30 x-series", "1.18.0", _cable(22_000)),
    "zaptec": Model("hartwell-home", "Zaptec", "Pro", "4.2.1", _sockets(1, 22_000)),
    "pulsar": Model("hartwell-home", "Wallbox Chargers", "Pulsar Plus", "6.7.9", _cable(11_000)),
    "amtron": Model("tessin-wall", "Mennekes", "AMTRON Professional", "5.22.3", _cable(11_000)),
    "solo": Model("lumo-post", "Pod Point", "Solo 3", "3.4.22", _sockets(1, 7_400)),
    "zappi": Model("lumo-post", "myenergi", "zappi", "5.450", _cable(7_400)),
    "terra": Model("norrland-dc", "ABB", "Terra 54 CJ", "1.7.4.12", _dc(50_000, (_CCS, _CHADEMO))),
    "veefil": Model("norrland-dc", "Tritium", "RT50", "2.9.1", _dc(50_000, (_CCS, _CHADEMO))),
    "hyc": Model("kestrel-hpc", "Alpitronic", "HYC150", "2.4.3", _dc(150_000, (_CCS,), (_CCS, _CHADEMO))),
}


@dataclass(frozen=True)
class Place:
    """A location. ``use`` says how people charge there (see ``traffic``); the first letters name its stations.

    ``stations`` are models; a word behind a colon makes one special: disabled, out_of_order. It has a past since it
    opened.
    """

    code: str
    country: str
    name: Mapping[str, str]
    latitude: str
    longitude: str
    address: Mapping[str, str]
    city: str
    postcode: str
    use: str
    tariff_groups: Mapping[str, str]
    stations: tuple[str, ...]
    partner: str | None = None
    password: bool = False
    opened_days_ago: int = 420


_STREET = {"AC": "Street AC by power", "DC": "DC fast"}
_PUBLIC = {"AC": "AC public", "DC": "DC fast"}
_WORK = {"AC": "Workplace", "DC": "DC fast"}
_GUESTS = {"AC": "Hotel guests", "DC": "DC fast"}

PLACES: tuple[Place, ...] = (
    Place(
        "SOF-NDK", "BG",
        {"en": "National Palace of Culture", "bg": "Национален дворец на културата", "el": "Εθνικό Μέγαρο Πολιτισμού"},
        "42.684700", "23.318900",
        {"en": "1 Bulgaria Square", "bg": "пл. България 1"}, "Sofia", "1463", "city", _PUBLIC,
        ("eve", "eve", "terra"),
    ),
    Place(
        "SOF-BPS", "BG", {"en": "Business Park Sofia", "bg": "Бизнес парк София"}, "42.626100", "23.377300",
        {"en": "Business Park Sofia, Mladost 4", "bg": "Бизнес парк София, Младост 4"}, "Sofia", "1766", "work",
        _WORK, ("emh3", "emh3", "amtron", "pulsar"), partner="Vitosha Offices",
    ),
    Place(
        "SOF-VIT", "BG", {"en": "Vitosha Boulevard", "bg": "Булевард Витоша"}, "42.691500", "23.319500",
        {"en": "60 Vitosha Boulevard", "bg": "бул. Витоша 60"}, "Sofia", "1000", "street", _STREET,
        ("evlink", "zaptec", "eve"),
    ),
    Place(
        "PLO-KAP", "BG", {"en": "Kapana quarter", "bg": "Квартал Капана", "el": "Συνοικία Καπάνα"},
        "42.149900", "24.748600",
        {"en": "Hristo Dyukmedzhiev Street", "bg": "ул. Христо Дюкмеджиев"}, "Plovdiv", "4000", "street", _STREET,
        ("eve",),
    ),
    Place(
        "TRA-A1", "BG", {"en": "Trakia motorway rest area", "bg": "Площадка на магистрала Тракия"},
        "42.169000", "25.217000",
        {"en": "A1 motorway, near Chirpan", "bg": "АМ Тракия, край Чирпан"}, "Chirpan", "6200", "motorway", _PUBLIC,
        ("hyc", "hyc", "p30"), password=True,
    ),
    Place(
        "VAR-SEA", "BG", {"en": "Varna Sea Garden", "bg": "Морска градина Варна"}, "43.206000", "27.928000",
        {"en": "Primorski Boulevard", "bg": "бул. Приморски"}, "Varna", "9000", "city", _PUBLIC,
        ("eve", "veefil"),
    ),
    Place(
        "BUR-HOT", "BG", {"en": "Burgas waterfront hotel", "bg": "Хотел на брега, Бургас"}, "42.494800", "27.482800",
        {"en": "Sea Garden, Burgas", "bg": "Морска градина, Бургас"}, "Burgas", "8000", "hotel", _GUESTS,
        ("pulsar", "amtron", "p30"),
    ),
    Place(
        "LON-KGX", "GB", {"en": "King's Cross"}, "51.532000", "-0.124000", {"en": "Pancras Road"}, "London", "N1C 4TB",
        "city", _PUBLIC, ("eve", "terra", "hyc"), password=True,
    ),
    Place(
        "LON-LMB", "GB", {"en": "Lambeth lamp posts"}, "51.497500", "-0.111700", {"en": "Kennington Road"}, "London",
        "SE1 7RW", "street", _STREET, ("solo", "solo", "zappi"),
    ),
    Place(
        "MAN-PIC", "GB", {"en": "Manchester Piccadilly"}, "53.477400", "-2.230900", {"en": "Store Street"},
        "Manchester", "M1 2WD", "city", _PUBLIC, ("eve", "evlink:out_of_order"),
    ),
    Place(
        "BIR-M6", "GB", {"en": "M6 services, Birmingham"}, "52.510600", "-1.865900", {"en": "M6 motorway, junction 6"},
        "Birmingham", "B6 7LA", "motorway", _PUBLIC, ("hyc", "veefil"), password=True,
    ),
    Place(
        "EDI-WAV", "GB", {"en": "Edinburgh Waverley"}, "55.952000", "-3.190000", {"en": "New Street"}, "Edinburgh",
        "EH8 8DW", "retail", _PUBLIC, ("emh3", "solo"), opened_days_ago=26,
    ),
    Place(
        "ATH-SYN", "GR", {"en": "Syntagma Square", "el": "Πλατεία Συντάγματος", "bg": "Площад Синтагма"},
        "37.975500", "23.734800", {"en": "Syntagma Square", "el": "Πλατεία Συντάγματος"}, "Athens", "105 63", "city",
        _PUBLIC, ("eve", "terra", "evlink"),
    ),
    Place(
        "PIR-MAR", "GR", {"en": "Marina Zeas", "el": "Μαρίνα Ζέας"}, "37.936300", "23.648400",
        {"en": "Marina Zeas, Piraeus", "el": "Μαρίνα Ζέας, Πειραιάς"}, "Piraeus", "185 36", "hotel", _GUESTS,
        ("p30", "p30:disabled"), partner="Aegean Marinas",
    ),
    Place(
        "THE-ARI", "GR", {"en": "Aristotelous Square", "el": "Πλατεία Αριστοτέλους"}, "40.632500", "22.940800",
        {"en": "Aristotelous Square", "el": "Πλατεία Αριστοτέλους"}, "Thessaloniki", "546 24", "street", _STREET,
        ("emh3", "zaptec"),
    ),
    Place(
        "HER-AIR", "GR", {"en": "Heraklion airport", "el": "Αεροδρόμιο Ηρακλείου"}, "35.339700", "25.180300",
        {"en": "Nikos Kazantzakis Airport", "el": "Αεροδρόμιο Νίκος Καζαντζάκης"}, "Heraklion", "716 01", "retail",
        _PUBLIC, ("eve", "veefil"), password=True, opened_days_ago=12,
    ),
)  # fmt: skip

ZONES: Mapping[str, str | None] = {"BG": None, "GB": "Europe/London", "GR": "Europe/Athens"}
PARTNERS = ("Vitosha Offices", "Aegean Marinas")
USER_GROUPS = ("Staff", "Residents", "Fleet drivers")

_D = Decimal

#: name → the base tariff's columns; between them all five types
TARIFF_GROUPS: Mapping[str, Mapping[str, Any]] = {
    "AC public": {
        "type": "duration_energy",
        "price_per_kwh": _D("0.42"),
        "price_per_minute": _D("0.01"),
        "connection_fee": _D("0.35"),
    },
    "Street AC by power": {
        "type": "power_levels",
        "levels": ((7_400, _D("0.018")), (11_000, _D("0.03")), (22_000, _D("0.055"))),
    },
    "Workplace": {"type": "flat", "price_per_session": _D("4.50"), "max_minutes": 720},
    "DC fast": {
        "type": "duration_energy_tod",
        "day_starts": time(7),
        "night_starts": time(23),
        "price_per_kwh": _D("0.62"),
        "night_price_per_kwh": _D("0.48"),
        "idle_fee_per_minute": _D("0.20"),
        "idle_grace_minutes": 10,
    },
    "Hotel guests": {"type": "free", "max_energy_kwh": _D("60")},
}

#: further tariffs: name → columns, user group they are for, tariff groups they are attached to
TARIFFS: Mapping[str, tuple[Mapping[str, Any], str, tuple[str, ...]]] = {
    "Residents, day and night": (
        {
            "type": "duration_energy_tod",
            "day_starts": time(7),
            "night_starts": time(22),
            "price_per_kwh": _D("0.36"),
            "night_price_per_kwh": _D("0.24"),
        },
        "Residents",
        ("AC public", "Street AC by power"),
    ),
    "Fleet": (
        {"type": "duration_energy", "price_per_kwh": _D("0.385"), "idle_fee_per_minute": _D("0.05")},
        "Fleet drivers",
        ("AC public", "DC fast"),
    ),
    "Staff": ({"type": "free"}, "Staff", ("AC public", "Street AC by power", "Workplace", "DC fast")),
}


def specials(station: str) -> tuple[Model, str]:
    """A station of a place: its model, and what is special about it ("" mostly)."""
    model, _, special = station.partition(":")
    return MODELS[model], special
