"""Cars, batteries and meters: how much power flows. Pure functions; chance comes from the caller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

from ocpp_ws.simulator.makes import Current

MAINS_V = 230.0
_RAMP_S = 15.0
"""From plugging the contactor in to full power."""
_EFFICIENCY = {"AC": 0.91, "DC": 0.96}
_REGISTER_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_TYPICAL_LOAD = 0.3

_MODELS = (
    # battery Wh, AC limit W, AC phases, DC limit W, share
    (40_000, 7_400, 1, 50_000, 18),
    (52_000, 22_000, 3, 46_000, 14),
    (58_000, 11_000, 3, 120_000, 26),
    (77_000, 11_000, 3, 170_000, 24),
    (82_000, 11_000, 3, 200_000, 12),
    (12_000, 3_700, 1, 0, 6),
)
# Share of the DC limit that a battery takes, by state of charge: flat, then falling as the cells fill.
_TAPER = ((0.0, 0.75), (0.08, 1.0), (0.45, 1.0), (0.60, 0.72), (0.80, 0.40), (0.90, 0.18), (1.0, 0.04))


@dataclass(slots=True)
class Car:
    """A car at a plug. `stay_s` is how long its driver stays, in simulated seconds."""

    battery_wh: float
    soc: float
    target_soc: float
    ac_limit_w: float
    phases: int
    dc_limit_w: float
    stay_s: float

    @property
    def is_full(self) -> bool:
        return self.soc >= self.target_soc


def draw_car(rng: Random, kind: Current) -> Car:
    """A car at random that can charge with this kind of current."""
    usable = [model for model in _MODELS if kind == "AC" or model[3] > 0]
    battery_wh, ac_limit_w, phases, dc_limit_w, _ = rng.choices(usable, [model[4] for model in usable])[0]
    if kind == "DC":
        target, stay_s = rng.choice((0.8, 0.8, 0.85, 0.95)), rng.uniform(900, 2700)
    else:
        target, stay_s = 1.0, min(21_600.0, max(600.0, rng.lognormvariate(math.log(3300), 0.6)))
    return Car(
        battery_wh=battery_wh,
        soc=rng.uniform(0.08, 0.65),
        target_soc=target,
        ac_limit_w=ac_limit_w,
        phases=phases,
        dc_limit_w=dc_limit_w,
        stay_s=stay_s,
    )


def power_w(car: Car, kind: Current, max_power_w: float, since_start_s: float, time_scale: float = 1.0) -> float:
    """What flows into the car: AC constant behind a ramp, DC by state of charge; 0 when it is full."""
    if car.is_full:
        return 0.0
    ramp = min(1.0, max(0.0, since_start_s * time_scale / _RAMP_S))
    if kind == "AC":
        limit_w = min(max_power_w, car.ac_limit_w)
        # The last few per cent are balanced at falling power.
        limit_w *= min(1.0, max(0.15, (1.0 - car.soc) / 0.04))
    else:
        limit_w = min(max_power_w, car.dc_limit_w * taper(car.soc))
    return limit_w * ramp


def taper(soc: float) -> float:
    """The share of its DC limit that a battery takes at this state of charge (0 to 1)."""
    for (low, low_share), (high, high_share) in pairwise(_TAPER):
        if soc <= high:
            return low_share + (high_share - low_share) * max(0.0, soc - low) / (high - low)
    return _TAPER[-1][1]


def charge_car(
    car: Car, kind: Current, max_power_w: float, from_s: float, to_s: float, time_scale: float = 1.0
) -> float:
    """Charge the car from `from_s` to `to_s` seconds after its start: gives the energy in Wh, moves its SoC.

    Energy is power times real seconds; the battery is smaller by `time_scale`, so that a livelier
    street shows whole charging curves without ever delivering more than the EVSE can.
    """
    span_s = max(0.0, to_s - from_s)
    steps = min(60, max(1, math.ceil(span_s * time_scale / 10.0)))
    step_s = span_s / steps
    delivered_wh = 0.0
    for step in range(steps):
        middle_s = from_s + (step + 0.5) * step_s
        step_wh = power_w(car, kind, max_power_w, middle_s, time_scale) * step_s / 3600.0
        delivered_wh += step_wh
        car.soc = min(1.0, car.soc + step_wh * _EFFICIENCY[kind] * time_scale / car.battery_wh)
    return delivered_wh


def first_register_wh(rng: Random, max_power_w: float, now: datetime) -> float:
    """Where a meter stands when the simulator starts.

    It grows with the calendar, faster than an EVSE charges on average, so a simulator that is started
    again goes on above the readings it sent before.
    """
    hours = (now - _REGISTER_EPOCH).total_seconds() / 3600.0
    return rng.uniform(100_000, 2_000_000) + max(0.0, hours) * max_power_w * _TYPICAL_LOAD
