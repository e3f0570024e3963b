"""How values look on screen and in exports."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from admin_views import formats
from admin_views.widgets.cells import cell, colour_of, pill
from admin_views.widgets.fields import parse_duration
from app.core.types import LabelledEnum


class Labelled(LabelledEnum):
    OUT = "out_of_order", "Out of order"


class Bare(enum.Enum):
    SOFT_RESET = 1
    OCPP_ERROR = "ocpp_error"
    CCS2 = "CCS2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (750, "12 min 30 s"),
        (7500, "2 h 05 min"),
        (90000, "1 d 01 h"),
        (-65, "−1 min 05 s"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert formats.duration(seconds) == text
    assert formats.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("2 h 05 min", 125), ("1:30", 90), ("45 min", 45), ("90", 90), ("1 d", 1440), ("2h5m", 125), ("0:00:30", 0.5)],
)
def test_durations_are_read_as_they_are_written(text: str, minutes: float) -> None:
    assert parse_duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["soon", "1:75", "5 parsecs", "h", "-5"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="Write it like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (formats.energy(Decimal("12480")), "12.48 kWh"),
        (formats.energy(5), "0.01 kWh"),
        (formats.energy(2_500_000_000), "2,500.0 MWh"),
        (formats.power(22000), "22 kW"),
        (formats.power(7400), "7.4 kW"),
        (formats.current(Decimal("16.0")), "16 A"),
        (formats.money(Decimal("5.32"), "EUR"), "€5.32"),
        (formats.money(Decimal("-1234.5"), "EUR"), "-€1,234.50"),
        (formats.money(Decimal("532"), "JPY"), "¥532"),
        (formats.money(Decimal("5.325"), "BHD"), "BHD\u00a05.325"),
        (formats.rate(Decimal("0.3875"), "EUR", "kWh"), "€0.3875 / kWh"),
        (formats.rate(Decimal("0.4000"), "EUR", "min"), "€0.40 / min"),
        (formats.percent(Decimal("0.1251")), "12.5%"),
        (formats.percent(Decimal("0.02"), sign=True), "+2.0%"),
        (formats.vat(Decimal("20.000")), "20%"),
        (formats.vat(Decimal("5.50")), "5.5%"),
        (formats.number(1234567), "1,234,567"),
        (formats.number(Decimal("2.345"), 2), "2.35"),
        (formats.words("evse_network_id"), "EVSE Network ID"),
        (formats.words("maxPowerKwh"), "Max Power kWh"),
        (formats.label(Labelled.OUT), "Out of order"),
        (formats.label(Bare.SOFT_RESET), "Soft reset"),
        (formats.label(Bare.OCPP_ERROR), "OCPP error"),
        (formats.label(Bare.CCS2), "CCS2"),
        (formats.translated({"bg": "Мол"}), "Мол"),
        (formats.translated({"en": "Mall", "bg": "Мол"}, "bg"), "Мол"),
    ],
)
def test_values_on_screen(shown: Any, text: str) -> None:
    assert shown == text


def test_an_amount_without_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="currency"):
        formats.money(Decimal(1), "")


@pytest.mark.parametrize("nothing", [None, "", {}, []])
def test_nothing_is_a_dash(nothing: Any) -> None:
    assert "—" in cell(nothing)
    assert "None" not in cell(nothing)


def test_cells_are_escaped() -> None:
    assert "<b>" not in str(pill("<b>"))
    assert colour_of(Labelled.OUT) == "orange"
    assert 'status-orange"' in str(pill(Labelled.OUT))


def test_times_are_the_admins_with_the_zone_on_hover(screens: Flask) -> None:
    moment = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    with screens.test_request_context():  # nobody signed in: the system's zone, Sofia
        shown = str(formats.when(moment))
        assert ">2026-10-25 03:30</time>" in shown
        assert "EEST (UTC+03:00, Europe/Sofia)" in shown
        assert 'datetime="2026-10-25T00:30:00Z"' in shown
        later = str(formats.when(moment + timedelta(hours=1)))
        assert ">2026-10-25 03:30</time>" in later  # the same wall clock an hour later
        assert "EET (UTC+02:00" in later
        assert formats.day(datetime(2026, 1, 1, 22, 30, tzinfo=UTC)) == "2026-01-02"


def test_days_of_23_and_25_hours(screens: Flask) -> None:
    sofia = formats.zone("Europe/Sofia")
    short = formats.day_start(date(2026, 3, 30), sofia) - formats.day_start(date(2026, 3, 29), sofia)
    long = formats.day_start(date(2026, 10, 26), sofia) - formats.day_start(date(2026, 10, 25), sofia)
    assert (short, long) == (timedelta(hours=23), timedelta(hours=25))


def test_exports_are_plain(screens: Flask) -> None:
    with screens.app_context():
        values = [
            None,
            True,
            Labelled.OUT,
            Decimal("1.50"),
            3,
            timedelta(minutes=2),
            {"b": 1},
            ["x", "=y"],
            date(2026, 1, 2),
        ]
        assert [formats.export_value(value) for value in values] == [
            "", "true", "out_of_order", "1.50", 3, 120, '{"b": 1}', "x, '=y", "2026-01-02"
        ]  # fmt: skip
        assert formats.export_value(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T03:00:00+03:00"


def test_a_zone_that_does_not_exist_is_utc() -> None:
    assert formats.zone("Mars/Olympus").key == "UTC"
    assert formats.zone("../../etc/passwd").key == "UTC"
