"""Pricing a session (product, "Pricing"; manual, "Tariffs > Pricing").

Time and energy are kept exact, each line is rounded half up to the minor unit once, the total is the sum of
the lines, and net and VAT are split out of the total.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from operator import attrgetter, le
from typing import Any

from app.core.money import Money, round_ratio, split_vat
from app.tariffs.pricing.lines import LineKind, PricedSession, PriceLine, Reading, Unit, require_utc, total_of
from app.tariffs.pricing.periods import stretches
from app.tariffs.pricing.snapshots import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    InvalidTariffSnapshot,
    MissingPrice,
    PowerLevel,
    PowerLevelsTariff,
    TariffSnapshot,
    TimeOfDayTariff,
)

_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_MINUTE = 60_000_000
_MICROSECONDS_PER_HOUR = 3_600_000_000
_SHOWN_DECIMALS = 6
_ONE = Fraction(1)
_NO_TIME = timedelta(0)


class FallingRegister(ValueError):
    """A register reading is below the one before it. Readings are normalised before they are priced."""


class UnorderedReadings(ValueError):
    """The readings are not in the order of their times."""


class NegativeDuration(ValueError):
    """The session stops before it starts."""


@dataclass(frozen=True, slots=True)
class _Course:
    """What happened, checked."""

    started_at: datetime
    stopped_at: datetime
    readings: Sequence[Reading]
    charging_ended_at: datetime | None

    @property
    def duration(self) -> timedelta:
        return self.stopped_at - self.started_at

    @property
    def energy_wh(self) -> Decimal:
        if not self.readings:
            return Decimal(0)
        return self.readings[-1].register_wh - self.readings[0].register_wh


def price_session(
    snapshot: TariffSnapshot,
    *,
    started_at: datetime,
    stopped_at: datetime,
    readings: Sequence[Reading],
    charging_ended_at: datetime | None = None,
) -> PricedSession:
    """Price a session; with the present time as `stopped_at`, the price so far of one that is running.

    Times are UTC. Readings are normalised, ordered and never falling; energy is the last minus the first,
    none without readings. `charging_ended_at` starts the idle grace; None means that it is not known, and no
    idle fee is charged. Raises NegativeDuration, FallingRegister, UnorderedReadings, MissingPrice, and
    ValueError for times that are not UTC.
    """
    require_utc(started_at)
    require_utc(stopped_at)
    if stopped_at < started_at:
        raise NegativeDuration(f"The session starts at {started_at} and stops at {stopped_at}")
    _require_rising(readings)
    course = _Course(started_at, stopped_at, readings, charging_ended_at)
    lines = (*_lines_of_type(snapshot, course), *_idle_lines(snapshot, course))
    if not lines:
        lines = (_line(snapshot, LineKind.SESSION, "Nothing to pay", _ONE, Unit.SESSION, Decimal(0)),)
    gross = Money(total_of(lines), snapshot.currency)
    return PricedSession(
        lines=lines,
        total=split_vat(gross, snapshot.vat_percent),
        energy_wh=course.energy_wh,
        duration_s=Decimal(course.duration // _MICROSECOND).scaleb(-6),
    )


def _lines_of_type(snapshot: TariffSnapshot, course: _Course) -> Iterator[PriceLine]:
    match snapshot:
        case DurationEnergyTariff():
            return _duration_energy_lines(snapshot, course)
        case TimeOfDayTariff():
            return _time_of_day_lines(snapshot, course)
        case PowerLevelsTariff():
            return _power_level_lines(snapshot, course)
        case FlatTariff():
            return _flat_lines(snapshot)
        case FreeTariff():
            free = _line(snapshot, LineKind.SESSION, "Free of charge", _ONE, Unit.SESSION, Decimal(0))
            return iter((free,))
    raise InvalidTariffSnapshot(f"{type(snapshot).__name__} is no type of tariff")


def _flat_lines(snapshot: FlatTariff) -> Iterator[PriceLine]:
    if snapshot.price_per_session is None:
        raise MissingPrice(f"Flat rate tariff {snapshot.name!r} has no price per session")
    yield _line(snapshot, LineKind.SESSION, "Price per session", _ONE, Unit.SESSION, snapshot.price_per_session)


def _duration_energy_lines(snapshot: DurationEnergyTariff, course: _Course) -> Iterator[PriceLine]:
    yield from _connection_fee_lines(snapshot, snapshot.connection_fee)
    if snapshot.price_per_minute is not None:
        minutes = _minutes(course.duration)
        yield _line(snapshot, LineKind.TIME, "Time", minutes, Unit.MINUTE, snapshot.price_per_minute)
    if snapshot.price_per_kwh is not None:
        kwh = _kwh(Fraction(course.energy_wh))
        yield _line(snapshot, LineKind.ENERGY, "Energy", kwh, Unit.KWH, snapshot.price_per_kwh)


def _time_of_day_lines(snapshot: TimeOfDayTariff, course: _Course) -> Iterator[PriceLine]:
    yield from _connection_fee_lines(snapshot, snapshot.connection_fee)
    shares = _day_and_night(snapshot, course)
    for is_day, prices, time_kind, energy_kind in (
        (True, snapshot.day, LineKind.TIME_DAY, LineKind.ENERGY_DAY),
        (False, snapshot.night, LineKind.TIME_NIGHT, LineKind.ENERGY_NIGHT),
    ):
        duration, energy_wh = shares[is_day]
        period = "by day" if is_day else "by night"
        if duration and prices.price_per_minute is not None:
            minutes = _minutes(duration)
            yield _line(snapshot, time_kind, f"Time {period}", minutes, Unit.MINUTE, prices.price_per_minute)
        if energy_wh and prices.price_per_kwh is not None:
            kwh = _kwh(energy_wh)
            yield _line(snapshot, energy_kind, f"Energy {period}", kwh, Unit.KWH, prices.price_per_kwh)


def _day_and_night(snapshot: TimeOfDayTariff, course: _Course) -> dict[bool, tuple[timedelta, Fraction]]:
    """Time and energy (Wh) by day (True) and by night (False).

    Readings from before the start or after the stop belong to the energy of the session, so the cut covers
    them too; time counts from start to stop only.
    """
    readings = course.readings
    start = min(course.started_at, readings[0].at) if readings else course.started_at
    end = max(course.stopped_at, readings[-1].at) if readings else course.stopped_at
    shares = {True: (_NO_TIME, Fraction(0)), False: (_NO_TIME, Fraction(0))}
    if start == end:
        # Nothing lasts and registers that differ at one instant have no period: judged by that instant.
        end += _MICROSECOND
    register_wh = Fraction(readings[0].register_wh) if readings else Fraction(0)
    for stretch in stretches(
        start,
        end,
        day_starts=snapshot.day_starts,
        night_starts=snapshot.night_starts,
        timezone=snapshot.timezone,
    ):
        duration, energy_wh = shares[stretch.is_day]
        inside = min(stretch.end, course.stopped_at) - max(stretch.start, course.started_at)
        before, register_wh = register_wh, _register_at(readings, stretch.end)
        shares[stretch.is_day] = (duration + max(inside, _NO_TIME), energy_wh + register_wh - before)
    return shares


def _register_at(readings: Sequence[Reading], at: datetime) -> Fraction:
    """The register (Wh) at any time, linear between two readings, level before the first and after the last.

    Of several readings at that very time the last counts: what they show has happened before.
    """
    if not readings:
        return Fraction(0)
    following = bisect_right(readings, at, key=attrgetter("at"))
    if following == 0:
        return Fraction(readings[0].register_wh)
    before = readings[following - 1]
    if following == len(readings):
        return Fraction(before.register_wh)
    after = readings[following]
    passed_us, whole_us = (at - before.at) // _MICROSECOND, (after.at - before.at) // _MICROSECOND
    low, low_under = before.register_wh.as_integer_ratio()
    high, high_under = after.register_wh.as_integer_ratio()
    # low + (high - low) * passed / whole, over one denominator: reduced once instead of at each step
    return Fraction(
        low * high_under * (whole_us - passed_us) + high * low_under * passed_us, low_under * high_under * whole_us
    )


def _power_level_lines(snapshot: PowerLevelsTariff, course: _Course) -> Iterator[PriceLine]:
    level = _power_level(snapshot, course)
    if level.price_per_minute is None:
        raise MissingPrice(f"Tariff {snapshot.name!r} has no price up to {_kw(level.max_power_w)} kW")
    label = f"Time at a power level up to {_kw(level.max_power_w)} kW"
    minutes = _minutes(course.duration)
    yield _line(snapshot, LineKind.TIME_LEVEL, label, minutes, Unit.MINUTE, level.price_per_minute)


def _power_level(snapshot: PowerLevelsTariff, course: _Course) -> PowerLevel:
    """The level with the lowest maximum not below the average power; above the last level, the last."""
    if not snapshot.levels:
        raise MissingPrice(f"Tariff {snapshot.name!r} has no power levels")
    # Compared without dividing: max power x duration against energy, both in Wh x microseconds per hour.
    duration_us = course.duration // _MICROSECOND
    energy = Fraction(course.energy_wh) * _MICROSECONDS_PER_HOUR
    fitting = [level for level in snapshot.levels if level.max_power_w * duration_us >= energy]
    if fitting:
        return min(fitting, key=attrgetter("max_power_w"))
    return max(snapshot.levels, key=attrgetter("max_power_w"))


def _connection_fee_lines(snapshot: TariffSnapshot, connection_fee: Decimal | None) -> Iterator[PriceLine]:
    if connection_fee is not None:
        yield _line(snapshot, LineKind.CONNECTION_FEE, "Connection fee", _ONE, Unit.SESSION, connection_fee)


def _idle_lines(snapshot: TariffSnapshot, course: _Course) -> Iterator[PriceLine]:
    """Beyond the manual: the time after charging has stopped and the grace is over (product, "Pricing").

    It comes on top of a price per minute, which runs over the whole session.
    """
    if snapshot.idle_fee_per_minute is None or course.charging_ended_at is None:
        return
    require_utc(course.charging_ended_at)
    charging_ended_at = max(course.charging_ended_at, course.started_at)
    idle = course.stopped_at - charging_ended_at - timedelta(minutes=snapshot.idle_grace_minutes)
    if idle > _NO_TIME:
        label = "Idle time after charging"
        yield _line(snapshot, LineKind.IDLE, label, _minutes(idle), Unit.MINUTE, snapshot.idle_fee_per_minute)


def _line(
    snapshot: TariffSnapshot,
    kind: LineKind,
    label: str,
    quantity: Fraction,
    unit: Unit,
    unit_price: Decimal,
) -> PriceLine:
    over, under = quantity.numerator, quantity.denominator
    price_over, price_under = unit_price.as_integer_ratio()
    return PriceLine(
        kind=kind,
        label=label,
        quantity=round_ratio(over, under, _SHOWN_DECIMALS),
        unit=unit,
        unit_price=unit_price,
        amount=round_ratio(price_over * over, price_under * under, snapshot.currency.exponent),
    )


def _minutes(duration: timedelta) -> Fraction:
    return Fraction(duration // _MICROSECOND, _MICROSECONDS_PER_MINUTE)


def _kwh(energy_wh: Fraction) -> Fraction:
    return energy_wh / 1000


def _kw(power_w: int) -> str:
    return f"{Decimal(power_w).scaleb(-3).normalize():f}"


def _require_rising(readings: Sequence[Reading]) -> None:
    times, registers = [reading.at for reading in readings], [reading.register_wh for reading in readings]
    if _never_falls(times) and _never_falls(registers):
        return
    for before, after in pairwise(readings):
        if after.at < before.at:
            raise UnorderedReadings(f"The reading of {after.at} comes after the one of {before.at}")
        if after.register_wh < before.register_wh:
            raise FallingRegister(
                f"The register falls from {before.register_wh} Wh to {after.register_wh} Wh at {after.at}"
            )


def _never_falls(values: Sequence[Any]) -> bool:
    return all(map(le, values, islice(values, 1, None)))
