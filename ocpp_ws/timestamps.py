"""Time stamps as stations write them, and as OCPP wants them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_ZONE: Final = re.compile(r"(?:[Zz]|[T ].*[+-]\d\d:?(?:\d\d)?|UTC|GMT)$", re.IGNORECASE)
_PARTS: Final = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[Tt ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?)?"
    r"\s*(?:[Zz]|UTC|GMT|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)
_EPOCH: Final = re.compile(r"\d{9,10}(?:\.\d+)?|\d{12,13}", re.ASCII)


def parse_timestamp(text: str) -> datetime:
    """A station's time stamp as an aware UTC datetime, to the microsecond.

    Reads RFC 3339 with any fraction and offset, a space for the T, no zone (UTC), lower case, single digits,
    a leap second, 24:00:00, and seconds or milliseconds since 1970.

    Raises:
        ValueError: none of these, or no such day.
    """
    try:
        # Digits alone are seconds; Python would read some of them as a day of the 18th century.
        moment = _parse_by_parts(text) if text.isdigit() else datetime.fromisoformat(text)
    except ValueError:
        moment = _parse_by_parts(text.strip())
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"not a time: {text[:40]!r}") from None


def is_rfc3339(text: str) -> bool:
    """Whether the text is written as OCPP demands, with a zone; its numbers are not checked."""
    return _RFC3339.fullmatch(text) is not None


def has_zone(text: str) -> bool:
    """Whether a readable time stamp says its zone or offset."""
    return _ZONE.search(text.strip()) is not None


def _parse_by_parts(text: str) -> datetime:
    if _EPOCH.fullmatch(text):
        seconds = float(text)
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError(f"not a time: {text[:40]!r}")
    moment = datetime(year, month, day, tzinfo=UTC) + timedelta(
        hours=hour,
        minutes=minute,
        seconds=second,
        microseconds=int((fraction or "0")[:6].ljust(6, "0")),
    )
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    return moment + offset if sign == "-" else moment - offset


def format_timestamp(moment: datetime) -> str:
    """A time as OCPP wants it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str | None, now: datetime) -> datetime:
    """A station's time stamp; the arrival time where there is none or it cannot be read."""
    if not text:
        return now
    try:
        return parse_timestamp(text)
    except ValueError:
        return now
