"""The calculator of a tariff: which charges can be imagined, and that they cost what real ones do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.money import Currency
from app.tariffs.preview import Charge, Contradiction, imagine, preview, wall_clock
from app.tariffs.pricing import DurationEnergyTariff, PowerLevel, PowerLevelsTariff

START = datetime(2026, 11, 22, 17, tzinfo=UTC)
COMMON = {
    "tariff_id": 1, "version": 1, "name": "Public", "currency": Currency("EUR", 2, "€"), "vat_percent": D(20),
    "timezone": "Europe/Sofia",
}  # fmt: skip


def charge(energy=None, minutes=None, power=None, idle=0) -> Charge:
    def number(value):
        return None if value is None else D(str(value))

    return imagine(
        starts_at=START, energy_kwh=number(energy), charging_minutes=number(minutes), power_kw=number(power),
        idle_minutes=number(idle),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "energy_wh", "minutes"),
    [
        ({"energy": 7.4, "minutes": 40}, 7400, 40),
        ({"energy": 11, "power": 22}, 11000, 30),
        ({"minutes": 90, "power": "7.4"}, 11100, 90),
        ({"energy": 11, "minutes": 60, "power": 11}, 11000, 60),
        ({"energy": 0, "minutes": 0}, 0, 0),
    ],
)
def test_two_make_the_third(given_, energy_wh, minutes):
    imagined = charge(**given_)
    assert (imagined.energy_wh, imagined.charging) == (energy_wh, timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"energy": 7}, "two of"),
        ({}, "two of"),
        ({"energy": 7, "power": 0}, "Without power"),
        ({"energy": 7, "minutes": 60, "power": 22}, "do not fit"),
        ({"energy": -1, "minutes": 60}, "below 0"),
        ({"energy": 1, "minutes": 60, "idle": -1}, "below 0"),
        ({"energy": 1, "minutes": 44_641}, "31 days"),
        ({"energy": 1, "minutes": 10**9}, "31 days"),
        ({"energy": 10_001, "minutes": 60}, "10000 kWh"),
    ],
)
def test_what_makes_no_charge_is_refused(given_, words):
    with pytest.raises(Contradiction, match=words):
        charge(**given_)


def test_it_is_priced_as_the_manuals_example():
    levels = PowerLevelsTariff(
        **COMMON, levels=(PowerLevel(7400, D("0.10")), PowerLevel(11000, D("0.12")), PowerLevel(22000, D("0.15")))
    )
    assert preview(levels, charge(minutes=60, power=22)).total.gross.amount == D("9.00")
    assert preview(levels, charge(minutes=60, power="7.4")).total.gross.amount == D("6.00")


def test_parking_afterwards_costs_time_and_idle_fee_but_no_energy():
    tariff = DurationEnergyTariff(
        **COMMON, price_per_minute=D("0.01"), price_per_kwh=D("0.40"), idle_fee_per_minute=D("0.10"),
        idle_grace_minutes=10,
    )  # fmt: skip
    priced = preview(tariff, charge(energy=10, minutes=60, idle=30))
    assert [line.amount for line in priced.lines] == [D("0.90"), D("4.00"), D("2.00")]


@given(energy=st.decimals(0, 100, places=2), minutes=st.integers(1, 600), price=st.decimals(0, 2, places=3))
def test_the_energy_price_is_energy_times_price(energy, minutes, price):
    tariff = DurationEnergyTariff(**COMMON, price_per_kwh=price)
    gross = preview(tariff, charge(energy=energy, minutes=minutes)).total.gross.amount
    assert abs(gross - energy * price) <= D("0.005")


def test_wall_clocks_follow_their_zone():
    assert wall_clock("2026-07-01 18:00", "Europe/Sofia") == datetime(2026, 7, 1, 15, tzinfo=UTC)
    assert wall_clock("2026-10-25 03:30", "Europe/Sofia") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    with pytest.raises(ValueError):
        wall_clock("tomorrow", "Europe/Sofia")
