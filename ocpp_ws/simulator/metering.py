"""From what the meter shows to OCPP's sampled values, in the dialect of the make."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from ocpp_ws.simulator.makes import Current
from ocpp_ws.simulator.physics import MAINS_V
from ocpp_ws.simulator.quirks import Quirks

SampledValue = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter of one EVSE shows at one moment."""

    energy_wh: int
    """The register as this make reports it."""
    interval_wh: int
    """Since the reading before."""
    power_w: float
    kind: Current
    phases: int
    soc: float | None
    """0 to 1; known for DC only."""


def sampled_values(reading: Reading, quirks: Quirks, rng: Random, context: str) -> list[SampledValue]:
    """The set of sampled values for one reading; `context` as in OCPP 1.6, 7.35."""
    values = [_energy(reading, quirks)]
    if reading.kind == "AC":
        values += _ac_values(reading, quirks, rng)
    else:
        values += _dc_values(reading)
    for value in values:
        value["context"] = context
        if quirks.omits_units:
            value.pop("unit", None)
        if quirks.numbers_unquoted:
            value["value"] = float(value["value"])
    return values


def _energy(reading: Reading, quirks: Quirks) -> SampledValue:
    energy_wh = reading.interval_wh if quirks.interval_energy else reading.energy_wh
    in_kwh = quirks.energy_unit == "kWh"
    return {
        "value": f"{energy_wh / 1000:.3f}" if in_kwh else str(energy_wh),
        "measurand": f"Energy.Active.Import.{'Interval' if quirks.interval_energy else 'Register'}",
        "location": "Outlet",
        "unit": quirks.energy_unit,
    }


def _ac_values(reading: Reading, quirks: Quirks, rng: Random) -> list[SampledValue]:
    values: list[SampledValue] = []
    if not quirks.phases_only:
        values.append(_value(f"{reading.power_w:.0f}", "Power.Active.Import", "W"))
    for number in (1, 2, 3):
        phase = f"L{number}"
        phase_w = reading.power_w / reading.phases if number <= reading.phases else 0.0
        volts = MAINS_V + rng.uniform(-2.5, 2.5)
        values.append(_value(f"{phase_w / volts:.2f}", "Current.Import", "A", phase))
        values.append(_value(f"{volts:.1f}", "Voltage", "V", f"{phase}-N"))
        if quirks.phases_only:
            values.append(_value(f"{phase_w:.0f}", "Power.Active.Import", "W", phase))
    return values


def _dc_values(reading: Reading) -> list[SampledValue]:
    soc = reading.soc or 0.0
    volts = 340.0 + 65.0 * soc
    return [
        _value(f"{reading.power_w:.0f}", "Power.Active.Import", "W"),
        _value(f"{reading.power_w / volts:.1f}", "Current.Import", "A"),
        _value(f"{volts:.1f}", "Voltage", "V"),
        {**_value(f"{soc * 100:.0f}", "SoC", "Percent"), "location": "EV"},
    ]


def _value(value: str, measurand: str, unit: str, phase: str | None = None) -> SampledValue:
    sampled: SampledValue = {"value": value, "measurand": measurand, "location": "Outlet", "unit": unit}
    if phase is not None:
        sampled["phase"] = phase
    return sampled
