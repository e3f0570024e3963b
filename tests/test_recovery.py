"""Auto-recovery on the database: when it begins, what it leaves behind, what a crash or a colleague cannot spoil."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, EvseStatus, ReportedStatus, SystemStatus
from app.charging import commands
from app.charging.commands import Answer
from app.charging.models import Recovery, RecoveryAttempt, RecoveryStatus
from app.charging.recovery import recovery
from app.charging.recovery.ladder import FAULT_LASTS, WAIT_FOR_CONNECTION, WAIT_FOR_SESSIONS
from app.core import events
from app.core.models import Action, ActionStatus, Mail
from tests.support.charging import NOW, at_once, start, tag_of
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

WAIT = timedelta(seconds=60)


@dataclass
class Clock:
    """The clockwork's ticks, at times of the test's own."""

    session: Session
    now: datetime = NOW

    def tick(self, **later: float) -> None:
        """Let time pass, and do what the job does."""
        self.now += timedelta(**later)
        recovery.begin_recoveries(self.session, now=self.now)
        self.session.commit()
        for number in recovery.due_recoveries(self.session, now=self.now):
            recovery.advance_recovery(self.session, recovery_id=number, now=self.now)
            self.session.commit()

    def report(self, charge_point: ChargePoint, status: str, error: str | None = None, *, network_id: int = 1) -> None:
        """The station says so, a second after the last tick."""
        self.now += timedelta(seconds=1)
        charge_point = self.session.get_one(ChargePoint, charge_point.id, populate_existing=True)
        evses = {evse.network_id: evse.state for evse in charge_point.evses}
        state: Any = charge_point.state if network_id == 0 else evses[network_id]
        state.faulted_at = (state.faulted_at or self.now) if status == "faulted" else None
        state.status, state.error_code, state.status_received_at = ReportedStatus(status), error, self.now
        self.session.commit()

    def connect(self, charge_point: ChargePoint, connected: bool = True) -> None:
        """The station's socket opens or closes."""
        self.session.execute(
            text(
                "UPDATE charge_point_state SET connected = :yes, connection = 'available' WHERE charge_point_id = :id"
            ),
            {"id": charge_point.id, "yes": connected},
        )
        self.session.commit()

    def answer(self, status: ActionStatus = ActionStatus.ACCEPTED) -> Action:
        """What comes of the command that was sent last."""
        action = self.session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()
        commands.record_outcome(self.session, action_id=action.id, answer=Answer(status), now=self.now)
        self.session.commit()
        return action


@pytest.fixture
def clock(session: Session) -> Clock:
    """Noon."""
    return Clock(session)


@pytest.fixture(autouse=True)
def _nobody_hands_over() -> Iterator[None]:
    """The tests say themselves what comes of a command."""
    before = events._listeners[commands.REQUESTED]
    events.replace_listener(commands.REQUESTED, lambda _event: None)
    yield
    events.replace_listener(commands.REQUESTED, before)


def watched(people: Cast, clock: Clock, **fields: Any) -> ChargePoint:
    """A connected station with auto-recovery; somebody reads the mails."""
    people.set("notification.fault_emails", ["ops@operator.example"])
    charge_point = people.station(**{"auto_recovery": True, "evses": 2, **fields})
    clock.connect(charge_point)
    return charge_point


def faulty(people: Cast, clock: Clock, error: str = "GroundFailure", **fields: Any) -> ChargePoint:
    """The same, with a fault on EVSE 1 that has lasted long enough."""
    charge_point = watched(people, clock, **fields)
    clock.report(charge_point, "faulted", error)
    clock.now += FAULT_LASTS
    return charge_point


def recoveries(session: Session) -> list[Recovery]:
    """All there are, oldest first."""
    session.rollback()
    session.expire_all()
    return list(session.scalars(select(Recovery).order_by(Recovery.id)))


def attempts(session: Session) -> list[tuple[str, str | None]]:
    """What was tried, in order: the step, and the note where nothing was sent."""
    session.rollback()
    rows = session.scalars(select(RecoveryAttempt).order_by(RecoveryAttempt.id))
    return [(row.step, row.note) for row in rows]


def mails(session: Session) -> list[Mail]:
    """The outbox."""
    session.rollback()
    return list(session.scalars(select(Mail).order_by(Mail.id)))


# --- when it begins -----------------------------------------------------------------------------------------------


def test_a_fault_is_worked_on_once_it_has_lasted(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    clock.report(charge_point, "faulted", "GroundFailure")
    clock.tick(seconds=29)
    assert recoveries(clock.session) == []
    clock.tick(seconds=1)
    clock.tick()
    [begun] = recoveries(clock.session)
    assert (begun.status, begun.network_id, begun.error_code) == (RecoveryStatus.RUNNING, 1, "GroundFailure")
    [action] = clock.session.scalars(select(Action))
    assert (action.initiated_by, action.admin_id, action.name) == ("System", None, "Trigger message")
    assert action.request == {"message": "status", "network_id": 1}
    assert action.reason == f"Auto-recovery {begun.id}: GroundFailure of EVSE {charge_point.evses[0].code}"


def test_a_station_that_repeats_its_fault_does_not_begin_it_anew(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    for _ in range(7):
        clock.report(charge_point, "faulted", "GroundFailure")
        clock.tick(seconds=4)
    assert len(recoveries(clock.session)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_recovery": False},
        {"managed_by_operator": False},
        {"status": SystemStatus.DISABLED},
        {"status": SystemStatus.OUT_OF_ORDER},
        {"status": SystemStatus.DEMO},
    ],
)
def test_what_is_not_watched_is_left_alone(people: Cast, clock: Clock, fields: dict[str, Any]) -> None:
    faulty(people, clock, **fields)
    clock.tick(minutes=5)
    assert recoveries(clock.session) == []


def test_an_evse_that_is_out_of_order_is_left_alone(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    charge_point.evses[0].status = EvseStatus.OUT_OF_ORDER
    people.session.commit()
    clock.tick()
    assert recoveries(clock.session) == []


def test_one_recovery_a_station_and_its_own_fault_first(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    for number in (2, 1, 0):
        clock.report(charge_point, "faulted", "InternalError", network_id=number)
    clock.tick(minutes=1)
    clock.tick()
    [begun] = recoveries(clock.session)
    assert (begun.network_id, begun.evse_id) == (0, None)
    [action] = clock.session.scalars(select(Action))
    assert action.request == {"message": "status", "network_id": None}


def test_two_schedulers_begin_and_advance_it_once(app: Flask, people: Cast, clock: Clock) -> None:
    faulty(people, clock)
    at_once(app, *[lambda session: recovery.begin_recoveries(session, now=clock.now)] * 4)
    [begun] = recoveries(clock.session)
    number = begun.id
    took = at_once(app, *[lambda session: recovery.advance_recovery(session, recovery_id=number, now=clock.now)] * 4)
    assert sorted(took) == [False, False, False, True]
    assert attempts(clock.session) == [("status", None)]


# --- up the ladder ------------------------------------------------------------------------------------------------


def climb(clock: Clock, charge_point: ChargePoint, steps: int, *, error: str = "GroundFailure") -> None:
    """Each step is accepted, and the station still reports the fault."""
    for _ in range(steps):
        clock.tick()
        clock.answer()
        clock.report(charge_point, "faulted", error)
        clock.now += WAIT


def test_nothing_helps_and_one_mail_says_all(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 3)
    clock.tick()
    [ended] = recoveries(clock.session)
    assert ended.status is RecoveryStatus.GIVEN_UP
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset", "hard_reset"]
    kinds = clock.session.scalars(select(Action).where(Action.name == "Reset").order_by(Action.id))
    assert [action.request for action in kinds] == [{"kind": "soft"}, {"kind": "hard"}]
    [mail] = mails(clock.session)
    assert (mail.key, mail.recipient) == (f"recovery:{ended.id}", "ops@operator.example")
    assert mail.subject == f"Not recovered: {charge_point.name}, EVSE {charge_point.evses[0].code}"
    for words in (
        charge_point.identifier,
        "Modera Restaurant parking, Modera Zone",
        "The residual current protection has tripped (GroundFailure)",
        "Status check: Accepted",
        "Soft reset: Accepted",
        "Hard reset: Accepted",
        "Every step was tried; the fault is still reported.",
        "2026-11-22 12:00:31 UTC",
        "Have an electrician check",
        f"/assets/charge-points/details/?id={charge_point.id}",
    ):
        assert words in mail.body, words
        assert words in re.sub(r"</?strong>", "", mail.html or ""), words
    assert ended.mailed_at == ended.ended_at == clock.now


def test_what_helped_is_said(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 1)
    clock.tick()
    clock.answer()
    clock.report(charge_point, "available")
    clock.tick(seconds=30)
    assert recoveries(clock.session)[0].status is RecoveryStatus.RUNNING, "it is judged after the wait"
    clock.tick(seconds=30)
    [ended] = recoveries(clock.session)
    assert (ended.status, ended.outcome) == (RecoveryStatus.RECOVERED, "The fault is gone after: soft reset.")
    [mail] = mails(clock.session)
    assert mail.subject.startswith("Recovered: ")
    assert "has cleared it" in mail.body


def test_a_stuck_lock_is_unlocked_first(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock, "ConnectorLockFailure")
    climb(clock, charge_point, 3, error="ConnectorLockFailure")
    assert [step for step, _ in attempts(clock.session)] == ["status", "unlock", "soft_reset"]
    assert {action.name for action in clock.session.scalars(select(Action))} == {"Trigger message", "Unlock", "Reset"}


def test_hard_resets_can_be_forbidden(people: Cast, clock: Clock) -> None:
    people.set("recovery.hard_reset", False)
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 2)
    clock.tick()
    assert recoveries(clock.session)[0].status is RecoveryStatus.GIVEN_UP
    assert attempts(clock.session)[-1] == ("hard_reset", "Left out: hard resets are switched off in Settings")


def test_a_station_that_came_back_silent_is_asked_before_it_is_judged(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 1)
    clock.tick()
    clock.answer()
    clock.tick(seconds=60)  # back from its reset, and has reported nothing yet
    clock.answer()
    clock.tick(seconds=60)  # it was asked, and does not even answer that: on
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset", "status", "hard_reset"]


# --- waiting ------------------------------------------------------------------------------------------------------


def charging_beside(people: Cast, charge_point: ChargePoint) -> Any:
    """A session on EVSE 1, with readings that are recent."""
    return people.charge(start(people, charge_point, tag_of(people.driver())).session_id)


def test_nobody_is_cut_off_who_charges_beside_it(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    session_id = charging_beside(people, charge_point).id

    def reading() -> None:
        people.session.execute(
            text("UPDATE charging_session SET last_activity_at = :now WHERE id = :id"),
            {"now": clock.now, "id": session_id},
        )
        people.session.commit()

    clock.report(charge_point, "faulted", "InternalError", network_id=2)
    clock.now += FAULT_LASTS
    clock.tick()
    clock.answer()
    for _ in range(4):
        clock.report(charge_point, "faulted", "InternalError", network_id=2)
        reading()
        clock.tick(seconds=60)
    note = "A session is running on another EVSE; it is not interrupted"
    assert attempts(clock.session) == [("status", None), ("wait_session", note)]
    people.session.execute(text("UPDATE charging_session SET status = 'finished', stopped_at = now()"))
    people.session.commit()
    clock.tick(seconds=60)
    assert attempts(clock.session)[-1] == ("soft_reset", None)


def test_it_waits_for_a_session_only_so_long(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    charging_beside(people, charge_point)
    clock.report(charge_point, "faulted", "InternalError", network_id=2)
    clock.now += FAULT_LASTS
    clock.tick()
    clock.answer()
    clock.report(charge_point, "faulted", "InternalError", network_id=2)
    began = clock.now + WAIT
    while clock.now <= began + WAIT_FOR_SESSIONS + timedelta(minutes=25):
        people.session.execute(text("UPDATE charging_session SET last_activity_at = :now"), {"now": clock.now})
        people.session.commit()
        clock.tick(minutes=25)
    [ended] = recoveries(clock.session)
    assert ended.status is RecoveryStatus.GIVEN_UP
    assert "was not reset" in (ended.outcome or "")
    assert "was not reset" in mails(clock.session)[0].body
    assert not clock.session.scalars(select(Action).where(Action.name == "Reset")).all()


def test_a_session_that_says_nothing_any_more_holds_up_nobody(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    charging_beside(people, charge_point)
    clock.now += timedelta(hours=1)
    clock.report(charge_point, "faulted", "InternalError", network_id=2)
    clock.now += FAULT_LASTS
    clock.tick()
    clock.answer()
    clock.report(charge_point, "faulted", "InternalError", network_id=2)
    clock.tick(seconds=60)
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset"]


def test_the_session_on_the_faulty_evse_itself_holds_up_nobody(people: Cast, clock: Clock) -> None:
    charge_point = watched(people, clock)
    charging_beside(people, charge_point)
    clock.report(charge_point, "faulted", "InternalError")
    clock.now += FAULT_LASTS
    climb(clock, charge_point, 1, error="InternalError")
    clock.tick()
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset"]


def test_it_waits_for_the_connection_and_gives_up_with_the_reason(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 1)
    clock.tick()
    clock.answer()
    clock.connect(charge_point, connected=False)
    clock.tick(seconds=60)
    for _ in range(3):
        assert recoveries(clock.session)[0].status is RecoveryStatus.RUNNING
        clock.now += WAIT_FOR_CONNECTION / 3
        clock.tick()
    [ended] = recoveries(clock.session)
    assert (ended.status, ended.outcome) == (
        RecoveryStatus.GIVEN_UP,
        "The charge point was not connected for 15 minutes.",
    )
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset", "wait_connection"]


def test_a_command_that_reached_nobody_is_sent_again(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 1)
    clock.tick()
    clock.answer(ActionStatus.NOT_CONNECTED)
    clock.tick(seconds=60)
    clock.answer()
    clock.report(charge_point, "faulted", "GroundFailure")
    clock.tick(seconds=60)
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset", "soft_reset", "hard_reset"]


def test_an_answer_that_is_still_out_is_waited_for(people: Cast, clock: Clock) -> None:
    people.set("recovery.wait_seconds", 5)
    faulty(people, clock)
    clock.tick()
    [action] = clock.session.scalars(select(Action))
    commands.claim(clock.session, action_id=action.id, now=clock.now)
    clock.session.commit()
    clock.tick(seconds=6)
    assert attempts(clock.session) == [("status", None)]
    clock.now += timedelta(seconds=60)
    commands.expire(clock.session, now=clock.now)
    clock.session.commit()
    clock.tick()
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset"]


# --- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field, value, outcome",
    [
        ("status", SystemStatus.DISABLED, "The charge point was set to Disabled."),
        ("status", SystemStatus.OUT_OF_ORDER, "The charge point was set to Out of order."),
        ("auto_recovery", False, "Auto-recovery was switched off for the charge point."),
        ("managed_by_operator", False, "The charge point is no longer managed by the operator."),
    ],
)
def test_an_operator_who_takes_over_ends_it_at_once_without_mail(
    people: Cast, clock: Clock, field: str, value: Any, outcome: str
) -> None:
    charge_point = faulty(people, clock)
    clock.tick()
    setattr(charge_point, field, value)
    people.session.commit()
    clock.tick(seconds=1)
    [ended] = recoveries(clock.session)
    assert (ended.status, ended.outcome) == (RecoveryStatus.CANCELLED, outcome)
    assert mails(clock.session) == []
    clock.tick(hours=2)
    assert len(recoveries(clock.session)) == 1


def test_an_evse_that_is_removed_ends_it(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    clock.tick()
    people.session.delete(charge_point.evses[0])
    people.session.commit()
    clock.tick(seconds=1)
    assert recoveries(clock.session)[0].outcome == "The EVSE was removed."


def test_within_the_cool_down_after_a_failure_nothing_is_begun_and_nothing_mailed(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    clock.report(charge_point, "faulted", "GroundFailure", network_id=2)
    climb(clock, charge_point, 3)
    clock.tick()
    clock.report(charge_point, "available")
    clock.tick(minutes=5)
    clock.report(charge_point, "faulted", "GroundFailure")
    clock.tick(minutes=50)
    assert len(recoveries(clock.session)) == 1, "neither the same fault again, nor the other that was there all along"
    assert len(mails(clock.session)) == 1
    clock.tick(minutes=10)
    assert len(recoveries(clock.session)) == 2


def test_another_fault_after_a_failure_is_worked_on(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 3)
    clock.tick()
    clock.report(charge_point, "faulted", "GroundFailure", network_id=2)
    clock.tick(seconds=30)
    assert [row.network_id for row in recoveries(clock.session)] == [1, 2]


def test_a_fault_that_keeps_coming_back_is_left_alone_and_the_third_mail_says_so(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    for _ in range(5):
        clock.tick()
        if recoveries(clock.session)[-1].status is not RecoveryStatus.RUNNING:
            break
        clock.answer()
        clock.report(charge_point, "available")
        clock.tick(seconds=60)
        clock.report(charge_point, "faulted", "GroundFailure")
        clock.now += FAULT_LASTS
    assert [row.status for row in recoveries(clock.session)] == [RecoveryStatus.RECOVERED] * 3
    told = [("keeps coming back" in mail.body) for mail in mails(clock.session)]
    assert told == [False, False, True]
    clock.tick(hours=1)
    assert len(recoveries(clock.session)) == 4


def test_missed_ticks_are_caught_up(people: Cast, clock: Clock) -> None:
    """The clockwork was away for a day in the middle of it: it goes on where it was, one step at a time."""
    charge_point = faulty(people, clock)
    climb(clock, charge_point, 1)
    clock.tick(days=1)
    clock.tick()
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset"]


def test_killed_in_the_middle_of_a_step_nothing_was_done(people: Cast, clock: Clock) -> None:
    faulty(people, clock)
    clock.tick()
    clock.answer()
    clock.now += WAIT
    recovery.advance_recovery(clock.session, recovery_id=recoveries(clock.session)[0].id, now=clock.now)
    clock.session.rollback()  # as the database does when the process dies
    assert attempts(clock.session) == [("status", None)]
    clock.tick()
    assert [step for step, _ in attempts(clock.session)] == ["status", "soft_reset"]


def test_with_nobody_to_tell_it_works_all_the_same(people: Cast, clock: Clock) -> None:
    charge_point = faulty(people, clock)
    people.set("notification.fault_emails", [])
    clock.tick()
    clock.answer()
    clock.report(charge_point, "available")
    clock.tick(seconds=60)
    [ended] = recoveries(clock.session)
    assert (ended.status, ended.outcome, ended.mailed_at) == (
        RecoveryStatus.RECOVERED,
        "The fault is gone; nothing had to be done.",
        None,
    )
    assert mails(clock.session) == []
