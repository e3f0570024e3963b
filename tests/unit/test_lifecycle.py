"""The life of a session: every event in every state, what is final, what is a repetition."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.charging.lifecycle import (
    FINAL,
    RUNNING,
    TRANSITIONS,
    LifecycleError,
    PaymentStatus,
    SessionAlreadyFailed,
    SessionAlreadyFinished,
    SessionAlreadyStarted,
    SessionEvent,
    SessionNotStarted,
    SessionStatus,
    changes_nothing,
    is_final,
    next_status,
)

STATES = ("pending", "active", "stopping", "finished", "failed")
NOT_STARTED, STARTED = SessionNotStarted, SessionAlreadyStarted
OVER, FAILED = SessionAlreadyFinished, SessionAlreadyFailed

# Written down a second time, by hand and in another shape: one row per event, one column per state.
EXPECTED = {
    "started": ("active", "active", "stopping", "finished", FAILED),
    "start_refused": ("failed", STARTED, STARTED, OVER, "failed"),
    "start_timed_out": ("failed", STARTED, STARTED, OVER, "failed"),
    "reading_received": ("pending", "active", "stopping", "finished", "failed"),
    "stop_requested": ("failed", "stopping", "stopping", OVER, FAILED),
    "stop_refused": (NOT_STARTED, "active", "active", OVER, FAILED),
    "stop_timed_out": (NOT_STARTED, "active", "active", OVER, FAILED),
    "stopped": ("finished", "finished", "finished", "finished", FAILED),
    "inactivity_elapsed": (NOT_STARTED, "finished", "finished", "finished", FAILED),
    "ghost_closed": (NOT_STARTED, "finished", "finished", "finished", FAILED),
}


def test_the_table_names_every_event_and_every_state():
    assert set(EXPECTED) == set(SessionEvent)
    assert set(TRANSITIONS) == set(SessionEvent)
    for event in SessionEvent:
        assert set(TRANSITIONS[event]) == set(SessionStatus) == set(STATES)


@pytest.mark.parametrize(
    ("event", "state", "outcome"),
    [(event, state, row[n]) for event, row in EXPECTED.items() for n, state in enumerate(STATES)],
)
def test_every_event_in_every_state(event, state, outcome):
    status, event = SessionStatus(state), SessionEvent(event)
    if isinstance(outcome, str):
        assert next_status(status, event) is SessionStatus(outcome)
        assert changes_nothing(status, event) is (outcome == state)
    else:
        with pytest.raises(outcome) as raised:
            next_status(status, event)
        assert (raised.value.status, raised.value.event) == (status, event)
        assert status.label in str(raised.value)
        assert not changes_nothing(status, event)


@pytest.mark.parametrize(
    ("events", "end"),
    [
        (["started", "reading_received", "stop_requested", "stopped"], "finished"),
        (["started", "stopped"], "finished"),
        (["start_timed_out"], "failed"),
        (["start_refused"], "failed"),
        (["started", "stop_requested", "stop_timed_out", "stop_requested", "stopped"], "finished"),
        (["started", "stop_requested", "stop_refused"], "active"),
        (["started", "reading_received", "inactivity_elapsed", "reading_received", "stopped"], "finished"),
        (["started", "ghost_closed", "stopped"], "finished"),
        (["reading_received", "stopped", "started", "reading_received"], "finished"),
    ],
)
def test_stories(events, end):
    status = SessionStatus.PENDING
    for event in events:
        status = next_status(status, SessionEvent(event))
    assert status == end


def walk(events):
    status = SessionStatus.PENDING
    for event in events:
        before = status
        try:
            status = next_status(status, event)
        except LifecycleError:
            continue
        yield before, event, status


@settings(deadline=None)
@given(st.lists(st.sampled_from(SessionEvent), max_size=12))
def test_whatever_happens_a_final_state_is_final(events):
    for before, _, after in walk(events):
        if is_final(before):
            assert after is before


@settings(deadline=None)
@given(st.lists(st.sampled_from([SessionEvent.STARTED, SessionEvent.STOPPED]), max_size=6), st.data())
def test_repeating_a_start_or_stop_any_number_of_times_changes_nothing(events, data):
    repeated = [event for event in events for _ in range(data.draw(st.integers(1, 3)))]
    once = [after for _, _, after in walk(events)]
    often = [after for _, _, after in walk(repeated)]
    assert once[-1:] == often[-1:]


def test_running_and_final_share_out_the_states():
    assert set(SessionStatus) == FINAL | RUNNING
    assert not FINAL & RUNNING
    assert [status for status in SessionStatus if is_final(status)] == ["finished", "failed"]


def test_every_state_can_be_reached_and_left_unless_final():
    reached = {
        after
        for event, before in product(SessionEvent, SessionStatus)
        if isinstance(after := TRANSITIONS[event][before], SessionStatus) and after != before
    }
    assert reached == set(SessionStatus) - {SessionStatus.PENDING}
    for status in RUNNING:
        assert any(
            isinstance(TRANSITIONS[event][status], SessionStatus) and TRANSITIONS[event][status] in FINAL
            for event in SessionEvent
        )


def test_labels():
    assert [s.label for s in SessionStatus] == ["Pending", "Active", "Stopping", "Finished", "Failed"]
    assert [s.label for s in PaymentStatus] == [
        "Pending",
        "Processing",
        "Paid",
        "Outstanding",
        "Refunded",
        "Free",
        "Not billed",
    ]
    assert all(event.label[0].isupper() for event in SessionEvent)
    assert len({event.label for event in SessionEvent}) == len(SessionEvent)
