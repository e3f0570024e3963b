"""When a running session is to be stopped: the rules agreed at its start, and which of them is broken. Pure.

Manual, "Stop Session" (1 to 3 and 5) and "User billing settings" (2 and 3). A maximum counts as broken when it is
reached: a meter that counts whole kWh, or a reading a minute, would only ever show it when it is long exceeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.core.money import Currency
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FlatTariff,
    PowerLevelsTariff,
    TariffSnapshot,
    TimeOfDayTariff,
)

SCHEMA = 1
_NOTHING = Decimal(0)
_MINUTE_S = Decimal(60)
#: connection fee, time and energy by day and by night, idle time: each line is rounded once
_MOST_LINES = 6
#: minutes from one attempt to the next; the last for ever
_PAUSES = (1, 2, 4, 8, 15)


class StopRule(StrEnum):
    """What a session can be stopped for, in the order in which rules are looked at."""

    TIME = "max_minutes"
    ENERGY = "max_energy"
    PREAUTHORIZATION = "preauthorization"
    BALANCE = "balance"


class InvalidStopRules(ValueError):
    """What is stored with a session are no stop rules."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """More than this a session cannot cost: a fixed part, the dearest minute and the dearest kWh of its tariff.

    Tells, without any reading, which sessions need not be priced to know that they may go on.
    """

    fixed: Decimal = _NOTHING
    per_minute: Decimal = _NOTHING
    per_kwh: Decimal = _NOTHING

    def at(self, *, elapsed: timedelta, energy_wh: Decimal) -> Decimal:
        """The most that this time and energy can cost."""
        seconds = elapsed.days * 86_400 + elapsed.seconds + 1  # begun ones count
        return self.fixed + self.per_minute * seconds / _MINUTE_S + self.per_kwh * energy_wh / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """The limits of one session; None: no such limit. Amounts include VAT and are in the session's currency.

    A floor is what is to be left of the pre-authorized amount, or of the balance, when the session is stopped.
    """

    max_minutes: int | None = None
    max_energy_wh: Decimal | None = None
    preauthorization_floor: Decimal | None = None
    balance_floor: Decimal | None = None
    ceiling: Ceiling = Ceiling()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would ever stop the session."""
        limits = (self.max_minutes, self.max_energy_wh, self.preauthorization_floor, self.balance_floor)
        return all(limit is None for limit in limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a session has come. ``price`` with VAT, None when it is not known.

    ``held`` is the pre-authorized amount, None when nothing is held for the session. ``available`` is the driver's
    balance less the prices so far of the other running sessions that it pays; None when it does not pay this one.
    """

    elapsed: timedelta
    energy_wh: Decimal
    price: Decimal | None = None
    held: Decimal | None = None
    available: Decimal | None = None


def ceiling_of(snapshot: TariffSnapshot) -> Ceiling:
    """The dearest that a tariff can be. Beyond the manual it may charge idle minutes on top of all others."""
    idle = snapshot.idle_fee_per_minute or _NOTHING
    fixed = per_minute = per_kwh = _NOTHING
    match snapshot:
        case FlatTariff():
            fixed = snapshot.price_per_session or _NOTHING
        case DurationEnergyTariff():
            fixed = snapshot.connection_fee or _NOTHING
            per_minute, per_kwh = snapshot.price_per_minute or _NOTHING, snapshot.price_per_kwh or _NOTHING
        case TimeOfDayTariff():
            fixed = snapshot.connection_fee or _NOTHING
            per_minute = max(period.price_per_minute or _NOTHING for period in (snapshot.day, snapshot.night))
            per_kwh = max(period.price_per_kwh or _NOTHING for period in (snapshot.day, snapshot.night))
        case PowerLevelsTariff():
            per_minute = max((level.price_per_minute or _NOTHING for level in snapshot.levels), default=_NOTHING)
    if not any((fixed, per_minute, per_kwh, idle)):
        return Ceiling()
    rounding = Decimal(1).scaleb(-snapshot.currency.exponent) * _MOST_LINES
    return Ceiling(fixed + rounding, per_minute + idle, per_kwh)


def broken_rule(rules: StopRules, progress: Progress) -> StopRule | None:
    """The first rule that is broken, None while the session may go on.

    With 20 held, or available, and a floor of 1 the session stops once its price has reached 19 (manual, "Stop
    Session", 3 and 5). A session that has cost nothing yet is not stopped for money: it takes none away.
    """
    broken = _broken_without_money(rules, progress.elapsed, progress.energy_wh)
    if broken is not None or not progress.price:
        return broken
    for rule, means, floor in (
        (StopRule.PREAUTHORIZATION, progress.held, rules.preauthorization_floor),
        (StopRule.BALANCE, progress.available, rules.balance_floor),
    ):
        if means is not None and floor is not None and progress.price >= means - floor:
            return rule
    return None


def _broken_without_money(rules: StopRules, elapsed: timedelta, energy_wh: Decimal) -> StopRule | None:
    if rules.max_minutes is not None and elapsed.days * 1440 + elapsed.seconds // 60 >= rules.max_minutes:
        return StopRule.TIME
    if rules.max_energy_wh is not None and energy_wh >= rules.max_energy_wh:
        return StopRule.ENERGY
    return None


def price_limit(rules: StopRules, *, held: Decimal | None, available: Decimal | None) -> Decimal | None:
    """The price at which the session is stopped; None when no price stops it. Zero or less: the first cent does."""
    limits = [
        means - floor
        for means, floor in ((held, rules.preauthorization_floor), (available, rules.balance_floor))
        if means is not None and floor is not None
    ]
    return min(limits, default=None)


def may_be_broken(rules: StopRules, limit: Decimal | None, *, elapsed: timedelta, energy_wh: Decimal) -> bool:
    """Whether a closer look is due. ``limit`` is ``price_limit``. False is certain, True is not."""
    return _broken_without_money(rules, elapsed, energy_wh) is not None or (
        limit is not None and rules.ceiling.at(elapsed=elapsed, energy_wh=energy_wh) >= limit
    )


def next_attempt_at(last_at: datetime, attempts: int) -> datetime:
    """When a stop that came to nothing is asked for again: after 1, 2, 4, 8, and then every 15 minutes."""
    return last_at + timedelta(minutes=_PAUSES[min(max(attempts, 1), len(_PAUSES)) - 1])


# --- in words


def rule_in_words(rule: StopRule, rules: StopRules, currency: Currency | None) -> str:
    """What was broken: "energy above 20 kWh"."""
    match rule:
        case StopRule.TIME:
            return f"longer than {rules.max_minutes} min"
        case StopRule.ENERGY:
            return f"energy above {_kwh(rules.max_energy_wh)}"
        case StopRule.PREAUTHORIZATION:
            return f"less than {_amount(rules.preauthorization_floor, currency)} left of the pre-authorized amount"
        case StopRule.BALANCE:
            return f"less than {_amount(rules.balance_floor, currency)} left of the balance"


def limits_in_words(rules: StopRules, limit: Decimal | None, currency: Currency | None) -> str:
    """What will stop the session, empty for nothing: "20 kWh or 60 min or when the price reaches 19.00 EUR"."""
    parts = []
    if rules.max_energy_wh is not None:
        parts.append(_kwh(rules.max_energy_wh))
    if rules.max_minutes is not None:
        parts.append(f"{rules.max_minutes} min")
    words = f"at {' or '.join(parts)}" if parts else ""
    if limit is None:
        return words
    price = f"when the price reaches {_amount(limit, currency)}" if limit > 0 else "as soon as it costs anything"
    return f"{words} or {price}" if words else price


def _kwh(energy_wh: Decimal | None) -> str:
    return f"{((energy_wh or _NOTHING) / 1000).normalize():f} kWh"


def _amount(amount: Decimal | None, currency: Currency | None) -> str:
    if currency is None:
        return f"{amount or _NOTHING:f}"
    return f"{amount or _NOTHING:.{currency.exponent}f} {currency.code}"


# --- as JSON, kept with the session

_AMOUNTS = ("max_energy_wh", "preauthorization_floor", "balance_floor")
_CEILING = ("fixed", "per_minute", "per_kwh")


def rules_to_json(rules: StopRules) -> dict[str, Any]:
    """The rules as plain JSON values; numbers with decimals are text."""
    return {
        "schema": SCHEMA,
        "max_minutes": rules.max_minutes,
        **{name: _text(getattr(rules, name)) for name in _AMOUNTS},
        "ceiling": {name: _text(getattr(rules.ceiling, name)) for name in _CEILING},
    }


def rules_from_json(data: Mapping[str, Any]) -> StopRules:
    """The rules that ``rules_to_json`` wrote. Raises InvalidStopRules for anything else."""
    try:
        if data["schema"] != SCHEMA:
            raise InvalidStopRules(f"unknown schema {data['schema']!r} of stop rules")
        return StopRules(
            max_minutes=None if data["max_minutes"] is None else int(data["max_minutes"]),
            **{name: None if data[name] is None else Decimal(data[name]) for name in _AMOUNTS},
            ceiling=Ceiling(**{name: Decimal(data["ceiling"][name]) for name in _CEILING}),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvalidStopRules(f"no stop rules: {error}") from error


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"
