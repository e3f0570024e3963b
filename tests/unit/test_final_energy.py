"""The energy at the stop: stop minus start, unless that cannot be. docs/adr/0007-energy-at-the-stop.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charging.final_energy import PLAUSIBLE_WH, final_reading
from app.charging.registers import RegisterFlag, RegisterState, begin_register, normalise_reading

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
JUMPED, FELL, DECIDED = RegisterFlag.JUMPED, RegisterFlag.FELL, RegisterFlag.STOP_DECIDED


def course(start: int | None, *readings: tuple[int, int], power_w: int = 22_000) -> RegisterState:
    """The meter after readings of (minute, Wh)."""
    state = begin_register(register_wh=None if start is None else Decimal(start), at=T0)
    for minute, raw_wh in readings:
        at = T0 + timedelta(minutes=minute)
        state = normalise_reading(state, raw_wh=Decimal(raw_wh), at=at, max_power_w=power_w).state
    return state


@pytest.mark.parametrize(
    ("state", "stop_wh", "minute", "restarted", "energy_wh", "flags"),
    [
        # as it should be
        (course(1000, (10, 3000)), 8400, 40, False, 7400, ()),
        (course(1000), 1000, 40, False, 0, ()),
        (course(1000, (10, 3000)), 3000, 10, False, 2000, ()),
        # more than the display power allows in the time: the meter is believed, and it is said
        (course(1000, (10, 3000)), 61_000, 20, False, 60_000, (JUMPED, DECIDED)),
        (course(0), 150_000, 1, False, 150_000, (JUMPED, DECIDED)),
        (course(0), 150_001, 1, False, 0, (JUMPED,)),
        # a stop stamped before the last reading
        (course(1000, (30, 3000)), 8400, 20, False, 7400, (JUMPED, DECIDED)),
        # a reading in between that was wrong upwards does not stay
        (course(1000, (10, 6500)), 6000, 40, False, 5000, (FELL, DECIDED)),
        # a step that the readings did not count, told by the stop as energy
        (course(0, (5, 500), (6, 90_000), (7, 90_100)), 91_000, 10, False, 91_000, (DECIDED,)),
        # the register began anew: stop minus start means nothing
        (course(50_000, (10, 51_000), (11, 50), (12, 300)), 2000, 40, True, 3000, ()),
        (course(50_000, (10, 51_000)), 100, 11, False, 1100, (RegisterFlag.RESTARTED,)),
        # the stop in kWh after a start in Wh
        (course(1_000_000, (10, 1_001_000)), 1007, 40, False, 7000, (RegisterFlag.UNIT_CORRECTED,)),
        # below the start, and no rule explains it
        (course(1_000_000, (10, 1_001_000)), 900_000, 40, False, 1000, (FELL,)),
        # no start: energy counts from the first reading
        (course(None, (10, 3000)), 8400, 40, False, 5400, ()),
        (course(None), 8400, 40, False, 0, (RegisterFlag.START_MISSING,)),
    ],
)
def test_the_stop(
    state: RegisterState, stop_wh: int, minute: int, restarted: bool, energy_wh: int, flags: tuple[RegisterFlag, ...]
) -> None:
    at = T0 + timedelta(minutes=minute)
    judged = final_reading(state, raw_wh=Decimal(stop_wh), at=at, max_power_w=22_000, restarted=restarted)
    assert (judged.state.energy_wh, judged.flags) == (energy_wh, flags)


@given(
    start=st.integers(0, 10**7),
    readings=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2 * 10**7)), max_size=5),
    stop_wh=st.integers(-(10**6), 2 * 10**7),
    minute=st.integers(0, 90),
    restarted=st.booleans(),
)
def test_never_negative_never_without_a_flag_never_beyond_reason(
    start: int, readings: list[tuple[int, int]], stop_wh: int, minute: int, restarted: bool
) -> None:
    state = course(start, *sorted(readings))
    at = T0 + timedelta(minutes=minute)
    judged = final_reading(state, raw_wh=Decimal(stop_wh), at=at, max_power_w=22_000, restarted=restarted)
    energy_wh = judged.state.energy_wh
    assert energy_wh >= 0
    assert judged.state.at >= state.at
    by_stop = Decimal(stop_wh - start)
    if not restarted and 0 <= by_stop <= PLAUSIBLE_WH:
        assert energy_wh == by_stop, "what the driver reads on the display is what is billed"
        ladder = normalise_reading(state, raw_wh=Decimal(stop_wh), at=max(at, state.at), max_power_w=22_000)
        agrees = ladder.taken and ladder.state.energy_wh == by_stop
        assert (DECIDED in judged.flags) is not agrees
    else:
        assert DECIDED not in judged.flags
        # the ladder's own bound: what the EVSE can deliver, with its margins
        assert energy_wh <= max(state.energy_wh, Decimal(22_000) * Decimal("1.5") * (90 + 1) / 60 + 2000)
