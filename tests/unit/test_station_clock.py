"""How far a station's clock is off: an offline queue must not look like a clock that is behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charging.upkeep.station_clock import ClockWatch, clock_words

NOON = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)


def told(*messages: tuple[float, float]) -> list[int]:
    """The news of messages, each (arrival after noon, age of its time stamp), in seconds."""
    watch = ClockWatch()
    found = []
    for arrival_s, age_s in messages:
        arrived = NOON + timedelta(seconds=arrival_s)
        offset_s = watch.observe(arrived - timedelta(seconds=age_s), arrived)
        if offset_s is not None:
            found.append(offset_s)
    return found


def test_a_clock_that_is_ahead_is_known_at_once() -> None:
    assert told((0, -10_800)) == [10_800]


def test_a_clock_that_is_right_is_known_at_once() -> None:
    assert told((0, 0.3)) == [0]


def test_a_clock_that_is_behind_is_known_when_a_second_message_agrees() -> None:
    assert told((0, 10_800)) == []
    assert told((0, 10_800), (60, 10_801)) == [-10_801]


def test_messages_of_one_moment_do_not_agree_with_one_another() -> None:
    """Statuses of all connectors come together, from a queue too."""
    assert told((0, 10_800), (0.1, 10_800), (0.2, 10_800)) == []


def test_what_stood_in_for_a_missing_time_stamp_is_no_clock() -> None:
    assert told((0, 0), (10, 0.0005)) == []


def test_a_clock_that_is_set_right_is_news_and_its_jitter_is_none() -> None:
    assert told((0, -10_800), (60, -10_798), (120, 0.5), (180, 3)) == [10_800, 0]


def test_a_clock_that_was_never_set_fits_the_column() -> None:
    ages = NOON.timestamp()
    (offset_s,) = told((0, ages), (60, ages + 0.5))
    assert offset_s == -round(ages + 0.5)
    year_one = (NOON - datetime(1, 1, 2, tzinfo=UTC)).total_seconds()
    assert told((0, year_one), (60, year_one)) == [-2_000_000_000]


@given(
    filled_every_s=st.floats(15, 3600),
    emptied_every_s=st.floats(0.01, 8),
    number=st.integers(1, 60),
    outage_s=st.floats(120, 100_000),
)
def test_a_queue_of_a_station_whose_clock_is_right_says_nothing_of_it(
    filled_every_s: float, emptied_every_s: float, number: int, outage_s: float
) -> None:
    """Filled slower than it is emptied, and all of it older than a minute when it arrives."""
    messages = []
    for index in range(number):
        arrival_s = index * emptied_every_s
        written_s = -outage_s + index * filled_every_s
        if arrival_s - written_s > 61:
            messages.append((arrival_s, arrival_s - written_s))
    assert told(*messages) == []


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [
        (None, ""),
        (0, ""),
        (300, ""),
        (-300, ""),
        (301, "5 min ahead"),
        (-3600, "1 h behind"),
        (10_800, "3 h ahead"),
        (86_400, "1 day ahead"),
        (-200_000, "2 days behind"),
        (-1_780_000_000, "56 years behind"),
    ],
)
def test_it_is_told_in_words(offset_s: int | None, words: str) -> None:
    assert clock_words(offset_s) == words
