"""The calculator on a tariff's page."""

from __future__ import annotations

from datetime import time
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

PAGE = "/tariffs/tariffs/details/"
CALCULATOR = "/tariffs/tariffs/calculator/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.fixture
def tariff(session: Session) -> Tariff:
    """€1 to connect, 40 cents a kWh."""
    made = make.tariff(
        session, "Public", type=TariffType.DURATION_ENERGY, price_per_kwh=Decimal("0.40"), connection_fee=Decimal(1)
    )
    session.commit()
    return made


def text_of(client: Visitor, path: str, **arguments: str) -> str:
    return client.get(path, query_string=arguments).get_data(as_text=True)


def test_the_page_shows_an_example(olga: Visitor, tariff: Tariff) -> None:
    page = text_of(olga, PAGE, id=str(tariff.id))
    assert "Calculator" in page
    assert "€3.96" in page  # 1 + 7.4 × 0.40


def test_what_is_entered_is_priced(olga: Visitor, tariff: Tariff) -> None:
    part = text_of(
        olga, CALCULATOR, id=str(tariff.id), starts="2026-11-22 18:00", energy="10,5", minutes="", power="7", idle=""
    )
    assert "€5.20" in part
    assert "1 h 30 min" in part
    assert "<html" not in part


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"starts": "soon", "energy": "1", "minutes": "1"}, "A date and time such as"),
        ({"starts": "2026-11-22 18:00", "energy": "much", "minutes": "1"}, "A number is expected."),
        ({"starts": "2026-11-22 18:00", "energy": "NaN", "minutes": "1"}, "A number is expected."),
        ({"starts": "2026-11-22 18:00", "energy": "1"}, "Enter two of"),
        ({"starts": "9999-12-31 23:59", "energy": "1", "minutes": "60"}, "cannot be calculated"),
    ],
)
def test_mistakes_are_told(olga: Visitor, tariff: Tariff, arguments: dict[str, str], words: str) -> None:
    part = text_of(olga, CALCULATOR, id=str(tariff.id), **arguments)
    assert words in part
    assert "Total, VAT included" not in part


def test_an_unknown_tariff_is_not_there(olga: Visitor) -> None:
    assert olga.get(CALCULATOR, query_string={"id": "77"}).status_code == 404


@pytest.mark.parametrize(("power", "pays"), [("22", "€9.00"), ("11.01", "€9.00"), ("11", "€7.20"), ("7.4", "€6.00")])
def test_the_manuals_power_levels_are_on_screen(olga: Visitor, session: Session, power: str, pays: str) -> None:
    """Manual, "E. Power levels": 9.00 for an hour between 11 and 22 kW, 6.00 for an hour at 7.4 kW."""
    levels = (("7400", "0.10"), ("11000", "0.12"), ("22000", "0.15"))
    example = make.tariff(session, "Power", type=TariffType.POWER_LEVELS)
    for power_w, price in levels:
        example.levels.append(TariffPowerLevel(max_power_w=int(power_w), price_per_minute=Decimal(price)))
    session.commit()
    part = text_of(
        olga, CALCULATOR, id=str(example.id), starts="2026-11-22 18:00", energy="", minutes="60", power=power, idle=""
    )
    assert f"<strong>{pays}</strong>" in part


@pytest.mark.parametrize(
    ("starts", "pays"),
    [
        ("2026-11-22 12:00", "€6.00"),  # by day
        ("2026-11-22 23:30", "€1.50"),  # by night
        ("2026-11-22 22:30", "€3.75"),  # half and half
        ("2026-10-25 02:30", "€1.50"),  # an hour of the night that the clock shows twice
    ],
)
def test_day_and_night_are_on_screen(olga: Visitor, session: Session, starts: str, pays: str) -> None:
    """Manual, "D. Duration + Energy TOD"; day from 7, night from 23 o'clock."""
    night = make.tariff(
        session,
        "Night",
        type=TariffType.DURATION_ENERGY_TOD,
        price_per_kwh=Decimal("0.60"),
        night_price_per_kwh=Decimal("0.15"),
        day_starts=time(7),
        night_starts=time(23),
    )
    session.commit()
    part = text_of(olga, CALCULATOR, id=str(night.id), starts=starts, energy="10", minutes="60", power="", idle="")
    assert f"<strong>{pays}</strong>" in part
