"""When cars come, how long they stay and what they draw: pure, seeded, without database or clock.

Patterns are of the local wall clock: offices fill at nine, streets in the evening, motorways at noon on weekends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from random import Random
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Use:
    """How a place is used: arrivals a day by workday and weekend, at which hours, and stays in minutes."""

    workday: float
    weekend: float
    hours: Sequence[float]
    stay_minutes: tuple[float, float]


def _hours(**weights: float) -> tuple[float, ...]:
    """Weights by hour from blocks such as ``h7_10=4``: 7 to 10 o'clock weighs 4 an hour, the rest 0.1."""
    found = [0.1] * 24
    for block, weight in weights.items():
        first, last = (int(part) for part in block.removeprefix("h").split("_"))
        found[first:last] = [weight] * (last - first)
    return tuple(found)


#: (use, current) → pattern; stays matter at AC only, at DC one leaves when it is full enough
USES: Mapping[tuple[str, str], Use] = {
    ("city", "AC"): Use(3.0, 2.4, _hours(h7_10=2, h10_19=4, h19_22=2), (45, 200)),
    ("city", "DC"): Use(5.5, 5.0, _hours(h7_10=3, h10_20=4, h20_23=2), (0, 0)),
    ("street", "AC"): Use(2.0, 2.0, _hours(h8_16=1, h16_18=3, h18_22=5, h22_24=1), (120, 720)),
    ("work", "AC"): Use(1.7, 0.1, _hours(h7_8=3, h8_10=8, h10_15=1), (240, 560)),
    ("work", "DC"): Use(2.0, 0.2, _hours(h8_18=3), (0, 0)),
    ("retail", "AC"): Use(3.0, 4.2, _hours(h9_12=3, h12_20=4), (30, 150)),
    ("retail", "DC"): Use(4.5, 6.0, _hours(h9_21=4), (0, 0)),
    ("hotel", "AC"): Use(0.9, 1.3, _hours(h14_17=2, h17_23=5), (420, 900)),
    ("hotel", "DC"): Use(2.0, 2.0, _hours(h10_20=2), (0, 0)),
    ("motorway", "AC"): Use(1.0, 1.4, _hours(h8_20=2), (25, 70)),
    ("motorway", "DC"): Use(6.5, 10.0, _hours(h7_10=2, h10_15=5, h15_20=4, h20_23=2), (0, 0)),
}

_DC_STEP_S = 60
_TAPER_FROM = 0.58


@dataclass(frozen=True)
class Curve:
    """What a charge draws: register (Wh) at seconds after the start, the last one where charging ends."""

    points: Sequence[tuple[int, int]]
    max_power_w: int
    stay_s: int
    soc_percent: tuple[int, int]

    @property
    def energy_wh(self) -> int:
        """What was charged in the end."""
        return self.points[-1][1]

    @property
    def charging_s(self) -> int:
        """How long energy flowed."""
        return self.points[-1][0]

    def register_at(self, second: int) -> int:
        """The register in Wh at a second after the start, linear between the points."""
        before = self.points[0]
        for after in self.points[1:]:
            if after[0] >= second:
                share = (second - before[0]) / (after[0] - before[0])
                return round(before[1] + (after[1] - before[1]) * share)
            before = after
        return before[1]

    def power_at(self, second: int) -> int:
        """The power in W at a second after the start; 0 when the car is full."""
        before = self.points[0]
        for after in self.points[1:]:
            if after[0] > second:
                return round((after[1] - before[1]) * 3600 / (after[0] - before[0]))
            before = after
        return 0


def arrivals(rng: Random, use: Use, *, days: Sequence[date], in_zone: ZoneInfo) -> Iterator[datetime]:
    """The times at which somebody comes to one EVSE, more and more of them over the days."""
    for number, day in enumerate(days):
        mean = use.weekend if day.weekday() >= 5 else use.workday
        expected = mean * (0.76 + 0.2 * number / len(days)) * rng.uniform(0.75, 1.25)
        for _ in range(_count(rng, expected)):
            hour = rng.choices(range(24), use.hours)[0]
            yield datetime.combine(day, time(hour, rng.randrange(60), rng.randrange(60)), in_zone)


def _count(rng: Random, expected: float) -> int:
    """How many come when this many are expected: exponential gaps, counted."""
    count, passed = 0, rng.expovariate(1.0)
    while passed < expected:
        count += 1
        passed += rng.expovariate(1.0)
    return count


def ac_charge(rng: Random, use: Use, *, evse_w: int, car_w: int, battery_wh: int) -> Curve:
    """A charge at AC: level power until the battery has enough or the driver leaves."""
    power_w = round(min(evse_w, car_w) * rng.uniform(0.93, 0.99))
    soc = rng.betavariate(2.6, 2.6)
    wanted_wh = battery_wh * max(0.06, min(rng.choice((0.8, 0.9, 1.0, 1.0)), 1.0) - soc)
    stay_s = round(rng.triangular(*use.stay_minutes) * 60)
    charging_s = max(60, min(round(wanted_wh * 3600 / power_w), stay_s - rng.randint(5, 50)))
    energy_wh = round(power_w * charging_s / 3600)
    until = min(1.0, soc + energy_wh / battery_wh)
    return Curve(((0, 0), (charging_s, energy_wh)), power_w, stay_s, (round(soc * 100), round(until * 100)))


def dc_charge(rng: Random, *, evse_w: int, car_w: int, battery_wh: int) -> Curve:
    """A charge at DC: full power until a good half, then less and less; the driver leaves soon after."""
    peak_w = min(evse_w, car_w) * rng.uniform(0.88, 0.98)
    start = rng.betavariate(2, 5) * 0.7
    target = min(0.95, max(start + 0.12, rng.gauss(0.8, 0.07)))
    soc, energy_wh, second = start, 0.0, 0
    points = [(0, 0)]
    while soc < target:
        share = 1.0 if soc < _TAPER_FROM else max(0.18, 1 - (soc - _TAPER_FROM) * 2)
        energy_wh += peak_w * share * _DC_STEP_S / 3600
        second += _DC_STEP_S
        soc = start + energy_wh / battery_wh
        points.append((second, round(energy_wh)))
    lingers_s = round(rng.expovariate(1 / 180)) + (rng.randint(600, 3000) if rng.random() < 0.05 else 0)
    return Curve(tuple(points), round(peak_w), second + lingers_s, (round(start * 100), round(min(1.0, soc) * 100)))
