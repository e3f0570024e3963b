"""From a stored tariff to a snapshot, to words, and to what is wrong with it."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.models import CurrencyRow
from app.tariffs import queries
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    InvalidTariffSnapshot,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    TimeOfDayTariff,
    snapshot_from_json,
    snapshot_to_json,
)
from app.tariffs.snapshots import charged_terms, currency_of, price_in_words, snapshot_of
from app.tariffs.validation import validate_tariff, values_of

EUR = CurrencyRow(code="EUR", name="Euro", symbol="€", exponent=2)
BGN = CurrencyRow(code="BGN", name="Bulgarian lev", symbol="лв.", exponent=2)
TWD = CurrencyRow(code="TWD", name="New Taiwan dollar", symbol="NT$", exponent=0)

NIGHT: dict[str, Any] = {
    "type": "duration_energy_tod",
    "day_starts": time(7),
    "night_starts": time(23),
    "price_per_minute": Decimal("0.02"),
    "price_per_kwh": Decimal("0.45"),
    "night_price_per_minute": Decimal("0.00"),
    "night_price_per_kwh": Decimal("0.25"),
}
LEVELS = [(7400, "0.10"), (11000, "0.12"), (22000, "0.15")]


def _tariff(**fields: Any) -> Tariff:
    levels = [
        TariffPowerLevel(max_power_w=power_w, price_per_minute=Decimal(price))
        for power_w, price in fields.pop("levels", [])
    ]
    return Tariff(name="T", **{**fields, "type": TariffType(fields.get("type", "free"))}, levels=levels)


def _stored(session: Session, **fields: Any) -> Tariff:
    tariff = _tariff(**fields)
    session.add(tariff)
    session.flush()
    session.expire_all()
    return queries.get_tariff(session, tariff.id)


@pytest.mark.parametrize(
    ("fields", "expected", "prices"),
    [
        ({"type": "free", "price_per_kwh": Decimal(9)}, FreeTariff, {}),
        (
            {"type": "flat", "price_per_session": Decimal("10")},
            FlatTariff,
            {"price_per_session": Decimal("10")},
        ),
        (
            {"type": "duration_energy", "price_per_minute": Decimal("0.02"), "connection_fee": Decimal("0.5")},
            DurationEnergyTariff,
            {"price_per_minute": Decimal("0.02"), "price_per_kwh": None, "connection_fee": Decimal("0.5")},
        ),
        (
            NIGHT,
            TimeOfDayTariff,
            {
                "day_starts": time(7),
                "night_starts": time(23),
                "day": PeriodPrices(price_per_minute=Decimal("0.02"), price_per_kwh=Decimal("0.45")),
                "night": PeriodPrices(price_per_minute=Decimal(0), price_per_kwh=Decimal("0.25")),
            },
        ),
        (
            {"type": "power_levels", "levels": LEVELS[::-1]},
            PowerLevelsTariff,
            {"levels": tuple(PowerLevel(power_w, Decimal(price)) for power_w, price in LEVELS)},
        ),
    ],
)
def test_a_stored_tariff_of_each_type_becomes_its_snapshot(
    session: Session, fields: dict[str, Any], expected: type, prices: dict[str, Any]
) -> None:
    tariff = _stored(session, **fields, idle_fee_per_minute=Decimal("0.1"), idle_grace_minutes=10)
    euro = session.scalars(select(CurrencyRow).where(CurrencyRow.code == "EUR")).one()
    snapshot = snapshot_of(tariff, currency=euro, vat_percent=Decimal("20.000"), timezone="Europe/Sofia")
    assert snapshot == expected(
        tariff_id=tariff.id,
        version=1,
        name="T",
        currency=currency_of(EUR),
        vat_percent=Decimal(20),
        timezone="Europe/Sofia",
        idle_fee_per_minute=Decimal("0.1"),
        idle_grace_minutes=10,
        **prices,
    )
    assert snapshot_from_json(snapshot_to_json(snapshot)) == snapshot


def test_a_snapshot_is_written_without_the_padding_of_the_database(session: Session) -> None:
    tariff = _stored(session, type="duration_energy", price_per_kwh=Decimal("0.40"), connection_fee=Decimal(100))
    snapshot = snapshot_of(tariff, currency=EUR, vat_percent=Decimal("20.000"), timezone="UTC")
    written = snapshot_to_json(snapshot)
    assert written["prices"] == {"price_per_minute": None, "price_per_kwh": "0.4", "connection_fee": "100"}
    assert written["vat_percent"] == "20"


def test_a_tariff_that_is_not_saved_can_be_tried(session: Session) -> None:
    snapshot = snapshot_of(_tariff(), currency=EUR, vat_percent=Decimal(20), timezone="UTC")
    assert (snapshot.tariff_id, snapshot.version) == (None, 1)


def test_a_time_of_day_tariff_without_times_is_no_tariff() -> None:
    with pytest.raises(InvalidTariffSnapshot, match="day_starts"):
        snapshot_of(_tariff(type="duration_energy_tod"), currency=EUR, vat_percent=Decimal(20), timezone="UTC")


def test_only_what_is_charged_makes_another_revision() -> None:
    tariff = _tariff(type="power_levels", levels=LEVELS)
    before = charged_terms(tariff)
    tariff.name, tariff.max_minutes = "Other", 60
    assert charged_terms(tariff) == before
    tariff.levels[0].price_per_minute = Decimal("0.11")
    assert charged_terms(tariff) != before


@pytest.mark.parametrize(
    ("fields", "currency", "words"),
    [
        ({}, EUR, "Free"),
        ({"type": "duration_energy"}, EUR, "Free"),
        ({"type": "flat", "price_per_session": Decimal("5")}, EUR, "€5.00/session"),
        ({"type": "flat", "price_per_session": Decimal("150")}, TWD, "NT$150/session"),
        (
            {"type": "duration_energy", "price_per_minute": Decimal("0.2"), "price_per_kwh": Decimal("0.200000")},
            EUR,
            "€0.20/min, €0.20/kWh",
        ),
        (
            {"type": "duration_energy", "price_per_kwh": Decimal("0.385"), "connection_fee": Decimal("0.5")},
            EUR,
            "€0.50 connection fee, €0.385/kWh",
        ),
        ({"type": "duration_energy", "price_per_kwh": Decimal("0.4")}, BGN, "0.40 лв./kWh"),
        (NIGHT, EUR, "€0.02/min + €0.45/kWh by day, €0.25/kWh by night"),
        ({**NIGHT, "night_price_per_kwh": None}, EUR, "€0.02/min + €0.45/kWh by day, free by night"),
        ({"type": "power_levels", "levels": LEVELS}, EUR, "€0.10–0.15/min by power"),
        ({"type": "power_levels", "levels": LEVELS}, BGN, "0.10–0.15 лв./min by power"),
        ({"type": "power_levels", "levels": LEVELS[:1]}, EUR, "€0.10/min"),
        (
            {
                "type": "duration_energy",
                "price_per_kwh": Decimal("0.4"),
                "idle_fee_per_minute": Decimal("0.1"),
                "idle_grace_minutes": 10,
            },
            EUR,
            "€0.40/kWh, €0.10/min idle after 10 min",
        ),
    ],
)
def test_prices_in_words(fields: dict[str, Any], currency: CurrencyRow, words: str) -> None:
    assert price_in_words(_tariff(**fields), currency) == words


def _values(**fields: Any) -> dict[str, Any]:
    return {"name": "T", "type": "free", **fields}


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        (_values(), {}),
        (_values(type="flat", price_per_session=Decimal(0)), {}),
        (_values(**NIGHT), {}),
        (_values(name=" "), {"name": "a name is required"}),
        (_values(name="x" * 256), {"name": "at most 255 characters are expected"}),
        (
            _values(type="gratis"),
            {"type": "one of free, flat, duration_energy, duration_energy_tod, power_levels is expected"},
        ),
        (_values(type="flat"), {"price_per_session": "a flat rate needs a price per session"}),
        (
            _values(type="duration_energy_tod", day_starts=time(7)),
            {"night_starts": "the time at which the night tariff starts is required"},
        ),
        (
            _values(**{**NIGHT, "night_starts": time(7)}),
            {"night_starts": "day and night cannot start at the same time"},
        ),
        (_values(type="power_levels"), {"levels": "at least one power level is required"}),
        (
            _values(type="power_levels", levels=[{"max_power_w": 7400, "price_per_minute": None}]),
            {"levels": "power level 1: a price per minute is required"},
        ),
        (
            _values(
                type="power_levels",
                levels=[{"max_power_w": 7400, "price_per_minute": Decimal(1)}] * 2,
            ),
            {"levels": "power level 2: another level has the same maximum average power"},
        ),
        (
            _values(type="power_levels", levels=[{"max_power_w": 0, "price_per_minute": Decimal(1)}]),
            {"levels": "power level 1: a maximum average power above 0 kW is required"},
        ),
        (_values(price_per_kwh=Decimal("-1")), {"price_per_kwh": "a number that is not negative is expected"}),
        (_values(price_per_kwh=Decimal("0.0000001")), {"price_per_kwh": "at most 6 decimals are expected"}),
        (_values(connection_fee=Decimal("1e9")), {"connection_fee": "a number below 1000000 is expected"}),
        (_values(auto_stop_amount=Decimal("0.12345")), {"auto_stop_amount": "at most 4 decimals are expected"}),
        (_values(max_minutes=0), {"max_minutes": "minutes between 1 and 525600 are expected"}),
        (_values(max_energy_kwh=Decimal(0)), {"max_energy_kwh": "an energy above 0 kWh is expected"}),
        (_values(idle_grace_minutes=-1), {"idle_grace_minutes": "minutes between 0 and 32767 are expected"}),
        (
            _values(learn_more_url={"en": "javascript:alert(1)"}),
            {"learn_more_url": "an address that begins with https:// is expected"},
        ),
        (
            _values(is_base=True, for_ad_hoc_users=True),
            {"for_ad_hoc_users": "the base tariff applies to everybody and cannot be restricted"},
        ),
    ],
)
def test_what_is_wrong_with_a_tariff(values: dict[str, Any], errors: dict[str, str]) -> None:
    assert validate_tariff(values) == errors


def test_every_mistake_is_told_at_once() -> None:
    wrong = _values(name="", type="flat", connection_fee=Decimal(-1), max_minutes=-5)
    assert set(validate_tariff(wrong)) == {"name", "price_per_session", "connection_fee", "max_minutes"}


def test_a_model_is_validated_like_a_form(session: Session) -> None:
    tariff = _stored(session, type="power_levels", levels=LEVELS)
    assert validate_tariff(values_of(tariff)) == {}
    tariff.levels[0].price_per_minute = Decimal(-1)
    assert validate_tariff(values_of(tariff)) == {"levels": "power level 1: a number that is not negative is expected"}
    session.rollback()
