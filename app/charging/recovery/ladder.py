"""What is tried when a station reports a fault, in which order, and what is done next: rules only, no database.

Manual, "Enable Auto-Recovery". The ladder, each step followed by a wait (``recovery.wait_seconds``) before it is
judged by what the station reports:

1. status check: the station is asked what it reports now; many a fault is over and was never taken back;
2. unlock, for faults of lock or plug only (clearing the authorization cache repairs nothing);
3. soft reset: the station's software restarts;
4. hard reset: the whole station restarts, unless Settings forbid it.

Neither reset interrupts a healthy session. While one runs on another EVSE of the station (for a fault of the station
itself: on any), no reset is sent, soft or hard: many stations end their sessions at a soft reset too, and a driver who
is charging is worth more than an EVSE that does not. The recovery waits and says why, and is given up after
``WAIT_FOR_SESSIONS``. It waits for a station that is not connected, too, up to ``WAIT_FOR_CONNECTION``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.core.types import LabelledEnum

#: a fault is worked on once it has lasted for this long
FAULT_LASTS = timedelta(seconds=30)
WAIT_FOR_CONNECTION = timedelta(minutes=15)
WAIT_FOR_SESSIONS = timedelta(hours=2)
#: while waiting, the situation is looked at this often
LOOK_AGAIN = timedelta(seconds=30)
#: a fault that came back this many times within the cool-down is no longer worked on, until the cool-down is over
MOST_RETURNS = 3


class Step(LabelledEnum):
    """What can be tried, and what is only waited for."""

    STATUS = "status", "Status check"
    UNLOCK = "unlock", "Unlock"
    SOFT_RESET = "soft_reset", "Soft reset"
    HARD_RESET = "hard_reset", "Hard reset"
    WAIT_CONNECTION = "wait_connection", "Waiting for the connection"
    WAIT_SESSION = "wait_session", "Waiting for a charging session"


RESETS = frozenset({Step.SOFT_RESET, Step.HARD_RESET})
WAITS = frozenset({Step.WAIT_CONNECTION, Step.WAIT_SESSION})

_USUAL = (Step.STATUS, Step.SOFT_RESET, Step.HARD_RESET)
_WITH_UNLOCK = (Step.STATUS, Step.UNLOCK, Step.SOFT_RESET, Step.HARD_RESET)
#: the cause is the weather or the grid: it is given time before the station is restarted
_PATIENT = (Step.STATUS, Step.STATUS, Step.SOFT_RESET, Step.HARD_RESET)

#: error code, as stations write it (without regard to case) → what is tried. Any other, and none: the usual.
LADDERS: dict[str, tuple[Step, ...]] = {
    "connectorlockfailure": _WITH_UNLOCK,
    "evcommunicationerror": _WITH_UNLOCK,
    "hightemperature": _PATIENT,
    "overvoltage": _PATIENT,
    "undervoltage": _PATIENT,
}


def ladder(error_code: str | None, *, network_id: int) -> tuple[Step, ...]:
    """The steps for a fault. ``network_id`` 0 is the station itself, which has no connector to unlock."""
    steps = LADDERS.get((error_code or "").lower(), _USUAL)
    return steps if network_id else tuple(step for step in steps if step is not Step.UNLOCK)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that counts when a step is due."""

    steps: tuple[Step, ...]
    #: index of the step that comes next; as many as there are steps: all were tried
    next_step: int
    #: why it is no business of ours any more, in words; empty while it is
    cancelled: str = ""
    faulted: bool = True
    connected: bool = True
    #: a healthy session runs on another EVSE
    busy: bool = False
    hard_reset_allowed: bool = True
    #: the last step that was really tried, and what its command has come to
    last: Step | None = None
    last_pending: bool = False
    last_not_connected: bool = False
    #: a status report has come since
    reported_since: bool = True
    #: what is being waited for, and for how long already
    waiting: Step | None = None
    waited: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Try:
    """Send the command of a step. ``again``: it does not move up the ladder."""

    step: Step
    again: bool = False


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Go past a step; ``why`` is noted."""

    step: Step
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later. ``kind`` None: for the answer that is still out; else what is noted, once."""

    kind: Step | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The fault is gone."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing helped, or nothing more may be tried; ``why`` is for the e-mail."""

    why: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """An operator took the station out of our hands."""

    why: str


Decision = Try | LeaveOut | Wait | Recovered | GiveUp | Cancel


def decide(now: Situation) -> Decision:
    """What is done next. The first rule that holds counts."""
    if now.cancelled:
        return Cancel(now.cancelled)
    if not now.faulted:
        return Recovered()
    if now.last_pending:
        return Wait(None)
    if not now.connected or now.last_not_connected:
        waited = now.waited if now.waiting is Step.WAIT_CONNECTION else timedelta(0)
        if waited >= WAIT_FOR_CONNECTION:
            minutes = WAIT_FOR_CONNECTION // timedelta(minutes=1)
            return GiveUp(f"The charge point was not connected for {minutes} minutes.")
    if not now.connected:
        return Wait(Step.WAIT_CONNECTION, "The charge point is not connected")
    if now.last is not None and now.last_not_connected:  # it is there now, and has not heard it
        return _next(now, now.last, again=True)
    if now.last in RESETS and not now.reported_since:
        return Try(Step.STATUS, again=True)
    if now.next_step >= len(now.steps):
        return GiveUp("Every step was tried; the fault is still reported.")
    return _next(now, now.steps[now.next_step], again=False)


def _next(now: Situation, step: Step, *, again: bool) -> Decision:
    if step is Step.HARD_RESET and not now.hard_reset_allowed:
        why = "hard resets are switched off in Settings"
        return GiveUp(f"Nothing else helped, and {why}.") if again else LeaveOut(step, f"Left out: {why}")
    if step in RESETS and now.busy:
        return _beside_a_session(now)
    return Try(step, again=again)


def _beside_a_session(now: Situation) -> Decision:
    waited = now.waited if now.waiting is Step.WAIT_SESSION else timedelta(0)
    if waited >= WAIT_FOR_SESSIONS:
        hours = WAIT_FOR_SESSIONS // timedelta(hours=1)
        return GiveUp(f"A session was running on another EVSE for {hours} hours, so the charge point was not reset.")
    return Wait(Step.WAIT_SESSION, "A session is running on another EVSE; it is not interrupted")
