"""What the pages of stations and of their activity share: filters by condition, lists that follow events, periods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask import has_request_context

from admin_views import formats
from admin_views.widgets.filters import Filter
from admin_views.widgets.lookups import like


class TextWhere(Filter):
    """A "contains" filter over whatever ``make(pattern)`` compares; for texts that are several relations away."""

    word = "contains"

    def __init__(self, column: Any, name: str, make: Callable[[str], Any]) -> None:
        super().__init__(column, name)
        self.make = make

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.make(like(value)))


class IsWhere(TextWhere):
    """An exact filter over whatever ``make(value)`` compares."""

    word = "is"

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.make(value.strip()))


class ChoiceWhere(Filter):
    """A choice among options, each with the condition ``make(key)``; options may be asked for at each request."""

    kind = "options"

    def __init__(
        self,
        column: Any,
        name: str,
        options: Sequence[tuple[str, str]] | Callable[[], Sequence[tuple[str, str]]],
        make: Callable[[str], Any],
    ) -> None:
        self.choices = options
        self.make = make
        super().__init__(column, name)

    def get_options(self, view: Any) -> list[tuple[str, str]]:
        """The options; those of the database only while a request is served."""
        if not callable(self.choices):
            return list(self.choices)
        return list(self.choices()) if has_request_context() else []

    def clean(self, value: str) -> str:
        """One of the options."""
        if value not in {key for key, _ in self.get_options(None)}:
            raise ValueError(value)
        return value

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.make(value))


class YesNoWhere(ChoiceWhere):
    """Whether a condition holds."""

    def __init__(self, column: Any, name: str, condition: Callable[[], Any]) -> None:
        def make(key: str) -> Any:
            return condition() if key == "1" else ~condition()

        super().__init__(column, name, (("1", "Yes"), ("0", "No")), make)


class LiveList:
    """Joined before BaseView: the list fetches itself again when something about its records happened."""

    list_template = "assets/live_list.html"
    #: a collective topic of admin_views.live
    live_topic = ""


class OffMenu:
    """Joined before BaseView: a page that is reached from other pages, not from the menu."""

    def is_visible(self) -> bool:
        """Never in the menu."""
        return False


@dataclass(frozen=True)
class Period:
    """A choice of the Usage card: a half-open span of time; None means without bound."""

    key: str
    label: str
    since: datetime | None
    until: datetime | None


PERIODS = {
    "today": "Today",
    "last-7-days": "Last 7 days",
    "last-30-days": "Last 30 days",
    "month-to-date": "Month to date",
    "last-month": "Last month",
    "year-to-date": "Year to date",
    "all-time": "All time",
}
DEFAULT_PERIOD = "month-to-date"


def period(key: str | None, *, now: datetime) -> Period:
    """The period of that key (the default for any other text), by calendar days of the admin's time zone."""
    key = key if key in PERIODS else DEFAULT_PERIOD
    here = formats.screen_zone()
    today = now.astimezone(here).date()
    month = today.replace(day=1)

    def start(day: date) -> datetime:
        return formats.day_start(day, here)

    firsts: dict[str, date | None] = {
        "today": today,
        "last-7-days": today - timedelta(days=6),
        "last-30-days": today - timedelta(days=29),
        "month-to-date": month,
        "last-month": (month - timedelta(days=1)).replace(day=1),
        "year-to-date": today.replace(month=1, day=1),
        "all-time": None,
    }
    first = firsts[key]
    return Period(
        key=key,
        label=PERIODS[key],
        since=start(first) if first else None,
        until=start(month) if key == "last-month" else None,
    )
