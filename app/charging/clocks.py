"""Stations' clocks: how much of what they say about time is believed. product.md, "Charging session life"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

FUTURE_TOLERANCE = timedelta(minutes=5)
LATE_AFTER = timedelta(days=1)
#: no station of ours has run before: a time stamp from then comes from a clock that was never set
CLOCK_WAS_SET = datetime(2020, 1, 1, tzinfo=UTC)

AHEAD = "clock_ahead"
UNSET = "clock_unset"
LATE = "late"


def clean_time(reported: datetime, now: datetime) -> tuple[datetime, list[str]]:
    """A station's time as it is used, and what is odd about it: "late", "clock_ahead" or "clock_unset".

    Over a day old it is used: an offline queue is emptied late. More than five minutes in the future, or from
    before 2020 as of a clock that begins at 1970 without power, it is replaced by the arrival: a charge that began in
    1970 by one clock and ended today by another would cost fifty years of minutes.
    """
    if reported > now + FUTURE_TOLERANCE:
        return now, [AHEAD]
    if reported < CLOCK_WAS_SET <= now:
        return now, [UNSET]
    return reported, [LATE] if reported < now - LATE_AFTER else []
