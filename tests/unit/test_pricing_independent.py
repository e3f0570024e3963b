"""The product's prices and a second calculator's, to the cent: all types, clock-change nights, several zones."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.money import Currency
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    Reading,
    TariffSnapshot,
    TimeOfDayTariff,
    price_session,
    snapshot_to_json,
)
from tests.unit.independent_prices import bill

EUR, JPY, KWD = Currency("EUR", 2, "€"), Currency("JPY", 0, "¥"), Currency("KWD", 3, "KD")
#: zones, and nights on which their clocks change: by an hour, by half an hour, over midnight, and not at all
NIGHTS = [
    ("Europe/Sofia", datetime(2026, 3, 28, 20)),
    ("Europe/Sofia", datetime(2026, 10, 24, 20)),
    ("America/New_York", datetime(2026, 3, 8, 0)),
    ("America/New_York", datetime(2026, 11, 1, 0)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 10)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 10)),
    ("America/Asuncion", datetime(2024, 3, 23, 20)),
    ("Asia/Kathmandu", datetime(2026, 6, 1, 12)),
]

unit_price = st.decimals(min_value=0, max_value=3, places=6)
maybe_price = st.none() | unit_price
whole_minute = st.times().map(lambda at: at.replace(second=0, microsecond=0))
# near the hours at which clocks change, half of the time: there the mistakes are
hour_of_change = st.builds(time, st.sampled_from([0, 1, 2, 3, 4]), st.sampled_from([0, 15, 30, 59]))
starts = st.one_of(whole_minute, hour_of_change)


@st.composite
def snapshots(draw: st.DrawFn, zone: str) -> TariffSnapshot:
    common = {
        "tariff_id": 1,
        "version": 1,
        "name": "Any",
        "currency": draw(st.sampled_from([EUR, JPY, KWD])),
        "vat_percent": draw(st.decimals(min_value=0, max_value=27, places=1)),
        "timezone": zone,
        "idle_fee_per_minute": draw(maybe_price),
        "idle_grace_minutes": draw(st.integers(0, 90)),
    }
    kind = draw(st.sampled_from(["free", "flat", "energy", "tod", "tod", "tod", "levels"]))
    if kind == "free":
        return FreeTariff(**common)
    if kind == "flat":
        return FlatTariff(**common, price_per_session=draw(unit_price))
    if kind == "energy":
        prices = {name: draw(maybe_price) for name in ("price_per_minute", "price_per_kwh", "connection_fee")}
        return DurationEnergyTariff(**common, **prices)
    if kind == "levels":
        powers = draw(st.lists(st.integers(1, 50_000), min_size=1, max_size=4, unique=True))
        return PowerLevelsTariff(**common, levels=tuple(PowerLevel(power, draw(unit_price)) for power in powers))
    day_starts, night_starts = draw(st.lists(starts, min_size=2, max_size=2, unique=True))
    periods = st.builds(PeriodPrices, price_per_minute=maybe_price, price_per_kwh=maybe_price)
    return TimeOfDayTariff(
        **common,
        day_starts=day_starts,
        night_starts=night_starts,
        day=draw(periods),
        night=draw(periods),
        connection_fee=draw(maybe_price),
    )


@st.composite
def charged(draw: st.DrawFn) -> tuple[TariffSnapshot, datetime, datetime, list[tuple[datetime, D]], datetime | None]:
    zone, evening = draw(st.sampled_from(NIGHTS))
    start = evening.replace(tzinfo=UTC) + timedelta(seconds=draw(st.integers(-7200, 7200)))
    stop = start + timedelta(seconds=draw(st.integers(0, 14 * 3600)))
    length = int((stop - start).total_seconds())
    times = sorted(draw(st.lists(st.integers(0, length), min_size=1, max_size=8)))
    register, readings = D(0), []
    for at in times:
        readings.append((start + timedelta(seconds=at), register))
        register += draw(st.decimals(min_value=0, max_value=9000, places=3))
    readings.append((stop, register))
    ended = draw(st.none() | st.integers(-600, length + 600))
    return draw(snapshots(zone)), start, stop, readings, None if ended is None else start + timedelta(seconds=ended)


@settings(deadline=None, max_examples=300)
@given(charged())
def test_no_difference_to_the_cent(case: tuple) -> None:
    snapshot, start, stop, readings, ended = case
    priced = price_session(
        snapshot,
        started_at=start,
        stopped_at=stop,
        readings=[Reading(at, register) for at, register in readings],
        charging_ended_at=ended,
    )
    other = bill(snapshot_to_json(snapshot), start, stop, readings, ended)
    minor = 10**snapshot.currency.exponent
    total = priced.total
    assert (total.gross.amount * minor, total.net.amount * minor, total.vat.amount * minor) == (
        other.gross,
        other.net,
        other.vat,
    )


def test_the_second_calculator_knows_the_manuals_example() -> None:
    """Would catch one that is wrong in the same way as whatever it is compared with."""
    levels = PowerLevelsTariff(
        tariff_id=1,
        version=1,
        name="Power",
        currency=EUR,
        vat_percent=D(20),
        timezone="Europe/Sofia",
        levels=(PowerLevel(7400, D("0.10")), PowerLevel(11000, D("0.12")), PowerLevel(22000, D("0.15"))),
    )
    start = datetime(2026, 6, 1, 12, tzinfo=UTC)
    hour = start + timedelta(hours=1)
    for wh, cents in ((22000, 900), (11001, 900), (11000, 720), (7400, 600), (50000, 900)):
        assert bill(snapshot_to_json(levels), start, hour, [(start, D(0)), (hour, D(wh))]).gross == cents


@pytest.mark.parametrize(
    ("start", "hours", "day", "night"),
    [
        ("2026-06-10 18:00", 6, "300", "60"),  # night from 23
        ("2026-03-28 22:00", 8, "60", "420"),  # 22 to 7 o'clock is eight hours long
        ("2026-10-24 22:00", 10, "60", "540"),  # 22 to 7 o'clock is ten hours long
    ],
)
def test_the_second_calculator_knows_nights_of_7_and_9_hours(start: str, hours: int, day: str, night: str) -> None:
    began = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo("Europe/Sofia")).astimezone(UTC)
    snapshot = snapshot_to_json(
        TimeOfDayTariff(
            tariff_id=1,
            version=1,
            name="Night",
            currency=EUR,
            vat_percent=D(20),
            timezone="Europe/Sofia",
            day_starts=time(7),
            night_starts=time(23),
            day=PeriodPrices(price_per_minute=D("1")),
            night=PeriodPrices(price_per_minute=D("0.0001")),
        )
    )
    found = bill(snapshot, began, began + timedelta(hours=hours), [])
    assert found.gross == int(day) * 100 + round(int(night) / 100)


# What holds of prices, and what does not --------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 30_000), st.integers(0, 30_000), st.integers(0, 86_400), st.integers(0, 86_400))
def test_power_levels_grow_with_energy_where_faster_levels_cost_more(
    wh: int, more_wh: int, seconds: int, more_seconds: int
) -> None:
    """Energy lifts the average power, so it lifts the price only if a higher level never costs less."""
    rising = _levels("0.10", "0.12", "0.15")
    assert _gross(rising, wh + more_wh, seconds) >= _gross(rising, wh, seconds)
    level_alone = _levels("0.12", "0.12", "0.12")
    assert _gross(level_alone, wh, seconds + more_seconds) >= _gross(level_alone, wh, seconds)


def test_power_levels_need_not_grow_with_time_nor_with_energy() -> None:
    """By their definition: a slower charge falls to a cheaper level, and a level may be cheaper than the one below."""
    rising = _levels("0.10", "0.12", "0.15")
    assert (_gross(rising, 11_001, 3600), _gross(rising, 11_001, 3601)) == (D("9.00"), D("7.20"))
    falling = _levels("0.15", "0.12", "0.10")
    assert (_gross(falling, 7400, 3600), _gross(falling, 7401, 3600)) == (D("9.00"), D("7.20"))


def _levels(*prices: str) -> PowerLevelsTariff:
    powers = (7400, 11000, 22000)
    return PowerLevelsTariff(
        tariff_id=1,
        version=1,
        name="Levels",
        currency=EUR,
        vat_percent=D(20),
        timezone="UTC",
        levels=tuple(PowerLevel(power, D(price)) for power, price in zip(powers, prices, strict=True)),
    )


def _gross(snapshot: TariffSnapshot, wh: int, seconds: int) -> D:
    start = datetime(2026, 6, 1, 12, tzinfo=UTC)
    stop = start + timedelta(seconds=seconds)
    readings = [Reading(start, D(0)), Reading(stop, D(wh))]
    return price_session(snapshot, started_at=start, stopped_at=stop, readings=readings).total.gross.amount
