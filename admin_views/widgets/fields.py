"""Form fields that Flask-Admin and WTForms lack: durations, enums by label, local times, exact numbers, tags."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from wtforms import fields, validators, widgets
from wtforms.fields.choices import Choice, SelectChoice

from admin_views import formats

NONE_CHOICE = "__None"


def _as_choices(declared: Any) -> Any:
    """Pairs of value and label as WTForms' own kind of choice; anything else as it is."""
    if declared is None or callable(declared) or isinstance(declared, dict):
        return declared
    return [SelectChoice(*pair) if isinstance(pair, tuple) else pair for pair in declared]


class EnumField(fields.SelectField):
    """A choice among an enum's members, shown by label, posted by value."""

    def __init__(
        self,
        label: str | None = None,
        validators: Any = None,
        enum_class: type[enum.Enum] | None = None,
        members: Sequence[enum.Enum] | None = None,
        allow_blank: bool = False,
        blank_text: str = "—",
        **options: Any,
    ) -> None:
        if enum_class is None and not members:
            raise ValueError("EnumField needs enum_class or members")
        self.members = list(members or enum_class or ())
        self.allow_blank = allow_blank
        self.blank_text = blank_text
        options.pop("choices", None)
        super().__init__(label, validators, coerce=self._member, choices=[], **options)

    def _member(self, value: Any) -> enum.Enum | None:
        if value is None or isinstance(value, enum.Enum):
            return value
        for member in self.members:
            if str(value) in (str(member.value), member.name):
                return member
        raise ValueError("Not a valid choice.")

    def iter_choices(self) -> Iterator[Any]:
        """Value, label, selected, attributes of each option."""
        if self.allow_blank:
            yield Choice(NONE_CHOICE, self.blank_text, self.data is None, {})
        for member in self.members:
            yield Choice(str(member.value), formats.label(member), member == self.data, {})

    def process_data(self, value: Any) -> None:
        """Take a member, or its value or name, as stored."""
        self.data = None if value is None else self._member(value)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Take what was posted."""
        if valuelist:
            self.data = None if valuelist[0] == NONE_CHOICE else self._member(valuelist[0])

    def pre_validate(self, form: Any) -> None:
        """Only a member of this list, or nothing where that is allowed."""
        if self.data is None and not self.allow_blank:
            raise validators.ValidationError("Choose one.")
        if self.data is not None and self.data not in self.members:
            raise validators.ValidationError("Not a valid choice.")


class ChoiceField(fields.SelectField):
    """A choice among fixed texts, searchable; may be blank."""

    def __init__(self, label: str | None = None, validators: Any = None, allow_blank: bool = False, **options: Any):
        self.allow_blank = allow_blank
        options["choices"] = _as_choices(options.get("choices"))
        super().__init__(label, validators, **options)

    def iter_choices(self) -> Iterator[Any]:
        """The blank choice first, where allowed."""
        if self.allow_blank:
            yield Choice(NONE_CHOICE, "—", self.data is None, {})
        yield from super().iter_choices()

    def process_data(self, value: Any) -> None:
        """Keep None instead of the text 'None'."""
        self.data = None if value is None else self.coerce(value)

    def process_formdata(self, valuelist: list[str]) -> None:
        """The blank choice is None."""
        if valuelist and valuelist[0] in (NONE_CHOICE, ""):
            self.data = None
        else:
            super().process_formdata(valuelist)

    def pre_validate(self, form: Any) -> None:
        """Blank only where allowed."""
        if self.data is None:
            if not self.allow_blank:
                raise validators.ValidationError("Choose one.")
            return
        super().pre_validate(form)


def zone_label(name: str) -> str:
    """'Europe/Sofia (UTC+02:00)', with the offset of today."""
    return _zone_label(name, datetime.now(UTC).date())


@lru_cache(maxsize=2000)
def _zone_label(name: str, day: date) -> str:
    offset = f"{datetime.combine(day, time(12), ZoneInfo(name)):%z}"
    return f"{name.replace('_', ' ')} (UTC{offset[:3]}:{offset[3:5]})"


class TimezoneField(ChoiceField):
    """A choice among the IANA time zones."""

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
        options["choices"] = [(name, zone_label(name)) for name in ("UTC", *names)]
        super().__init__(label, validators, **{**options, "render_kw": _searched(options)})


class CountryField(ChoiceField):
    """A choice among countries by name, stored as ISO 3166 alpha-2."""

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options["choices"] = formats.countries()
        super().__init__(label, validators, **{**options, "render_kw": _searched(options)})

    def iter_choices(self) -> Iterator[Any]:
        """Nobody chose the first country of the alphabet by leaving the field alone."""
        if self.data is None and not self.allow_blank:
            yield "", "Choose…", True, {}
        yield from super().iter_choices()


def _searched(options: dict[str, Any]) -> dict[str, Any]:
    """Attributes that make a long list one to type in."""
    return {"data-role": "select2", **(options.get("render_kw") or {})}


class Parsed:
    """For fields that parse text: what could not be parsed is not validated further, one message is enough."""

    def pre_validate(self, form: Any) -> None:
        """Stop at the message of the parser."""
        if self.process_errors:  # type: ignore[attr-defined]
            raise validators.StopValidation


_UNITS = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """'2 h 05 min', '1:30' (hours), '45 min', '90' (minutes). Raises ValueError otherwise."""
    clean = text.strip().lower()
    if re.fullmatch(r"\d+", clean):
        return timedelta(minutes=int(clean))
    if match := re.fullmatch(r"(\d+):([0-5]\d)(?::([0-5]\d))?", clean):
        return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3] or 0))
    parts = re.findall(r"(\d+)\s*(d|h|min|m|s)(?![a-z])", clean)
    if not parts or re.sub(r"(\d+)\s*(d|h|min|m|s)(?![a-z])|\s", "", clean):
        raise ValueError("Write it like 2 h 05 min, 1:30 or 45 min.")
    return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in parts))


class DurationField(Parsed, fields.StringField):
    """A span of time, written as '2 h 05 min', '1:30' or '45 min'."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(formats.duration(self.data))

    def process_formdata(self, valuelist: list[str]) -> None:
        """Text to timedelta."""
        self.data = None
        if valuelist and valuelist[0].strip():
            self.data = parse_duration(valuelist[0])


class DecimalField(Parsed, fields.DecimalField):
    """An exact number; a decimal comma is understood, infinity and NaN are not."""

    widget = widgets.TextInput()

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.setdefault("places", None)
        super().__init__(label, validators, **options)
        self.render_kw = {"inputmode": "decimal", **(self.render_kw or {})}

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        if self.data is None:
            return ""
        text = f"{self.data:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def process_formdata(self, valuelist: list[str]) -> None:
        """Text to Decimal; nothing to None."""
        if not valuelist:
            return
        self.data = None
        text = valuelist[0].strip().replace(" ", "").replace(" ", "")
        if not text:
            return
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise ValueError("Enter a number, like 12.5.") from None
        if not value.is_finite():
            raise ValueError("Enter a number, like 12.5.")
        self.data = value


class IntegerField(Parsed, fields.IntegerField):
    """A whole number; empty is None, too long for the database is an error of the field."""

    widget = widgets.TextInput()

    def __init__(self, label: str | None = None, validators: Any = None, bits: int = 32, **options: Any) -> None:
        super().__init__(label, validators, **options)
        self.limit = 2 ** (bits - 1)
        self.render_kw = {"inputmode": "numeric", **(self.render_kw or {})}

    def process_formdata(self, valuelist: list[str]) -> None:
        """Text to int."""
        if not valuelist:
            return
        self.data = None
        text = valuelist[0].strip()
        if not text:
            return
        if not re.fullmatch(r"[+-]?\d{1,20}", text) or not -self.limit <= int(text) < self.limit:
            raise ValueError("Enter a whole number.")
        self.data = int(text)


class LocalDateTimeField(Parsed, fields.DateTimeField):
    """A moment, entered and shown in the admin's time zone, held in UTC."""

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.setdefault("format", ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"])
        super().__init__(label, validators, **options)
        self.render_kw = {"data-picker": "datetime", "autocomplete": "off", **(self.render_kw or {})}

    widget = widgets.TextInput()

    def _value(self) -> str:
        if self.raw_data:
            return " ".join(self.raw_data)
        return formats.local(self.data).strftime("%Y-%m-%d %H:%M") if self.data else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Local text to a UTC moment."""
        self.data = None
        if not valuelist or not valuelist[0].strip():
            return
        text = valuelist[0].strip()
        for pattern in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M"):
            try:
                naive = datetime.strptime(text, pattern)  # noqa: DTZ007 (the zone follows)
            except ValueError:
                continue
            self.data = naive.replace(tzinfo=formats.screen_zone()).astimezone(UTC)
            return
        raise ValueError("Write it like 2026-11-20 18:30.")


class DateField(Parsed, fields.DateField):
    """A day."""

    widget = widgets.TextInput()

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        super().__init__(label, validators, **options)
        self.render_kw = {"data-picker": "date", "autocomplete": "off", **(self.render_kw or {})}

    def process_formdata(self, valuelist: list[str]) -> None:
        """Text to date; empty is None."""
        if not valuelist or not valuelist[0].strip():
            self.data = None
            return
        try:
            self.data = datetime.strptime(valuelist[0].strip(), "%Y-%m-%d").date()  # noqa: DTZ007 (a day)
        except ValueError:
            self.data = None
            raise ValueError("Write it like 2026-11-20.") from None


class ListField(fields.StringField):
    """Several short texts (an array column), entered as tags."""

    def __init__(self, label: str | None = None, validators: Any = None, coerce: Any = str, **options: Any) -> None:
        super().__init__(label, validators, **options)
        self.coerce = coerce
        self.render_kw = {"data-tags": "1", **(self.render_kw or {})}

    def _value(self) -> str:
        return ",".join(str(item) for item in self.data or ())

    def process_formdata(self, valuelist: list[str]) -> None:
        """Comma-separated text to a list without repetitions."""
        if valuelist:
            parts = [part.strip() for part in valuelist[0].split(",")]
            self.data = [self.coerce(part) for part in dict.fromkeys(parts) if part]


class EnumListField(fields.SelectMultipleField):
    """Several members of an enum (an array column)."""

    def __init__(self, label: str | None = None, validators: Any = None, enum_class: Any = None, **options: Any):
        self.members = {str(member.value): member for member in enum_class or ()}
        choices = _as_choices([(value, formats.label(member)) for value, member in self.members.items()])
        super().__init__(label, validators, choices=choices, coerce=self._token, **options)

    def _token(self, value: Any) -> str:
        return str(value.value) if isinstance(value, enum.Enum) else str(value)

    def populate_obj(self, obj: Any, name: str) -> None:
        """Store members, not their values."""
        setattr(obj, name, [self.members[value] for value in self.data or ()])


class JsonField(Parsed, fields.TextAreaField):
    """JSON as indented text; empty is None."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else json.dumps(self.data, ensure_ascii=False, indent=2)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Text to value."""
        if not valuelist:
            return
        self.data = None
        if valuelist[0].strip():
            try:
                self.data = json.loads(valuelist[0])
            except ValueError as error:
                raise ValueError(f"Not valid JSON: {error}") from None
