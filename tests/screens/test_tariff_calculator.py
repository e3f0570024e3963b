"""The calculator on a tariff's page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.tariffs.models import Tariff, TariffType
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
