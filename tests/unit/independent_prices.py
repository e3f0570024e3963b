"""A second calculator, from the words of the rules alone: it shares no line and no idea with app/tariffs/pricing.

It reads the snapshot as it is exported (plain JSON), walks through the session in small steps, looks at the clock on
the wall for each step, and adds up. Slow and simple on purpose.
Rules: product.md, "Pricing"; the manual, "Tariffs > Pricing".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

Readings = Sequence[tuple[datetime, Decimal]]


@dataclass
class Bill:
    """Amounts in minor units of the currency."""

    gross: int
    net: int
    vat: int


def bill(
    snapshot: dict[str, Any],
    start: datetime,
    stop: datetime,
    readings: Readings,
    charging_ended_at: datetime | None = None,
) -> Bill:
    """What the session costs. Times are UTC in whole seconds."""
    minor = 10 ** snapshot["currency"]["exponent"]
    lines = [*_by_type(snapshot, start, stop, readings), *_idle(snapshot, start, stop, charging_ended_at)]
    gross = sum(_half_up(amount * minor) for amount in lines)
    net = _half_up(Fraction(gross) / (1 + Fraction(snapshot["vat_percent"]) / 100))
    return Bill(gross, net, gross - net)


def _half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def _number(text: str | None) -> Fraction:
    return Fraction(text or 0)  # "An empty field is set to 0."


def _by_type(snapshot: dict[str, Any], start: datetime, stop: datetime, readings: Readings) -> Iterator[Fraction]:
    prices, kind = snapshot["prices"], snapshot["type"]
    minutes = _seconds(stop - start) / 60
    energy_kwh = Fraction(readings[-1][1] - readings[0][1]) / 1000 if readings else Fraction(0)
    if kind == "flat":
        yield _number(prices["price_per_session"])
    elif kind == "duration_energy":
        yield _number(prices["connection_fee"])
        yield _number(prices["price_per_minute"]) * minutes
        yield _number(prices["price_per_kwh"]) * energy_kwh
    elif kind == "power_levels":
        yield _level_price(prices["levels"], minutes, energy_kwh) * minutes
    elif kind == "duration_energy_tod":
        yield _number(prices["connection_fee"])
        yield from _day_and_night(snapshot, start, stop, readings)


def _level_price(levels: list[dict[str, Any]], minutes: Fraction, energy_kwh: Fraction) -> Fraction:
    """Up the ladder of levels until one is high enough; whoever is above the last gets the last."""
    ladder = sorted(levels, key=lambda level: level["max_power_w"])
    for level in ladder:
        # average kW = kWh / hours; kept as a product, for a session may take no time at all
        if energy_kwh * 60 <= Fraction(level["max_power_w"], 1000) * minutes:
            return _number(level["price_per_minute"])
    return _number(ladder[-1]["price_per_minute"])


def _day_and_night(snapshot: dict[str, Any], start: datetime, stop: datetime, readings: Readings) -> Iterator[Fraction]:
    zone, prices = ZoneInfo(snapshot["timezone"]), snapshot["prices"]
    minutes = {"day": Fraction(0), "night": Fraction(0)}
    energy_kwh = {"day": Fraction(0), "night": Fraction(0)}
    before = Fraction(readings[0][1]) if readings else Fraction(0)
    for since, until in _steps(snapshot, start, stop, readings):
        shown = since.astimezone(zone).strftime("%H:%M:%S")
        period = _period(shown, prices["day_starts"], prices["night_starts"])
        minutes[period] += _seconds(until - since) / 60
        shows = _register(readings, until)
        energy_kwh[period] += (shows - before) / 1000
        before = shows
    for period in ("day", "night"):
        yield _number(prices[period]["price_per_minute"]) * minutes[period]
        yield _number(prices[period]["price_per_kwh"]) * energy_kwh[period]


def _steps(
    snapshot: dict[str, Any], start: datetime, stop: datetime, readings: Readings
) -> Iterator[tuple[datetime, datetime]]:
    """The session in pieces that the clock on the wall cannot change within: by the minute, or by the second."""
    hours = (snapshot["prices"]["day_starts"], snapshot["prices"]["night_starts"])
    step = timedelta(minutes=1) if all(text.endswith(":00") for text in hours) else timedelta(seconds=1)
    at = start
    if start == stop:  # no time, and perhaps energy all the same
        yield start, stop
    while at < stop:
        # to the next full step, for changes of day and night stand on it
        beyond = datetime.fromtimestamp((floor(at.timestamp()) // step.seconds + 1) * step.seconds, tz=UTC)
        following = min(beyond, stop)
        yield at, following
        at = following


def _period(shown: str, day_starts: str, night_starts: str) -> str:
    """What began last by the clock on the wall: going back from now, day or night, whichever is met first."""

    def ago(began: str) -> int:
        return (_of_day(shown) - _of_day(began)) % 86_400

    return "day" if ago(day_starts) < ago(night_starts) else "night"


def _of_day(shown: str) -> int:
    hours, minutes, seconds = map(int, shown.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _register(readings: Readings, at: datetime) -> Fraction:
    """Wh at a time: on the straight line between the neighbours; what is read at the very time has happened."""
    if not readings or at < readings[0][0]:
        return Fraction(readings[0][1]) if readings else Fraction(0)
    register = Fraction(readings[0][1])
    for (left, low), (right, high) in pairwise(readings):
        if right <= at:
            register = Fraction(high)
        elif left <= at:
            return Fraction(low) + Fraction(high - low) * _seconds(at - left) / _seconds(right - left)
    return register


def _idle(
    snapshot: dict[str, Any], start: datetime, stop: datetime, charging_ended_at: datetime | None
) -> Iterator[Fraction]:
    fee = snapshot["idle"]["fee_per_minute"]
    if fee is None or charging_ended_at is None:
        return
    free_until = max(charging_ended_at, start) + timedelta(minutes=snapshot["idle"]["grace_minutes"])
    yield Fraction(fee) * max(Fraction(0), _seconds(stop - free_until)) / 60


def _seconds(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 1_000_000)
