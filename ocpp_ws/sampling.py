"""Sampled values of any version of OCPP brought to Wh, W, A, V and % (OCPP 1.6, 7.28 to 7.33; 2.0.1 part 2, 2.46).

The ladder for energy, written down: the register without phase; else the sum of the register's phases; else the last
register plus an interval. Whatever has no column is kept beside. Signed values are kept, never read as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.charging.meter import Sample, SessionMeter
from ocpp_ws.timestamps import moment

DEFAULT_MEASURAND = "Energy.Active.Import.Register"
INTERVAL = "Energy.Active.Import.Interval"
POWER = "Power.Active.Import"
CURRENT = "Current.Import"
VOLTAGE = "Voltage"
SOC = "SoC"

_THOUSANDS = {"kwh": 1000, "kw": 1000, "mwh": 1_000_000, "mw": 1_000_000}
_PHASES = ("L1", "L2", "L3")

FLAG_FROM_PHASES = "energy_from_phases"
FLAG_FROM_INTERVAL = "energy_from_interval"
FLAG_NOT_A_NUMBER = "value_not_a_number"
FLAG_OUT_OF_RANGE = "value_out_of_range"

#: what a column can hold with room for the sum of three phases; in Wh, W, A, V
_LARGEST_OTHER = Decimal("1e9")
_LARGEST = {
    DEFAULT_MEASURAND: Decimal("1e12"),
    INTERVAL: Decimal("1e9"),
    CURRENT: Decimal("1e5"),
    VOLTAGE: Decimal("1e5"),
}


def samples_of(
    meter_value: Iterable[dict[str, Any]], meter: SessionMeter | None, now: datetime, flags: Sequence[str] = ()
) -> list[Sample]:
    """A message's sample sets in the order of their times. Intervals are added up from the meter's last register."""
    ordered = sorted(((moment(entry.get("timestamp"), now), entry) for entry in meter_value), key=lambda e: e[0])
    samples: list[Sample] = []
    register = meter.register if meter is not None else None
    last_wh, last_at = (register.raw_wh, register.at) if register is not None else (None, now)
    for at, entry in ordered:
        # an interval that was added before, as in a message sent again, is not added once more
        base_wh = last_wh if register is not None and at > last_at else None
        sample = _sample(at, entry.get("sampledValue") or [], base_wh, flags)
        if sample is not None:
            samples.append(sample)
            if sample.register_wh is not None:
                last_wh, last_at = sample.register_wh, max(at, last_at)
    return samples


def _sample(
    at: datetime, sampled: Sequence[dict[str, Any]], last_wh: Decimal | None, flags: Sequence[str]
) -> Sample | None:
    if not sampled:
        return None
    numbers: dict[tuple[str, str], Decimal] = {}
    other: dict[str, Any] = {}
    found_flags = list(flags)
    context = next((value["context"][:40] for value in sampled if value.get("context")), None)
    for value in sampled:
        measurand = value.get("measurand") or DEFAULT_MEASURAND
        phase = (value.get("phase") or "")[:2]
        number = None if value.get("format") == "SignedData" else _number(value)
        if value.get("format") != "SignedData" and number is None:
            found_flags.append(FLAG_NOT_A_NUMBER)
        if number is not None and abs(number) >= _LARGEST.get(measurand, _LARGEST_OTHER):
            found_flags.append(FLAG_OUT_OF_RANGE)
            number = None
        if number is None or not _is_outlet(value, sampled) or measurand not in _COLUMNS:
            other[_label(value, measurand)] = value.get("value")
        else:
            numbers.setdefault((measurand, phase), number)
    register_wh = _energy(numbers, last_wh, found_flags)
    return Sample(
        measured_at=at,
        context=context,
        register_wh=register_wh,
        power_w=_total(numbers, POWER),
        currents_a=_currents(numbers),
        voltage_v=next((numbers[VOLTAGE, p] for p in ("", *_PHASES) if (VOLTAGE, p) in numbers), None),
        soc_percent=_percent(numbers.get((SOC, ""))),
        other=other or None,
        flags=tuple(dict.fromkeys(found_flags)),
    )


_COLUMNS = frozenset({DEFAULT_MEASURAND, INTERVAL, POWER, CURRENT, VOLTAGE, SOC})


def _number(value: dict[str, Any]) -> Decimal | None:
    """The value in Wh, W, A, V or %; None when it is no number."""
    try:
        number = Decimal(str(value.get("value")).strip().replace(",", "."))
        number *= _THOUSANDS.get(str(value.get("unit") or "").lower(), 1)
    except ArithmeticError:  # no number at all, or 9e999999 of them
        return None
    return number if number.is_finite() else None


def _is_outlet(value: dict[str, Any], sampled: Sequence[dict[str, Any]]) -> bool:
    """What the car gets counts; values at the grid's inlet only where nothing is measured at the outlet."""
    location = value.get("location") or "Outlet"
    if location == "Outlet":
        return True
    measurand = value.get("measurand") or DEFAULT_MEASURAND
    return not any(
        (v.get("measurand") or DEFAULT_MEASURAND) == measurand and (v.get("location") or "Outlet") == "Outlet"
        for v in sampled
    )


def _label(value: dict[str, Any], measurand: str) -> str:
    parts = [measurand, value.get("phase"), value.get("location"), value.get("unit")]
    if value.get("format") == "SignedData":
        parts.append("signed")
    return " ".join(part for part in parts if part)


def _energy(numbers: dict[tuple[str, str], Decimal], last_wh: Decimal | None, flags: list[str]) -> Decimal | None:
    total = numbers.get((DEFAULT_MEASURAND, ""))
    if total is not None:
        return total
    phases = [numbers[DEFAULT_MEASURAND, p] for p in _PHASES if (DEFAULT_MEASURAND, p) in numbers]
    if phases:
        flags.append(FLAG_FROM_PHASES)
        return sum(phases, Decimal(0))
    interval = _total(numbers, INTERVAL)
    if interval is not None and last_wh is not None:
        flags.append(FLAG_FROM_INTERVAL)
        return last_wh + max(interval, Decimal(0))
    return None


def _total(numbers: dict[tuple[str, str], Decimal], measurand: str) -> Decimal | None:
    if (measurand, "") in numbers:
        return numbers[measurand, ""]
    phases = [numbers[measurand, p] for p in _PHASES if (measurand, p) in numbers]
    return sum(phases, Decimal(0)) if phases else None


def _currents(
    numbers: dict[tuple[str, str], Decimal],
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    l1, l2, l3 = (numbers.get((CURRENT, p)) for p in _PHASES)
    return (l1 if l1 is not None else numbers.get((CURRENT, "")), l2, l3)


def _percent(value: Decimal | None) -> Decimal | None:
    return value if value is not None and 0 <= value <= 100 else None
