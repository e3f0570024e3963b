"""The periods of the dashboard's cards, and what each is compared with. Pure: local wall-clock times in and out.

Spans are half-open and in the wall-clock time of the system's zone, without a zone: PostgreSQL projects each
instant onto it (``AT TIME ZONE``), so that days on which clocks change have their 23 or 25 hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from app.core.types import LabelledEnum


class Period(LabelledEnum):
    """What the menu of a card offers (manual, "Quick Stats Cards")."""

    TODAY = "today", "Today"
    YESTERDAY = "yesterday", "Yesterday"
    LAST_7_DAYS = "last-7-days", "Last 7 days"
    LAST_30_DAYS = "last-30-days", "Last 30 days"
    MONTH_TO_DATE = "month-to-date", "Month to date"
    LAST_MONTH = "last-month", "Last month"
    YEAR_TO_DATE = "year-to-date", "Year to date"
    LAST_YEAR = "last-year", "Last year"


DEFAULT_PERIOD = Period.LAST_30_DAYS


class Grain(StrEnum):
    """How finely a period is drawn; PostgreSQL's words for ``date_trunc``."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` until just before ``end``, wall-clock time."""

    start: datetime
    end: datetime

    @property
    def days(self) -> int:
        """How many calendar days it touches."""
        return (self.end - timedelta(microseconds=1)).date().toordinal() - self.start.date().toordinal() + 1

    def shifted(self, days: int) -> Span:
        """The same wall-clock times so many days later."""
        move = timedelta(days=days)
        return Span(self.start + move, self.end + move)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A period and the equally long one before it. What of a day has not happened yet is not compared."""

    period: Period
    current: Span
    preceding: Span
    now: datetime

    @property
    def grain(self) -> Grain:
        """Hours of a day, days of up to a quarter, else weeks."""
        days = self.current.days
        if days == 1:
            return Grain.HOUR
        return Grain.DAY if days <= 92 else Grain.WEEK

    def buckets(self) -> Iterator[datetime]:
        """The start of every bucket of the current period that has begun, as ``date_trunc`` names them."""
        step = {Grain.HOUR: timedelta(hours=1), Grain.DAY: timedelta(days=1), Grain.WEEK: timedelta(days=7)}[self.grain]
        at = self.current.start
        if self.grain is Grain.WEEK:
            at -= timedelta(days=at.weekday())
        last = min(self.now, self.current.end - timedelta(microseconds=1))
        while at <= last:
            yield at
            at += step


def compare(period: Period, now: datetime) -> Comparison:
    """The period at a wall-clock time and the one before it, as long as what has passed of it.

    On the 22nd at noon, "Month to date" is compared with the 22 days before the 1st, the last until noon.
    """
    first, last = _days(period, now.date())
    current = Span(_midnight(first), _midnight(last + timedelta(days=1)))
    passed = Span(current.start, min(current.end, max(now, current.start + timedelta(microseconds=1))))
    return Comparison(period, current, passed.shifted(-current.days), now)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _days(period: Period, today: date) -> tuple[date, date]:
    month, year = today.replace(day=1), today.replace(month=1, day=1)
    day = timedelta(days=1)
    return {
        Period.TODAY: (today, today),
        Period.YESTERDAY: (today - day, today - day),
        Period.LAST_7_DAYS: (today - 6 * day, today),
        Period.LAST_30_DAYS: (today - 29 * day, today),
        Period.MONTH_TO_DATE: (month, today),
        Period.LAST_MONTH: ((month - day).replace(day=1), month - day),
        Period.YEAR_TO_DATE: (year, today),
        Period.LAST_YEAR: ((year - day).replace(month=1, day=1), year - day),
    }[period]


def change(now: float, before: float) -> float | None:
    """The change as a ratio (0.25 is a quarter more); None where there was nothing to compare with."""
    return None if before == 0 else (now - before) / before
