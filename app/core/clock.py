"""The one place that reads the clock. Verbs take ``now=`` and never call it themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def utcnow() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def zone(name: str | None, default: str = "UTC") -> ZoneInfo:
    """The zone of an IANA name; the default when the name is empty or unknown."""
    try:
        return ZoneInfo(name or default)
    except (KeyError, ValueError):
        return ZoneInfo(default)
