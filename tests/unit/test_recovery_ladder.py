"""The ladder of auto-recovery: every situation has one answer, and some answers are never given."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from app.charging.recovery import words as fault_words
from app.charging.recovery.ladder import (
    LADDERS,
    RESETS,
    WAIT_FOR_CONNECTION,
    WAIT_FOR_SESSIONS,
    WAITS,
    Cancel,
    Decision,
    GiveUp,
    LeaveOut,
    Recovered,
    Situation,
    Step,
    Try,
    Wait,
    decide,
    ladder,
)

USUAL = (Step.STATUS, Step.SOFT_RESET, Step.HARD_RESET)
AT_FIRST = Situation(USUAL, 0)
BEFORE_SOFT = Situation(USUAL, 1, last=Step.STATUS)
BEFORE_HARD = Situation(USUAL, 2, last=Step.SOFT_RESET)
AT_THE_END = Situation(USUAL, 3, last=Step.HARD_RESET)
MOMENT = timedelta(seconds=1)

TABLE: list[tuple[str, Situation, type, Step | None]] = [
    ("a fault begins", AT_FIRST, Try, Step.STATUS),
    ("the status check shows the fault still", BEFORE_SOFT, Try, Step.SOFT_RESET),
    ("the soft reset did not help", BEFORE_HARD, Try, Step.HARD_RESET),
    ("nothing helped", AT_THE_END, GiveUp, None),
    ("gone before anything", replace(AT_FIRST, faulted=False), Recovered, None),
    ("gone after the soft reset", replace(BEFORE_HARD, faulted=False), Recovered, None),
    ("gone after the last step", replace(AT_THE_END, faulted=False), Recovered, None),
    ("gone, and the line with it", replace(BEFORE_HARD, faulted=False, connected=False), Recovered, None),
    ("disabled, whatever else", replace(AT_FIRST, cancelled="set to Disabled"), Cancel, None),
    ("disabled, though healthy", replace(AT_FIRST, cancelled="set to Disabled", faulted=False), Cancel, None),
    ("no answer yet", replace(BEFORE_SOFT, last_pending=True), Wait, None),
    ("not connected", replace(AT_FIRST, connected=False), Wait, Step.WAIT_CONNECTION),
    ("not connected after a reset", replace(BEFORE_HARD, connected=False), Wait, Step.WAIT_CONNECTION),
    (
        "not connected for long",
        replace(BEFORE_HARD, connected=False, waiting=Step.WAIT_CONNECTION, waited=WAIT_FOR_CONNECTION),
        GiveUp,
        None,
    ),
    (
        "not connected, almost too long",
        replace(BEFORE_HARD, connected=False, waiting=Step.WAIT_CONNECTION, waited=WAIT_FOR_CONNECTION - MOMENT),
        Wait,
        Step.WAIT_CONNECTION,
    ),
    (
        "it waited for a session, now it is not connected: that is counted anew",
        replace(BEFORE_HARD, connected=False, waiting=Step.WAIT_SESSION, waited=WAIT_FOR_CONNECTION * 2),
        Wait,
        Step.WAIT_CONNECTION,
    ),
    ("the reset reached nobody; now it is there", replace(BEFORE_HARD, last_not_connected=True), Try, Step.SOFT_RESET),
    (
        "the reset reached nobody, and now somebody charges",
        replace(BEFORE_HARD, last_not_connected=True, busy=True),
        Wait,
        Step.WAIT_SESSION,
    ),
    (
        "the hard reset reached nobody, and now they are forbidden",
        replace(AT_THE_END, last_not_connected=True, hard_reset_allowed=False),
        GiveUp,
        None,
    ),
    (
        "commands reach nobody, for long",
        replace(BEFORE_HARD, last_not_connected=True, waiting=Step.WAIT_CONNECTION, waited=WAIT_FOR_CONNECTION),
        GiveUp,
        None,
    ),
    ("back after a reset, silent about its status", replace(BEFORE_HARD, reported_since=False), Try, Step.STATUS),
    ("back after the last reset, silent", replace(AT_THE_END, reported_since=False), Try, Step.STATUS),
    ("asked, and still silent: up the ladder", replace(BEFORE_HARD, last=Step.STATUS, reported_since=False), Try,
     Step.HARD_RESET),
    ("somebody charges beside it, the status is asked all the same", replace(AT_FIRST, busy=True), Try, Step.STATUS),
    ("somebody charges beside it, before soft", replace(BEFORE_SOFT, busy=True), Wait, Step.WAIT_SESSION),
    ("somebody charges beside it, before hard", replace(BEFORE_HARD, busy=True), Wait, Step.WAIT_SESSION),
    (
        "somebody charges beside it for hours",
        replace(BEFORE_HARD, busy=True, waiting=Step.WAIT_SESSION, waited=WAIT_FOR_SESSIONS),
        GiveUp,
        None,
    ),
    ("no hard resets", replace(BEFORE_HARD, hard_reset_allowed=False), LeaveOut, Step.HARD_RESET),
    ("no hard resets, and somebody charges", replace(BEFORE_HARD, hard_reset_allowed=False, busy=True), LeaveOut,
     Step.HARD_RESET),
]  # fmt: skip


def step_of(decision: Decision) -> Step | None:
    """The step a decision names."""
    if isinstance(decision, Try | LeaveOut):
        return decision.step
    return decision.kind if isinstance(decision, Wait) else None


@pytest.mark.parametrize("situation, kind, step", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(situation: Situation, kind: type, step: Step | None) -> None:
    decision = decide(situation)
    assert type(decision) is kind
    assert step_of(decision) is step


def test_what_is_asked_again_does_not_climb() -> None:
    assert decide(AT_FIRST) == Try(Step.STATUS)
    assert decide(replace(BEFORE_HARD, reported_since=False)) == Try(Step.STATUS, again=True)
    assert decide(replace(BEFORE_HARD, last_not_connected=True)) == Try(Step.SOFT_RESET, again=True)


def test_every_situation_there_is() -> None:
    """No combination breaks it, and what must never be done is not done in any."""
    seen = set()
    flags = (True, False)
    lasts = (None, Step.STATUS, Step.UNLOCK, Step.SOFT_RESET, Step.HARD_RESET)
    waits = [(None, timedelta(0)), *((wait, span) for wait in WAITS for span in (MOMENT, timedelta(hours=3)))]
    for cancelled, faulted, connected, busy, allowed, pending, nobody, reported in product(("", "x"), *[flags] * 7):
        for next_step, last, (waiting, waited) in product(range(4), lasts, waits):
            if (last is None) and (pending or nobody or not reported or next_step):
                continue
            situation = Situation(
                USUAL, next_step, cancelled, faulted, connected, busy, allowed, last, pending, nobody, reported,
                waiting, waited,
            )  # fmt: skip
            decision = decide(situation)
            seen.add(type(decision))
            if cancelled:
                assert isinstance(decision, Cancel)
            elif not faulted:
                assert isinstance(decision, Recovered)
            else:
                assert not isinstance(decision, Cancel | Recovered)
            if isinstance(decision, Try):
                assert connected
                assert not pending
                assert decision.step is not Step.HARD_RESET or allowed
                assert decision.step not in RESETS or not busy
    assert seen == {Try, LeaveOut, Wait, Recovered, GiveUp, Cancel}


@pytest.mark.parametrize(
    "code, network_id, steps",
    [
        (None, 1, USUAL),
        ("GroundFailure", 1, USUAL),
        ("A code of the vendor's own", 1, USUAL),
        ("ConnectorLockFailure", 1, (Step.STATUS, Step.UNLOCK, Step.SOFT_RESET, Step.HARD_RESET)),
        ("connectorlockfailure", 2, (Step.STATUS, Step.UNLOCK, Step.SOFT_RESET, Step.HARD_RESET)),
        ("ConnectorLockFailure", 0, USUAL),
        ("HighTemperature", 1, (Step.STATUS, *USUAL)),
    ],
)
def test_what_is_tried_depends_on_the_fault(code: str | None, network_id: int, steps: tuple[Step, ...]) -> None:
    assert ladder(code, network_id=network_id) == steps


def test_every_ladder_asks_first_and_resets_softly_before_hard() -> None:
    for code in (*LADDERS, None):
        steps = ladder(code, network_id=1)
        assert steps[0] is Step.STATUS
        assert steps[-2:] == (Step.SOFT_RESET, Step.HARD_RESET)
        assert not RESETS.intersection(steps[:-2])


@pytest.mark.parametrize(
    "code, info, words",
    [
        ("HighTemperature", "81 °C", "It is too hot inside the charge point (HighTemperature: 81 °C)"),
        (None, None, "The charge point reports a fault"),
        ("E-4711", None, "The charge point reports a fault (E-4711)"),
        (None, "fan", "The charge point reports a fault (fan)"),
    ],
)
def test_faults_in_words(code: str | None, info: str | None, words: str) -> None:
    assert fault_words.fault_in_words(code, info) == words
    assert fault_words.advice(code).endswith(".")
