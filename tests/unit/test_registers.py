"""Energy registers: whatever a station sends, the normalised series never falls and never leaps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.charging.registers import (
    CLOCK_MARGIN,
    POWER_MARGIN,
    WHOLE_KWH,
    RegisterFlag,
    RegisterState,
    begin_register,
    normalise_reading,
    pricing_series,
)
from app.tariffs.pricing import Reading

F = RegisterFlag
START = datetime(2026, 6, 10, 9, 0, tzinfo=UTC)
POWER_W = 22_000


def feed(start, *raws, every=60, power=POWER_W):
    """Readings at equal distances (seconds) after the start, or given as (seconds, register)."""
    state = begin_register(register_wh=None if start is None else D(str(start)), at=START)
    results = []
    for n, raw in enumerate(raws, start=1):
        seconds, raw = raw if isinstance(raw, tuple) else (n * every, raw)
        at = START + timedelta(seconds=seconds)
        results.append(normalise_reading(state, raw_wh=D(str(raw)), at=at, max_power_w=power))
        state = results[-1].state
    return results


def energies(results):
    return [result.state.energy_wh for result in results]


def flags(results):
    return [set(result.flags) for result in results]


def test_an_ordinary_charge():
    results = feed(1000, 1300, 1650, 1650, 2000)
    assert energies(results) == [300, 650, 650, 1000]
    assert [r.register_wh for r in results] == [1300, 1650, 1650, 2000]
    assert all(r.taken and not r.flags for r in results)


def test_without_a_register_at_the_start_energy_counts_from_the_first_reading():
    results = feed(None, 5000, 5300)
    assert energies(results) == [0, 300]
    assert flags(results) == [{F.START_MISSING}, set()]
    assert begin_register(register_wh=D(-1), at=START).start_wh is None
    assert begin_register(register_wh=None, at=START).energy_wh == 0


def test_a_register_below_zero_is_not_taken():
    results = feed(1000, 1300, -5, 1600)
    assert energies(results) == [300, 300, 600]
    assert flags(results) == [set(), {F.NEGATIVE}, set()]
    assert [r.taken for r in results] == [True, False, True]


# Restarts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart_at", [0, 5, 120])
def test_a_register_that_restarts_goes_on_from_where_it_was(restart_at):
    results = feed(900_000, 900_300, 900_600, restart_at, restart_at + 350, restart_at + 700)
    assert energies(results) == [300, 600, 600 + restart_at, 950 + restart_at, 1300 + restart_at]
    assert flags(results) == [set(), set(), {F.RESTARTED}, set(), set()]


def test_a_register_per_session_after_a_lifetime_register_at_the_start():
    (stop,) = feed(123_456, (2400, 7400))
    assert stop.state.energy_wh == 7400
    assert stop.flags == (F.RESTARTED,)


def test_two_restarts_in_one_session():
    results = feed(50_000, 50_300, 0, 300, 600, 10, 310)
    assert energies(results) == [300, 300, 600, 900, 910, 1210]


@pytest.mark.parametrize("wrong", [[0], [0, 0], [0, 0, 0]])
def test_a_single_zero_between_good_readings_costs_nothing(wrong):
    results = feed(500, 800, *wrong, 1100, 1400)
    assert energies(results)[-2:] == [600, 900]
    assert F.RESTART_UNDONE in results[-2].flags
    assert results[-1].flags == ()


def test_a_wrong_reading_as_the_last_one_costs_nothing():
    assert energies(feed(500, 800, 1100, 0))[-1] == 600


def test_what_was_counted_since_a_supposed_restart_is_not_taken_away_again():
    results = feed(500, 800, 1100, 200, 1200)
    assert energies(results) == [300, 600, 800, 800]


def test_a_fall_to_more_than_half_is_no_restart():
    results = feed(500, 900, 850, 1210)
    assert energies(results) == [400, 400, 710]
    assert flags(results) == [set(), {F.FELL}, set()]


# Falls and jumps ------------------------------------------------------------------------------------------


def test_a_fall_that_is_no_restart_is_not_taken():
    results = feed(500_000, 500_300, 499_000, 500_900)
    assert energies(results) == [300, 300, 900]
    assert flags(results) == [set(), {F.FELL}, set()]
    assert results[1].register_wh == 500_300
    assert not results[1].taken


@pytest.mark.parametrize("stop", ["1649.6", "1650", "1645", "1640"])
def test_a_stop_told_more_coarsely_than_the_readings_holds(stop):
    results = feed(1000, "1649.99", stop)
    assert results[-1].taken
    assert results[-1].flags == ()
    assert results[-1].state.energy_wh == max(D("649.99"), D(stop) - 1000)


def test_a_jump_beyond_what_the_evse_can_deliver_is_not_taken():
    results = feed(1000, 1300, 90_000, 1900, 2200)
    assert energies(results) == [300, 300, 900, 1200]
    assert flags(results) == [set(), {F.JUMPED}, set(), set()]


def test_a_jump_as_the_stop_is_not_billed():
    (stop,) = feed(0, (2400, 123_456_789))
    assert (stop.state.energy_wh, stop.flags, stop.taken) == (0, (F.JUMPED,), False)


def test_a_register_that_goes_on_from_another_level_is_followed_without_the_step():
    up = feed(0, 123_456_300, 123_456_600, 123_456_900)
    assert energies(up) == [0, 300, 600]
    assert flags(up) == [{F.JUMPED}, {F.NEW_LEVEL}, set()]
    down = feed(800_000, 800_300, 500_000, 500_350, 500_700)
    assert energies(down) == [300, 300, 650, 1000]
    assert flags(down) == [set(), {F.FELL}, {F.NEW_LEVEL}, set()]


def test_the_longest_possible_number_twice_is_not_billed():
    results = feed(1000, 1300, 2**32 - 1, 2**32 - 1, 1900, 2200)
    assert energies(results)[-1] <= 1200
    assert energies(results) == sorted(energies(results))


@pytest.mark.parametrize(
    ("power_w", "seconds", "rise", "taken"),
    [
        (22_000, 3600, 22_000, True),
        (22_000, 3600, 33_000, True),
        (22_000, 3600, 34_001, False),
        (7_400, 60, 123, True),
        (7_400, 60, 9_001, False),
        # whole kWh come in steps: one step is always possible
        (3_700, 60, 1_000, True),
        (3_700, 60, 2_000, False),
        # unknown power: anything there is, and no more
        (None, 3600, 400_000, True),
        (None, 3600, 2_000_001, False),
    ],
)
def test_what_an_evse_can_deliver(power_w, seconds, rise, taken):
    (result,) = feed(5_000_000, (seconds, 5_000_000 + rise), power=power_w)
    assert result.taken is taken


def test_a_gap_without_connection_is_caught_up():
    results = feed(1000, 1300, (7200, 40_000))
    assert energies(results)[-1] == 39_000


def test_margins_do_not_add_up_reading_by_reading():
    raws = [(n, 1000 + 200 * n) for n in range(1, 200)]
    results = feed(1000, *raws)
    deliverable = POWER_W * POWER_MARGIN * (199 + 60) / 3600 + WHOLE_KWH
    assert energies(results)[-1] <= deliverable
    assert any(F.JUMPED in result.flags for result in results)


# Units ----------------------------------------------------------------------------------------------------


def test_kwh_without_unit_among_wh():
    results = feed(123_000, 123_300, "123.65", "124.000", 124_350)
    assert energies(results) == [300, 650, 1000, 1350]
    assert flags(results) == [set(), {F.UNIT_CORRECTED}, {F.UNIT_CORRECTED}, set()]


def test_a_stop_in_whole_kwh_holds_the_register():
    results = feed(123_000, 123_456, 123)
    assert energies(results) == [456, 456]
    assert flags(results) == [set(), {F.UNIT_CORRECTED}]


def test_wh_labelled_as_kwh():
    results = feed(123_000, 123_300, 123_650_000, 124_000)
    assert energies(results) == [300, 650, 1000]
    assert flags(results) == [set(), {F.UNIT_CORRECTED}, set()]


def test_a_factor_that_could_as_well_be_a_restart_is_not_corrected():
    # 1 may be 1 kWh, or 1 Wh after a restart: from so low a register nobody can tell.
    results = feed(500, 800, 1, 300)
    assert F.UNIT_CORRECTED not in results[1].flags
    assert energies(results)[1] == 301


# Late and repeated ----------------------------------------------------------------------------------------


def test_a_late_reading_is_kept_and_changes_nothing():
    results = feed(1000, (60, 1300), (180, 1900), (120, 1600))
    late = results[-1]
    assert (late.register_wh, late.taken, late.flags) == (1600, True, (F.LATE,))
    assert late.state == results[1].state


@pytest.mark.parametrize("wrong", [500, 5000])
def test_a_late_reading_outside_the_curve_takes_no_part(wrong):
    late = feed(1000, (60, 1300), (180, 1900), (120, wrong))[-1]
    assert (late.register_wh, late.taken, late.flags) == (1900, False, (F.LATE,))
    assert late.state.energy_wh == 900


def test_a_repeated_reading_changes_nothing():
    results = feed(1000, (60, 1300), (60, 1300))
    assert results[1].taken
    assert results[1].flags == ()
    assert results[1].state == results[0].state


def test_two_values_at_one_time_never_make_a_restart():
    results = feed(1000, (60, 1300), (60, 0), (120, 1600))
    assert flags(results) == [set(), {F.FELL}, set()]
    assert energies(results) == [300, 300, 600]


# Laws -----------------------------------------------------------------------------------------------------

anything = st.one_of(
    st.integers(-10, 10**10).map(D),
    st.decimals(0, 10**6, places=3),
    st.integers(0, 3000).map(D),
)
whenever = st.integers(-7200, 40_000).map(lambda s: START + timedelta(seconds=s))
power = st.none() | st.integers(1000, 400_000)


def run(state, readings, max_power_w):
    for at, raw_wh in readings:
        result = normalise_reading(state, raw_wh=raw_wh, at=at, max_power_w=max_power_w)
        yield state, result
        state = result.state


@settings(deadline=None, max_examples=300)
@given(st.none() | anything, st.lists(st.tuples(whenever, anything), max_size=12), power)
def test_whatever_comes_the_register_never_falls_and_energy_is_never_negative(start, readings, max_power_w):
    begun = begin_register(register_wh=start, at=START)
    for before, result in run(begun, readings, max_power_w):
        after = result.state
        if before.raw_wh is not None:
            assert after.register_wh >= before.register_wh
            assert after.at >= before.at
            assert after.start_wh == before.start_wh
        assert after.energy_wh >= 0
        assert result.taken or (result.flags and after.register_wh == before.register_wh)
        if result.taken:
            assert after.start_wh <= result.register_wh <= after.register_wh


@settings(deadline=None, max_examples=300)
@given(anything, st.lists(st.tuples(whenever, anything), max_size=12), st.integers(1000, 400_000))
def test_never_more_than_the_evse_can_deliver(start, readings, max_power_w):
    results = list(run(begin_register(register_wh=abs(start), at=START), readings, max_power_w))
    if results:
        latest = max((at for at, _ in readings), default=START)
        seconds = (max(latest - START, timedelta(0)) + CLOCK_MARGIN).total_seconds()
        most = max_power_w * POWER_MARGIN * D(seconds) / 3600 + WHOLE_KWH
        assert results[-1][1].state.energy_wh <= most


@settings(deadline=None)
@given(anything, st.lists(st.tuples(whenever, anything), max_size=12))
def test_what_was_taken_can_always_be_priced(start, readings):
    results = [r for _, r in run(begin_register(register_wh=abs(start), at=START), readings, POWER_W)]
    taken = [(at, r.register_wh) for (at, _), r in zip(readings, results, strict=True) if r.taken]
    series = pricing_series([(START, abs(start)), *taken])
    assert [reading.at for reading in series] == sorted(reading.at for reading in series)
    registers = [reading.register_wh for reading in series]
    assert registers == sorted(registers)
    last = results[-1].state.register_wh if results else abs(start)
    assert registers[-1] == last


@st.composite
def charges(draw, least=0):
    """A start register, and true readings in order that the EVSE can deliver; whole Wh."""
    start = D(draw(st.integers(least, 10**8)))
    steps = draw(st.lists(st.tuples(st.integers(10, 1800), st.integers(0, 100)), min_size=1, max_size=10))
    seconds = list(accumulate(s for s, _ in steps))
    energy = list(accumulate(D(POWER_W * s * share // 360_000) for s, share in steps))
    readings = [(START + timedelta(seconds=s), start + wh) for s, wh in zip(seconds, energy, strict=True)]
    return start, readings


def last_state(start, readings):
    state = begin_register(register_wh=start, at=START)
    for _, result in run(state, readings, POWER_W):
        state = result.state
    return state


@settings(deadline=None)
@given(charges(), st.randoms(use_true_random=False))
def test_without_restarts_the_order_of_arrival_does_not_matter(charge, random):
    start, readings = charge
    shuffled = list(readings)
    random.shuffle(shuffled)
    results = [r for _, r in run(begin_register(register_wh=start, at=START), shuffled, POWER_W)]
    assert results[-1].state.register_wh == readings[-1][1]
    assert all(r.taken and set(r.flags) <= {F.LATE} for r in results)
    taken = [(at, r.register_wh) for (at, _), r in zip(shuffled, results, strict=True)]
    assert pricing_series(taken) == tuple(Reading(at, wh) for at, wh in readings)


@settings(deadline=None)
@given(charges(least=11), st.data())
def test_one_wrong_reading_among_true_ones_changes_nothing(charge, data):
    start, readings = charge  # not from 0, where a 0 is no wrong reading
    spoilt = data.draw(st.integers(0, len(readings) - 1))
    nonsense = data.draw(st.sampled_from([D(-1), D(0), D(2) ** 63, D("1E12")]))
    wrong = [(at, nonsense if n == spoilt else wh) for n, (at, wh) in enumerate(readings)]
    true_end = readings[-1][1] if spoilt < len(readings) - 1 else ([start] + [w for _, w in readings])[-2]
    end = last_state(start, wrong)
    assert end.energy_wh == true_end - start


@settings(deadline=None)
@given(charges(least=10**7), st.data())
def test_a_restart_loses_no_energy(charge, data):
    start, readings = charge
    restart = data.draw(st.integers(0, len(readings) - 1))
    base = ([start] + [wh for _, wh in readings])[restart]
    restarted = [(at, wh - base if n >= restart else wh) for n, (at, wh) in enumerate(readings)]
    end = last_state(start, restarted)
    assert end.energy_wh == readings[-1][1] - start


@settings(deadline=None)
@given(charges(least=10_000), st.lists(st.sampled_from([1, D("0.001"), 1000]), min_size=10, max_size=10))
def test_a_slip_of_the_unit_loses_no_energy(charge, factors):
    start, readings = charge
    slipped = [(at, wh * factor) for (at, wh), factor in zip(readings, factors, strict=False)]
    assert last_state(start, slipped).energy_wh == readings[-1][1] - start


# State and words ------------------------------------------------------------------------------------------


def test_the_state_can_be_rebuilt_from_what_a_session_stores():
    state = feed(50_000, 50_300, 0, 300)[-1].state
    rebuilt = RegisterState(
        started_at=state.started_at,
        start_wh=state.start_wh,
        raw_wh=state.raw_wh,
        at=state.at,
        offset_wh=state.offset_wh,
    )
    assert rebuilt == replace(state, doubted=None, before_restart=None)
    at = state.at + timedelta(seconds=60)
    again = [normalise_reading(s, raw_wh=D(600), at=at, max_power_w=POWER_W) for s in (state, rebuilt)]
    assert [r.state.energy_wh for r in again] == [900, 900]


def test_a_series_to_price_holds_where_a_late_reading_is_higher():
    minute = timedelta(minutes=1)
    series = pricing_series([(START + 2 * minute, D(80)), (START, D(0)), (START + minute, D(100))])
    assert [reading.register_wh for reading in series] == [0, 100, 100]
    assert pricing_series([]) == ()


def test_flags_have_labels_and_fit_where_they_are_stored():
    labels = [flag.label for flag in RegisterFlag]
    assert len(set(labels)) == len(labels)
    assert max(len(flag.value) for flag in RegisterFlag) <= 60
