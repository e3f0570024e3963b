"""What stands on a session's timeline: kinds, entries, and the whole of it. Plain data, bounded in size.

product.md, "Beyond the manual", 2: "messages, meter curve, status, authorisation, payments and operator actions on one
time axis".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from app.core.types import LabelledEnum

#: a station's clock and the arrival here are told apart from this difference on
CLOCKS_DIFFER = timedelta(seconds=5)


class Kind(LabelledEnum):
    """What an entry is about; the timeline is narrowed by it."""

    SESSION = "session", "Session"
    STATUS = "status", "EVSE status"
    CONNECTION = "connection", "Connection"
    AUTHORIZATION = "authorization", "Authorization"
    RESERVATION = "reservation", "Reservation"
    MONEY = "money", "Money"
    ACTION = "action", "Actions"
    MESSAGE = "message", "Messages"
    METER = "meter", "Meter readings"


class Tone(LabelledEnum):
    """How an entry is to be taken; the words carry the meaning."""

    NEUTRAL = "neutral"
    GOOD = "good"
    ODD = "odd"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Link:
    """The record an entry is about: its table's page and number."""

    page: str
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened at ``at`` (UTC).

    The session's own times and its readings are by the station's clock: ``arrived_at`` is when we heard of them, where
    that differs by more than CLOCKS_DIFFER. Everything else is by ours, and ``said_at`` what the station's clock said,
    where that differs. ``order`` sorts what happened at the same moment. ``frame`` is a message's place in the log.
    """

    at: datetime
    kind: Kind
    title: str
    detail: str = ""
    tone: Tone = Tone.NEUTRAL
    arrived_at: datetime | None = None
    said_at: datetime | None = None
    link: Link | None = None
    frame: tuple[datetime, int] | None = None
    order: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Span:
    """A state on a lane: from ``since`` to ``until``."""

    since: datetime
    until: datetime
    label: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: power in W, energy since the start in Wh, battery in percent; None: not measured."""

    at: datetime
    power_w: Decimal | None
    energy_wh: Decimal | None
    soc_percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A page of a session's timeline. ``counts`` are all entries of each kind there are, up to a bound (``capped``).

    ``since`` to ``until`` is the axis. ``gaps`` say what of that time is no longer kept.
    """

    since: datetime
    until: datetime
    entries: tuple[Entry, ...]
    counts: dict[Kind, int]
    capped: frozenset[Kind]
    page: int
    pages: int
    connection: tuple[Span, ...] = ()
    status: tuple[Span, ...] = ()
    marks: dict[Kind, tuple[Entry, ...]] = field(default_factory=dict)
    curve: tuple[Point, ...] = ()
    gaps: tuple[str, ...] = ()


def differing(at: datetime, other: datetime | None) -> datetime | None:
    """The other clock's time, where it is another."""
    return other if other is not None and abs(other - at) > CLOCKS_DIFFER else None
