"""The charge of a mock session as a written curve: full power, then a taper, until the car is as good as full.

The car has 50 kWh and comes with 30 %. Up to 80 % it takes the EVSE's power (at most 150 kW); from there the power
falls exponentially, so fast that the rest would just fill the battery. It leaves when the power is down to 5 %, or
after two hours. Pure: seconds since the start in, W and Wh out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

BATTERY_WH = 50_000.0
ARRIVES_WITH = 0.30
TAPERS_FROM = 0.80
MOST_W = 150_000.0
DEFAULT_W = 11_000.0
LEAVES_AT = 0.05
LONGEST_S = 2 * 3600.0

_STEADY_WH = (TAPERS_FROM - ARRIVES_WITH) * BATTERY_WH
_TAPER_WH = (1 - TAPERS_FROM) * BATTERY_WH


@dataclass(frozen=True, slots=True)
class Moment:
    """What the meter of a mock session shows: energy since the start in Wh, power in W, battery in %."""

    energy_wh: Decimal
    power_w: Decimal
    soc_percent: Decimal


def _taper(max_power_w: int | None) -> tuple[float, float, float]:
    """Full power (W), when the taper begins (s), and its time constant (s)."""
    full_w = min(float(max_power_w or DEFAULT_W), MOST_W)
    return full_w, _STEADY_WH / full_w * 3600, _TAPER_WH / full_w * 3600


def length_s(max_power_w: int | None) -> float:
    """How long the session takes, in seconds."""
    _, begins_s, constant_s = _taper(max_power_w)
    return min(begins_s - constant_s * math.log(LEAVES_AT), LONGEST_S)


def is_full(max_power_w: int | None) -> bool:
    """Whether the car gets full, or leaves before, when its time is over."""
    return length_s(max_power_w) < LONGEST_S


def at(seconds: float, max_power_w: int | None) -> Moment:
    """The meter so many seconds after the start; from the end of the session on it stands still."""
    full_w, begins_s, constant_s = _taper(max_power_w)
    passed = min(max(seconds, 0.0), length_s(max_power_w))
    if passed <= begins_s:
        energy_wh, power_w = full_w * passed / 3600, full_w
    else:
        left = math.exp(-(passed - begins_s) / constant_s)
        energy_wh, power_w = _STEADY_WH + _TAPER_WH * (1 - left), full_w * left
    soc = 100 * (ARRIVES_WITH + energy_wh / BATTERY_WH)
    return Moment(Decimal(round(energy_wh)), Decimal(round(power_w)), Decimal(f"{soc:.1f}"))
