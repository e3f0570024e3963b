"""Day and night by the wall clock of the location.

At any instant it is day or night by what a clock on the wall there shows. When clocks go forward over the
start of a period, that period starts with the jump; when they go back over it, the hour is lived twice and
judged twice. So days of 23 and 25 hours need no rule of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time from `start` (inclusive) to `end` (exclusive), UTC, that is wholly day or wholly night."""

    start: datetime
    end: datetime
    is_day: bool


def stretches(start: datetime, end: datetime, *, day_starts: time, night_starts: time, timezone: str) -> list[Stretch]:
    """The time from `start` to `end` (UTC), cut exactly where day and night change."""
    zone = ZoneInfo(timezone)
    cuts = sorted(
        {
            instant
            for day in _dates(start.astimezone(zone).date() - _DAY, end.astimezone(zone).date() + _DAY)
            for instant in _instants_of_day(day, day_starts, night_starts, timezone)
            if start < instant < end
        }
    )
    found: list[Stretch] = []
    since = start
    for until in (*cuts, end):
        if since == until:
            continue
        is_day = _is_day(since.astimezone(zone).time(), day_starts, night_starts)
        if found and found[-1].is_day is is_day:
            found[-1] = Stretch(found[-1].start, until, is_day)
        else:
            found.append(Stretch(since, until, is_day))
        since = until
    return found


def _is_day(shown: time, day_starts: time, night_starts: time) -> bool:
    if day_starts < night_starts:
        return day_starts <= shown < night_starts
    return shown >= day_starts or shown < night_starts


def _dates(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += _DAY


@lru_cache(maxsize=4096)
def _instants_of_day(day: date, day_starts: time, night_starts: time, timezone: str) -> tuple[datetime, ...]:
    """Where day or night may begin on that day of the wall clock. Kept: a month's sessions ask for the same days."""
    zone = ZoneInfo(timezone)
    return tuple(
        instant for starts in (day_starts, night_starts) for instant in _instants(datetime.combine(day, starts), zone)
    )


def _instants(local: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Where the wall clock may pass `local`: once, or around a change of the clocks also at the change.

    In a gap the two readings of `local` are no such instants, only the change is; they cut nothing, because
    a cut between two stretches of the same kind is taken back.
    """
    once = local.replace(tzinfo=zone).astimezone(UTC)
    again = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if once == again:
        return (once,)
    return (once, again, _clock_change(min(once, again), max(once, again), zone))


def _clock_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after `low`, to the second, with another offset from UTC than `low` has."""
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
