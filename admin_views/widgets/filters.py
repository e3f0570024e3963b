"""List filters that fit our types: labels for enums, exact numbers, days in the admin's time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask_admin.contrib.sqla import filters as stock
from flask_admin.contrib.sqla.filters import BaseSQLAFilter
from sqlalchemy import ARRAY, TypeDecorator, and_, not_, or_
from sqlalchemy import types as sqltypes

from admin_views import formats
from admin_views.widgets.lookups import like

MAX_VALUE = 500

#: stored in URLs and saved views, so that "Last 7 days" stays the last seven days
PRESETS: dict[str, str] = {
    "today": "Today",
    "yesterday": "Yesterday",
    "last-7-days": "Last 7 days",
    "last-30-days": "Last 30 days",
    "this-month": "This month",
    "last-month": "Last month",
    "this-year": "This year",
}


class Filter(BaseSQLAFilter):
    """Base of ours: ``word`` is the operation on screen, ``kind`` the input the drawer draws."""

    word = "is"
    kind = "text"

    def __init__(self, column: Any, name: str, options: Any = None, data_type: Any = None, **extra: Any) -> None:
        super().__init__(column, name, options, data_type or self.kind)

    def operation(self) -> str:
        """The words between name and value."""
        return self.word

    def validate(self, value: Any) -> bool:
        """Refuse what cannot be parsed or is too long to be meant."""
        if len(value) > MAX_VALUE or "\x00" in value:
            return False
        return super().validate(value)

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.condition(self.get_column(alias), value))

    def condition(self, column: Any, value: Any) -> Any:
        """The SQL condition for a cleaned value."""
        raise NotImplementedError

    def show(self, value: str) -> str:
        """The value in the filter's chip."""
        for key, text in self.get_options(None) or ():
            if str(key) == value:
                return str(text)
        return value


class Contains(Filter):
    """Text that contains the value, regardless of case."""

    word = "contains"

    def condition(self, column: Any, value: Any) -> Any:
        return column.ilike(like(value), escape="\\")


class Is(Filter):
    """Equality."""

    word = "is"

    def condition(self, column: Any, value: Any) -> Any:
        return column == value


class IsNot(Filter):
    """Inequality; what is empty is also not it."""

    word = "is not"

    def condition(self, column: Any, value: Any) -> Any:
        return column.is_distinct_from(value)


class Empty(Filter):
    """Whether there is a value."""

    word = "is empty"
    kind = "options"

    def __init__(self, column: Any, name: str, options: Any = None, data_type: Any = None, **extra: Any) -> None:
        super().__init__(column, name, (("1", "Yes"), ("0", "No")), data_type)

    def clean(self, value: str) -> bool:
        if value not in ("0", "1"):
            raise ValueError(value)
        return value == "1"

    def condition(self, column: Any, value: Any) -> Any:
        return column.is_(None) if value else column.is_not(None)


class YesNo(Empty):
    """A boolean."""

    word = "is"

    def condition(self, column: Any, value: Any) -> Any:
        return column.is_(value)


class _Number(Filter):
    kind = "number"

    def clean(self, value: str) -> Decimal:
        text = value.strip().replace(",", ".", 1)
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(value) from None
        if not number.is_finite() or abs(number) > Decimal("1e30"):
            raise ValueError(value)
        return number


class NumberIs(_Number):
    """Equal number."""

    word = "is"

    def condition(self, column: Any, value: Any) -> Any:
        return column == value


class AtLeast(_Number):
    """Lower bound."""

    word = "at least"

    def condition(self, column: Any, value: Any) -> Any:
        return column >= value


class AtMost(_Number):
    """Upper bound."""

    word = "at most"

    def condition(self, column: Any, value: Any) -> Any:
        return column <= value


class _Choice(Filter):
    kind = "options"

    def __init__(self, column: Any, name: str, options: Any = None, data_type: Any = None, **extra: Any) -> None:
        self.members: dict[str, Any] = {}
        super().__init__(column, name, options, data_type)

    def _on_column_resolved(self) -> None:
        kind = self.column.type
        enum_class = getattr(kind, "enum_class", None) or getattr(getattr(kind, "item_type", None), "enum_class", None)
        for member in enum_class or ():
            self.members[str(member.value)] = member
        if not self.options and self.members:
            self.options = [(token, formats.label(member)) for token, member in self.members.items()]
        elif not self.options and getattr(kind, "enums", None):
            self.options = [(value, formats.sentence(value)) for value in kind.enums]

    def clean(self, value: str) -> Any:
        if self.members:
            if value not in self.members:
                raise ValueError(value)
            return self.members[value]
        if value not in {str(key) for key, _ in self.get_options(None) or ()}:
            raise ValueError(value)
        return value


class ChoiceIs(_Choice):
    """One of an enum's members."""

    word = "is"

    def condition(self, column: Any, value: Any) -> Any:
        return column.any(value) if isinstance(column.type, ARRAY) else column == value


class ChoiceIsNot(_Choice):
    """Not that member."""

    word = "is not"

    def condition(self, column: Any, value: Any) -> Any:
        if isinstance(column.type, ARRAY):
            return or_(not_(column.any(value)), column.is_(None))
        return column.is_distinct_from(value)


def parse_days(text: str, today: date) -> tuple[date, date]:
    """First and last day of 'YYYY-MM-DD to YYYY-MM-DD', of one day, or of a preset. Raises ValueError."""
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    named = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "last-7-days": (today - timedelta(days=6), today),
        "last-30-days": (today - timedelta(days=29), today),
        "this-month": (month, today),
        "last-month": (before.replace(day=1), before),
        "this-year": (today.replace(month=1, day=1), today),
    }
    if text in named:
        return named[text]
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?: to (\d{4}-\d\d-\d\d))?", text.strip())
    if match is None:
        raise ValueError(text)
    first = date.fromisoformat(match[1])
    last = date.fromisoformat(match[2] or match[1])
    if not 1900 <= first.year <= last.year <= 9000 or last < first:
        raise ValueError(text)
    return first, last


class _Days(Filter):
    kind = "daterange"

    def clean(self, value: str) -> tuple[date, date]:
        today = datetime.now(formats.screen_zone()).date()
        return parse_days(value, today)

    def show(self, value: str) -> str:
        return PRESETS.get(value, value)


class DayRange(_Days):
    """Days of a date column."""

    word = "in"

    def condition(self, column: Any, value: Any) -> Any:
        return column.between(*value)


class MomentRange(_Days):
    """Moments of whole days in the admin's time zone, as a half-open range of UTC."""

    word = "in"

    def condition(self, column: Any, value: Any) -> Any:
        here = formats.screen_zone()
        first, last = value
        return and_(
            column >= formats.day_start(first, here),
            column < formats.day_start(last + timedelta(days=1), here),
        )


class _MomentBound(Filter):
    kind = "datetime"

    def clean(self, value: str) -> datetime:
        naive = datetime.fromisoformat(value.strip())
        if naive.tzinfo is None:
            naive = naive.replace(tzinfo=formats.screen_zone())
        return naive.astimezone(UTC)


class Since(_MomentBound):
    """From a moment on."""

    word = "since"

    def condition(self, column: Any, value: Any) -> Any:
        return column >= value


class Before(_MomentBound):
    """Up to a moment."""

    word = "before"

    def condition(self, column: Any, value: Any) -> Any:
        return column < value


class UuidIs(Is):
    """A UUID."""

    def clean(self, value: str) -> Any:
        import uuid

        return uuid.UUID(value)


_TEXT = (Contains, Is, IsNot, Empty)
_NUMBER = (NumberIs, AtLeast, AtMost, Empty)
_MOMENT = (MomentRange, Since, Before, Empty)
_BY_TYPE: list[tuple[type, tuple[type[Filter], ...]]] = [
    (sqltypes.Enum, (ChoiceIs, ChoiceIsNot)),
    (sqltypes.Boolean, (YesNo,)),
    (sqltypes.Integer, _NUMBER),
    (sqltypes.Numeric, _NUMBER),
    (sqltypes.DateTime, _MOMENT),
    (sqltypes.Date, (DayRange, Empty)),
    (sqltypes.Uuid, (UuidIs, Empty)),
    (sqltypes.Interval, (Empty,)),
    (sqltypes.String, _TEXT),
]


class FilterConverter(stock.FilterConverter):
    """Chooses filters by what a column stores, through type decorators."""

    def convert(self, type_name: str, column: Any, name: str, **extra: Any) -> list[BaseSQLAFilter] | None:
        """The filters of a column; nullable ones can be empty, choices come as a list."""
        kind = column.type
        kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
        options = extra.get("options")
        if options:
            classes: tuple[type[Filter], ...] = (ChoiceIs, ChoiceIsNot)
        elif isinstance(kind, ARRAY) and getattr(kind.item_type, "enum_class", None):
            classes = (ChoiceIs, ChoiceIsNot)
        else:
            classes = next((found for base, found in _BY_TYPE if isinstance(kind, base)), ())
        nullable = getattr(column, "nullable", True)
        if getattr(kind, "enum_class", None) and nullable:
            classes = (*classes, Empty)
        made = [cls(column, name, options) for cls in classes if cls is not Empty or nullable]
        return list(made) or None
