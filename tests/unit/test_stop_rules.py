"""Stop rules: which limit is reached when, to the second, Wh and cent. Manual, "Stop Session", and its own example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charging.stop_rules import (
    Ceiling,
    InvalidStopRules,
    Progress,
    StopRule,
    StopRules,
    broken_rule,
    ceiling_of,
    limits_in_words,
    may_be_broken,
    next_attempt_at,
    price_limit,
    rule_in_words,
    rules_from_json,
    rules_to_json,
)
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
)

D = Decimal
EURO = Currency("EUR", 2, "€")
R = StopRule
ALL = StopRules(
    max_minutes=60, max_energy_wh=D(20_000), preauthorization_floor=D(1), balance_floor=D(1), ceiling=Ceiling(D(1))
)
CALM: dict[str, Any] = {"elapsed": timedelta(minutes=10), "energy_wh": D(5000), "price": D(5)}


@pytest.mark.parametrize(
    "rule, progress",
    [
        (None, {}),
        (None, {"elapsed": timedelta(minutes=59, seconds=59, milliseconds=999)}),
        (R.TIME, {"elapsed": timedelta(minutes=60)}),
        (None, {"energy_wh": D("19999.999")}),
        (R.ENERGY, {"energy_wh": D(20_000)}),
        # 20 pre-authorized, 1 to be left: "stop the session once its price has reached 19"
        (None, {"held": D(20), "price": D("18.99")}),
        (R.PREAUTHORIZATION, {"held": D(20), "price": D(19)}),
        (R.PREAUTHORIZATION, {"held": D(20), "price": D("19.01")}),
        # "the user has 20 in their balance … stopped automatically when the price reaches 19"
        (None, {"available": D(20), "price": D("18.99")}),
        (R.BALANCE, {"available": D(20), "price": D(19)}),
        # who pays neither by a hold nor from the balance has no limit of money
        (None, {"price": D(100_000)}),
        # a price nobody knows, and one that is nothing, stop nothing
        (None, {"price": None, "held": D(20), "available": D(20)}),
        (None, {"price": D(0), "held": D(0), "available": D("-5")}),
        (R.BALANCE, {"price": D("0.01"), "available": D(1)}),
        # the first in the order of the rules is the one that is told
        (R.TIME, {"elapsed": timedelta(hours=9), "energy_wh": D(90_000), "held": D(1), "available": D(1)}),
        (R.ENERGY, {"energy_wh": D(90_000), "held": D(1), "available": D(1)}),
        (R.PREAUTHORIZATION, {"held": D(1), "available": D(1)}),
    ],
)
def test_each_limit_at_its_boundary(rule: StopRule | None, progress: dict[str, Any]) -> None:
    assert broken_rule(ALL, Progress(**{**CALM, **progress})) is rule


@pytest.mark.parametrize("field", ["max_minutes", "max_energy_wh", "preauthorization_floor", "balance_floor"])
def test_an_empty_field_is_no_limit(field: str) -> None:
    worst = Progress(elapsed=timedelta(days=9), energy_wh=D(10**9), price=D(10**6), held=D(20), available=D(20))
    alone = StopRules(**{field: getattr(ALL, field)}, ceiling=Ceiling(D(10**7)))
    assert not alone.is_empty
    assert broken_rule(alone, worst) is not None
    none = replace(alone, **{field: None})
    assert none.is_empty
    assert broken_rule(none, worst) is None


def test_a_floor_of_zero_lets_all_be_spent_and_no_more() -> None:
    """0 is a limit, not an empty field: one that is read as none would let the driver run into debt."""
    rules = StopRules(balance_floor=D(0))
    assert not rules.is_empty
    for price, stops in (("19.99", False), ("20.00", True)):
        progress = Progress(elapsed=timedelta(minutes=1), energy_wh=D(1), price=D(price), available=D(20))
        assert (broken_rule(rules, progress) is R.BALANCE) is stops


def test_attempts_are_1_2_4_8_and_then_15_minutes_apart() -> None:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    pauses = [(next_attempt_at(at, attempts) - at).total_seconds() / 60 for attempts in range(1, 8)]
    assert pauses == [1, 2, 4, 8, 15, 15, 15]


def test_words_name_the_limits_as_they_were_entered() -> None:
    assert rule_in_words(R.ENERGY, ALL, EURO) == "energy above 20 kWh"
    assert rule_in_words(R.TIME, ALL, EURO) == "longer than 60 min"
    assert rule_in_words(R.BALANCE, ALL, EURO) == "less than 1.00 EUR left of the balance"
    assert rule_in_words(R.PREAUTHORIZATION, ALL, EURO) == "less than 1.00 EUR left of the pre-authorized amount"
    assert rule_in_words(R.ENERGY, replace(ALL, max_energy_wh=D("7500")), EURO) == "energy above 7.5 kWh"
    limit = price_limit(ALL, held=D(20), available=None)
    assert limits_in_words(ALL, limit, EURO) == "at 20 kWh or 60 min or when the price reaches 19.00 EUR"
    assert limits_in_words(StopRules(max_minutes=5), None, EURO) == "at 5 min"
    assert limits_in_words(StopRules(balance_floor=D(1)), D("-3"), EURO) == "as soon as it costs anything"
    assert limits_in_words(StopRules(), None, EURO) == ""


def test_the_lower_of_two_limits_of_money_counts() -> None:
    assert price_limit(ALL, held=D(20), available=D(15)) == D(14)
    assert price_limit(ALL, held=None, available=None) is None


@given(
    st.builds(
        StopRules,
        max_minutes=st.none() | st.integers(1, 525_600),
        max_energy_wh=st.none() | st.decimals(0, 10**9, places=3),
        preauthorization_floor=st.none() | st.decimals(0, 10**6, places=4),
        balance_floor=st.none() | st.decimals(0, 10**6, places=4),
        ceiling=st.builds(Ceiling, *[st.decimals(0, 10**6, places=6)] * 3),
    )
)
def test_rules_survive_being_stored(rules: StopRules) -> None:
    assert rules_from_json(rules_to_json(rules)) == rules


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"max_minutes": "soon"}, {"max_energy_wh": "much"}, {"ceiling": None}]
)
def test_anything_else_is_no_rules(change: dict[str, Any]) -> None:
    stored = rules_to_json(ALL)
    with pytest.raises(InvalidStopRules):
        rules_from_json({**stored, **change})
    del stored["balance_floor"]
    with pytest.raises(InvalidStopRules):
        rules_from_json(stored)


# --- the ceiling: what spares a session from being priced must never be below its price

_PRICE = st.none() | st.decimals(0, 5, places=3)
_COMMON: dict[str, Any] = {
    "tariff_id": 1,
    "version": 1,
    "name": "T",
    "currency": EURO,
    "vat_percent": D(20),
    "timezone": "Europe/Sofia",
}
_IDLE: dict[str, Any] = {"idle_fee_per_minute": _PRICE, "idle_grace_minutes": st.integers(0, 30)}


def _period() -> st.SearchStrategy[PeriodPrices]:
    return st.builds(PeriodPrices, price_per_minute=_PRICE, price_per_kwh=_PRICE)


def _of(kind: type[TariffSnapshot], **fields: Any) -> st.SearchStrategy[TariffSnapshot]:
    common = {name: st.just(value) for name, value in _COMMON.items()}
    return st.builds(kind, **common, **_IDLE, **fields)


_TARIFFS = st.one_of(
    _of(FreeTariff),
    _of(FlatTariff, price_per_session=st.decimals(0, 20, places=2)),
    _of(DurationEnergyTariff, price_per_minute=_PRICE, price_per_kwh=_PRICE, connection_fee=_PRICE),
    _of(
        TimeOfDayTariff,
        day_starts=st.just(time(7)),
        night_starts=st.just(time(22)),
        day=_period(),
        night=_period(),
        connection_fee=_PRICE,
    ),
    _of(
        PowerLevelsTariff,
        levels=st.lists(st.decimals(0, 1, places=3), min_size=1, max_size=4).map(
            lambda prices: tuple(PowerLevel(7_400 * n, price) for n, price in enumerate(prices, start=1))
        ),
    ),
)


@given(
    tariff=_TARIFFS,
    minutes=st.lists(st.integers(0, 600), min_size=1, max_size=5).map(sorted),
    steps=st.lists(st.integers(0, 30_000), min_size=5, max_size=5),
    ended=st.none() | st.integers(0, 600),
)
def test_no_session_costs_more_than_its_ceiling(
    tariff: TariffSnapshot, minutes: list[int], steps: list[int], ended: int | None
) -> None:
    began = datetime(2026, 11, 22, 19, 30, tzinfo=UTC)
    readings, register = [Reading(began, D(0))], D(0)
    for minute, step in zip(minutes, steps, strict=False):
        register += step
        readings.append(Reading(began + timedelta(minutes=minute), register))
    elapsed = timedelta(minutes=minutes[-1])
    priced = price_session(
        tariff,
        started_at=began,
        stopped_at=began + elapsed,
        readings=readings,
        charging_ended_at=None if ended is None else began + timedelta(minutes=min(ended, minutes[-1])),
    )
    price = priced.total.gross.amount
    rules = StopRules(balance_floor=D(0), ceiling=ceiling_of(tariff))
    assert rules.ceiling.at(elapsed=elapsed, energy_wh=register) >= price
    # so no look is spared that would have found the rule broken
    for available in (price, price + 1, price / 2):
        progress = Progress(elapsed=elapsed, energy_wh=register, price=price, available=available)
        if broken_rule(rules, progress) is not None:
            assert may_be_broken(rules, available, elapsed=elapsed, energy_wh=register)


def test_a_session_far_from_its_limit_is_spared() -> None:
    """Else every reading would cost a look at the database."""
    tariff = DurationEnergyTariff(**_COMMON, price_per_kwh=D("0.40"), connection_fee=D("0.50"))
    rules = StopRules(max_minutes=600, balance_floor=D(1), ceiling=ceiling_of(tariff))
    looks = [
        may_be_broken(rules, D(19), elapsed=timedelta(minutes=wh // 500), energy_wh=D(wh))
        for wh in range(0, 60_000, 500)
    ]
    first = looks.index(True) * 500
    assert 45_500 <= first <= 46_500, "0.50 + 46.25 kWh × 0.40 are 19.00"
    assert all(not before or after for before, after in pairwise(looks)), "once due, always due"


def test_what_charges_nothing_has_no_ceiling() -> None:
    assert ceiling_of(FreeTariff(**_COMMON)) == Ceiling()
    assert ceiling_of(DurationEnergyTariff(**_COMMON)) == Ceiling()
