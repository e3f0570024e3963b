"""A station's energy register made fit to bill: a series that never falls and never leaps.

Meters restart, fall, jump, repeat themselves, come late and mistake kWh for Wh (stations, "Meters", 14). Each
reading goes down one ladder of rules and the first that fits decides; whatever is unusual is flagged, kept with
the raw value, and shown on the session. The normalised register is raw + offset; energy is that minus its value
at the start. When in doubt less is billed, never more.

Not recognised here, because the register alone cannot tell: a whole series in the wrong unit from its start.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.tariffs.pricing import Reading

#: An EVSE may deliver more than the power typed in for display, which is not enforced (manual, "EVSE", 5).
POWER_MARGIN = Decimal("1.5")
#: Time stamps of a station are whole seconds, and some send a value well after taking it.
CLOCK_MARGIN = timedelta(seconds=60)
#: Faster than any EVSE there is: what is possible where the operator gave no power.
ASSUMED_MAX_POWER_W = 1_000_000
#: A register that counts whole kWh, or hundredths of them, moves in such steps and is rounded by them.
WHOLE_KWH = Decimal(1000)
ROUNDING_WH = Decimal(10)
#: Below this a thousandth of the register cannot be told from a meter that has just restarted.
SLIP_FROM_WH = Decimal(10_000)

_NOTHING = Decimal(0)
_HOUR_S = Decimal(3600)


class RegisterFlag(StrEnum):
    """What was unusual about a reading."""

    START_MISSING = "register_start_missing"
    LATE = "register_late"
    NEGATIVE = "register_negative"
    FELL = "register_fell"
    JUMPED = "register_jumped"
    RESTARTED = "register_restarted"
    RESTART_UNDONE = "register_restart_undone"
    NEW_LEVEL = "register_new_level"
    UNIT_CORRECTED = "register_unit_corrected"
    STOP_DECIDED = "register_stop_decided"

    @property
    def label(self) -> str:
        """What it was and what was done, in words for the session's page."""
        return _FLAG_LABELS[self]


_FLAG_LABELS = {
    RegisterFlag.START_MISSING: "No register at the start: energy counts from the first reading",
    RegisterFlag.LATE: "Reading came late: kept, the energy stays as it was",
    RegisterFlag.NEGATIVE: "Register below zero: reading not taken",
    RegisterFlag.FELL: "Register fell: reading not taken",
    RegisterFlag.JUMPED: "Register rose by more than the EVSE can deliver: reading not taken",
    RegisterFlag.RESTARTED: "Register restarted near zero: energy goes on from where it was",
    RegisterFlag.RESTART_UNDONE: "Register is back: the restart before was a wrong reading",
    RegisterFlag.NEW_LEVEL: "Register goes on from another level: the step between is not counted",
    RegisterFlag.UNIT_CORRECTED: "Reading was wrong by a factor of 1000: corrected",
    RegisterFlag.STOP_DECIDED: "The readings say otherwise: the energy is the register at the stop minus the start",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A raw register (Wh) at a time, and the offset it was normalised with."""

    raw_wh: Decimal
    at: datetime
    offset_wh: Decimal = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterState:
    """What is remembered of a session's register: the normalised start, the last reading taken, the offset.

    `doubted` is the last reading that was not taken, `before_restart` what the register was before it
    restarted; both only help to judge the next reading and may be forgotten.
    """

    started_at: datetime
    start_wh: Decimal | None
    raw_wh: Decimal | None
    at: datetime
    offset_wh: Decimal = _NOTHING
    doubted: Mark | None = None
    before_restart: Mark | None = None

    @property
    def register_wh(self) -> Decimal:
        """The normalised register, Wh; 0 before the first reading."""
        return _NOTHING if self.raw_wh is None else self.raw_wh + self.offset_wh

    @property
    def energy_wh(self) -> Decimal:
        """The energy of the session so far, Wh."""
        return _NOTHING if self.start_wh is None else self.register_wh - self.start_wh


@dataclass(frozen=True, slots=True)
class NormalisedReading:
    """What became of a reading.

    register_wh is its normalised register, Wh: if not `taken`, the one that holds in its place, and the
    reading takes no part in pricing. `state` is to be kept for the next reading.
    """

    register_wh: Decimal
    taken: bool
    flags: tuple[RegisterFlag, ...]
    state: RegisterState


@dataclass(frozen=True, slots=True)
class _New:
    """The reading to be judged."""

    raw_wh: Decimal
    at: datetime
    max_power_w: Decimal

    def rises_from(self, mark: Mark, headroom_wh: Decimal) -> bool:
        """Whether the EVSE can have delivered the difference to an earlier reading, up to the headroom."""
        return _NOTHING <= self.raw_wh - mark.raw_wh <= min(self.deliverable_wh(mark.at), headroom_wh)

    def deliverable_wh(self, since: datetime) -> Decimal:
        """The most the register can have risen since then, with margins for power, clock and step."""
        seconds = Decimal((max(self.at - since, timedelta(0)) + CLOCK_MARGIN).total_seconds())
        step = ROUNDING_WH if self.raw_wh % WHOLE_KWH else WHOLE_KWH
        return self.max_power_w * POWER_MARGIN * seconds / _HOUR_S + step


def begin_register(*, register_wh: Decimal | None, at: datetime) -> RegisterState:
    """The state at the start of a session; without a register (or with one below zero) it waits for one."""
    start_wh = None if register_wh is None or register_wh < 0 else register_wh
    return RegisterState(started_at=at, start_wh=start_wh, raw_wh=start_wh, at=at)


def normalise_reading(
    state: RegisterState, *, raw_wh: Decimal, at: datetime, max_power_w: Decimal | int | None = None
) -> NormalisedReading:
    """Judge the next raw register reading (Wh) of a session, taken at `at` (UTC).

    The state's register never falls and its energy is never negative, whatever comes in whatever order.
    """
    if raw_wh < 0:
        return _refuse(state, RegisterFlag.NEGATIVE)
    if state.raw_wh is None:
        started = replace(state, start_wh=raw_wh, raw_wh=raw_wh, at=at)
        return NormalisedReading(raw_wh, True, (RegisterFlag.START_MISSING,), started)
    if at < state.at:
        return _late(state, raw_wh)
    new = _New(raw_wh, at, Decimal(max_power_w or ASSUMED_MAX_POWER_W))
    for rule in _LADDER:
        judged = rule(state, state.raw_wh, new)
        if judged is not None:
            return judged
    return _doubt(state, state.raw_wh, new)


def pricing_series(readings: Iterable[tuple[datetime, Decimal]]) -> tuple[Reading, ...]:
    """Normalised readings in any order as a series to price: in the order of time, and never falling.

    A late reading above an earlier one of a later time would make it fall; there the higher one holds.
    """
    series: list[Reading] = []
    highest: Decimal | None = None
    for at, register_wh in sorted(readings):
        highest = register_wh if highest is None else max(highest, register_wh)
        series.append(Reading(at, highest))
    return tuple(series)


def _late(state: RegisterState, raw_wh: Decimal) -> NormalisedReading:
    """A reading from before the last one: it may draw the curve, if it lies in it, and changes nothing."""
    register_wh = raw_wh + state.offset_wh
    in_curve = state.start_wh is not None and state.start_wh <= register_wh <= state.register_wh
    shown = register_wh if in_curve else state.register_wh
    return NormalisedReading(shown, in_curve, (RegisterFlag.LATE,), state)


def _restart_undone(state: RegisterState, _: Decimal, new: _New) -> NormalisedReading | None:
    """The reading goes on from before the restart, which therefore was a single wrong reading.

    It may go on from after the restart as well, but only by more: in doubt, less is billed.
    """
    before = state.before_restart
    if before is None or not new.rises_from(before, _headroom_wh(state, new)):
        return None
    offset_wh = max(before.offset_wh, state.register_wh - new.raw_wh)
    return _take(state, new.at, new.raw_wh, offset_wh, RegisterFlag.RESTART_UNDONE)


def _rises(state: RegisterState, last_raw_wh: Decimal, new: _New) -> NormalisedReading | None:
    """The ordinary case: by no more than the EVSE can deliver since the last reading and since the start."""
    if not new.rises_from(Mark(last_raw_wh, state.at), _headroom_wh(state, new)):
        return None
    judged = _take(state, new.at, new.raw_wh, state.offset_wh)
    if new.raw_wh == last_raw_wh:
        # Nothing learnt about a restart just before: the next reading may still undo it.
        return replace(judged, state=replace(judged.state, before_restart=state.before_restart))
    return judged


def _rounded_down(state: RegisterState, last_raw_wh: Decimal, new: _New) -> NormalisedReading | None:
    """A stop is told in whole Wh, or hundredths of a kWh, after finer readings: the register holds."""
    if not last_raw_wh - ROUNDING_WH <= new.raw_wh < last_raw_wh:
        return None
    return _take(state, new.at, last_raw_wh, state.offset_wh)


def _unit_slip(state: RegisterState, last_raw_wh: Decimal, new: _New) -> NormalisedReading | None:
    """kWh sent as Wh, or Wh as kWh: times or by 1000 the reading fits the register exactly, as it is not."""
    if last_raw_wh < SLIP_FROM_WH:
        return None
    if new.raw_wh < last_raw_wh:
        corrected = replace(new, raw_wh=new.raw_wh * 1000)
        # What was rounded in kWh may be lower than the register by one step of its last decimal.
        exponent = new.raw_wh.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        rounding_wh = max(WHOLE_KWH.scaleb(-decimals), ROUNDING_WH)
    else:
        corrected = replace(new, raw_wh=new.raw_wh / 1000)
        rounding_wh = ROUNDING_WH
    held = replace(corrected, raw_wh=max(corrected.raw_wh, last_raw_wh))
    if held.raw_wh - corrected.raw_wh > rounding_wh:
        return None
    if not held.rises_from(Mark(last_raw_wh, state.at), _headroom_wh(state, held)):
        return None
    return _take(state, new.at, held.raw_wh, state.offset_wh, RegisterFlag.UNIT_CORRECTED)


def _new_level(state: RegisterState, _: Decimal, new: _New) -> NormalisedReading | None:
    """The reading goes on from the one that was doubted: both are true, only the step between is not."""
    doubted = state.doubted
    if doubted is None or not new.rises_from(doubted, _headroom_wh(state, new)):
        return None
    offset_wh = state.register_wh - doubted.raw_wh
    return _take(state, new.at, new.raw_wh, offset_wh, RegisterFlag.NEW_LEVEL)


def _restarted(state: RegisterState, last_raw_wh: Decimal, new: _New) -> NormalisedReading | None:
    """Per boot or per session the register starts again at 0: what it shows has come since, and can have.

    "Near zero" is what the EVSE can have delivered since the last reading, and less than half of that.
    """
    most_wh = min(new.deliverable_wh(state.at), _headroom_wh(state, new), last_raw_wh / 2)
    if new.at == state.at or new.raw_wh > most_wh:
        return None
    judged = _take(state, new.at, new.raw_wh, state.register_wh, RegisterFlag.RESTARTED)
    before = Mark(last_raw_wh, state.at, state.offset_wh)
    return replace(judged, state=replace(judged.state, before_restart=before))


_LADDER: tuple[Callable[[RegisterState, Decimal, _New], NormalisedReading | None], ...] = (
    _restart_undone,
    _rises,
    _rounded_down,
    _unit_slip,
    _new_level,
    _restarted,
)


def _doubt(state: RegisterState, last_raw_wh: Decimal, new: _New) -> NormalisedReading:
    """No rule explains it: not taken, but remembered, in case the next reading goes on from it."""
    flag = RegisterFlag.FELL if new.raw_wh < last_raw_wh else RegisterFlag.JUMPED
    return _refuse(replace(state, doubted=Mark(new.raw_wh, new.at)), flag)


def _headroom_wh(state: RegisterState, new: _New) -> Decimal:
    """What may still be added, so that many small margins do not add up to more than can be delivered."""
    return new.deliverable_wh(state.started_at) - state.energy_wh


def _take(
    state: RegisterState, at: datetime, raw_wh: Decimal, offset_wh: Decimal, *flags: RegisterFlag
) -> NormalisedReading:
    taken = replace(state, raw_wh=raw_wh, at=at, offset_wh=offset_wh, doubted=None, before_restart=None)
    return NormalisedReading(taken.register_wh, True, flags, taken)


def _refuse(state: RegisterState, flag: RegisterFlag) -> NormalisedReading:
    return NormalisedReading(state.register_wh, False, (flag,), state)
