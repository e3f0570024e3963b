"""What a setting's value may be: the kinds, and how what a form or a file gave becomes a typed value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from zoneinfo import available_timezones

#: of a line's key and value: what a charge point's configuration takes
_LONGEST_KEY, _LONGEST_VALUE = 50, 500
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+")


class InvalidSetting(ValueError):
    """The value does not fit the setting; the message says what would."""


class Kind(StrEnum):
    """What a setting's value is."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    AMOUNT = "amount"
    TEXT = "text"
    CHOICE = "choice"
    EMAILS = "emails"
    TIMEZONE = "timezone"
    CURRENCY = "currency"
    VAT = "vat"
    SECRET = "secret"  # noqa: S105
    LINES = "lines"
    PARAGRAPH = "paragraph"
    NUMBER = "number"
    LANGUAGES = "languages"


@dataclass(frozen=True)
class Definition:
    """A setting: where it stands, what it takes, what it means, what holds when nobody set it."""

    key: str
    group: str
    label: str
    kind: Kind
    default: Any
    help: str
    unit: str = ""
    minimum: int | None = None
    maximum: int | None = None
    optional: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    #: of lines: keys that do not belong there, and where they do
    refused_keys: tuple[tuple[str, str], ...] = ()


def parse(definition: Definition, raw: Any) -> Any:
    """The typed value of what a form or file gave. Raises InvalidSetting with what would be right.

    Amounts come back as Decimal, addresses as a list, empty optional values as None.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        if definition.optional:
            return None
        if definition.kind is Kind.EMAILS:
            return []
        if definition.kind is Kind.LANGUAGES:
            raise InvalidSetting("at least one language is expected")
        if definition.kind in (Kind.TEXT, Kind.SECRET, Kind.LINES, Kind.PARAGRAPH):
            return ""
        if definition.kind is Kind.BOOLEAN:
            return False
        raise InvalidSetting("a value is required")
    return _PARSERS[definition.kind](definition, raw)


def _boolean(_definition: Definition, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in ("1", "true", "yes", "on", "y"):
        return True
    if text in ("0", "false", "no", "off", "n"):
        return False
    raise InvalidSetting("yes or no is expected")


def _in_range(definition: Definition, value: Any) -> None:
    if definition.minimum is not None and value < definition.minimum:
        raise InvalidSetting(f"at least {definition.minimum} is expected")
    if definition.maximum is not None and value > definition.maximum:
        raise InvalidSetting(f"at most {definition.maximum} is expected")


def _integer(definition: Definition, raw: Any) -> int:
    if isinstance(raw, bool) or not re.fullmatch(r"[+-]?\d{1,12}", str(raw).strip()):
        raise InvalidSetting("a whole number is expected")
    value = int(str(raw).strip())
    _in_range(definition, value)
    return value


def _amount(definition: Definition, raw: Any) -> Decimal:
    try:
        value = Decimal(str(raw).strip())
    except InvalidOperation:
        raise InvalidSetting("an amount such as 5.00 is expected") from None
    if not value.is_finite() or value != round(value, 4):
        raise InvalidSetting("an amount with at most four decimals is expected")
    _in_range(definition, value)
    return value


def _number(definition: Definition, raw: Any) -> Decimal:
    """With at most six decimals: coordinates."""
    try:
        value = Decimal(str(raw).strip().replace(",", "."))
    except InvalidOperation:
        raise InvalidSetting("a number such as 42.697700 is expected") from None
    if not value.is_finite() or value != round(value, 6):
        raise InvalidSetting("a number with at most six decimals is expected")
    _in_range(definition, value)
    return value


def _languages(definition: Definition, raw: Any) -> list[str]:
    """Codes of the languages there are, in the order in which they stand everywhere."""
    wanted = {str(part).strip() for part in (raw if isinstance(raw, list) else re.split(r"[,;\s]+", str(raw)))} - {""}
    unknown = sorted(wanted - {code for code, _ in definition.choices})
    if unknown:
        raise InvalidSetting(f"{', '.join(unknown)}: there is no such language")
    if not wanted:
        raise InvalidSetting("at least one language is expected")
    return [code for code, _ in definition.choices if code in wanted]


def _text(definition: Definition, raw: Any) -> str:
    value = str(raw).strip()
    if definition.maximum is not None and len(value) > definition.maximum:
        raise InvalidSetting(f"at most {definition.maximum} characters are expected")
    return value


def _secret(definition: Definition, raw: Any) -> str:
    """As entered: blanks at its ends may belong to a password."""
    value = str(raw)
    limit = definition.maximum or 500
    if len(value) > limit or any(ord(char) < 32 for char in value):
        raise InvalidSetting(f"one line of at most {limit} characters is expected")
    return value


def _lines(definition: Definition, raw: Any) -> str:
    """Lines of key=value, without empty ones and blanks at their ends, each key once regardless of case."""
    kept = []
    refused = {key.lower(): why for key, why in definition.refused_keys}
    seen: dict[str, int] = {}
    for number, line in enumerate(str(raw).splitlines(), start=1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not (name or equals):
            continue
        if not name or not equals or any(char.isspace() for char in name):
            raise InvalidSetting(f"line {number}: key=value is expected")
        if len(name) > _LONGEST_KEY or len(value) > _LONGEST_VALUE or not f"{name}{value}".isprintable():
            raise InvalidSetting(
                f"line {number}: at most {_LONGEST_KEY} characters for the key and {_LONGEST_VALUE} for the value, "
                "all of them visible, are expected"
            )
        if name.lower() in refused:
            raise InvalidSetting(f"line {number}: {name} {refused[name.lower()]}")
        if name.lower() in seen:
            raise InvalidSetting(f"line {number}: {name} stands in line {seen[name.lower()]} already")
        seen[name.lower()] = number
        kept.append(f"{name}={value}")
    return _text(definition, "\n".join(kept))


def _paragraph(definition: Definition, raw: Any) -> str:
    """Lines of text, without empty ones and blanks at their ends."""
    return _text(definition, "\n".join(line.strip() for line in str(raw).splitlines() if line.strip()))


def _choice(definition: Definition, raw: Any) -> str:
    allowed = [value for value, _ in definition.choices]
    if raw not in allowed:
        raise InvalidSetting("one of " + ", ".join(allowed) + " is expected")
    return str(raw)


def _emails(_definition: Definition, raw: Any) -> list[str]:
    parts = raw if isinstance(raw, list) else re.split(r"[,;\s]+", str(raw))
    addresses = [str(p).strip() for p in parts if str(p).strip()]
    for address in addresses:
        if not _EMAIL.fullmatch(address):
            raise InvalidSetting(f"{address!r} is not an e-mail address")
    return addresses


def _timezone(_definition: Definition, raw: Any) -> str:
    if raw not in available_timezones():
        raise InvalidSetting("a time zone such as Europe/Sofia is expected")
    return str(raw)


def _code(_definition: Definition, raw: Any) -> str:
    code = str(raw).strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise InvalidSetting("a currency code such as EUR is expected")
    return code


_PARSERS: dict[Kind, Callable[[Definition, Any], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.AMOUNT: _amount,
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.EMAILS: _emails,
    Kind.TIMEZONE: _timezone,
    Kind.CURRENCY: _code,
    Kind.VAT: _text,
    Kind.SECRET: _secret,
    Kind.LINES: _lines,
    Kind.PARAGRAPH: _paragraph,
    Kind.NUMBER: _number,
    Kind.LANGUAGES: _languages,
}
