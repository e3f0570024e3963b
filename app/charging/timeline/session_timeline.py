"""A session's timeline, read in one go: every kind of entry on one axis, in the order of time, a page at a time.

Bounded whatever a station has sent: ten thousand messages are counted, and read only as far as the page goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.charging.models import ChargingSession
from app.charging.stop_watch import stop_words
from app.charging.timeline import office, station
from app.charging.timeline.entries import Entry, Kind, Timeline
from app.charging.timeline.station import Axis, axis_of
from app.core import partitions, settings

PER_PAGE = 200
#: messages and readings beyond it are not counted, and not paged through
MOST_COUNTED = 10_000
#: readings that the curve is drawn from
MOST_READINGS = 5_000
#: marks on a lane
MOST_MARKS = 400

#: what is dropped after its time: table → kind and words
_KEPT = {
    "communication_log": (Kind.MESSAGE, "communication log"),
    "hardware_status_log": (Kind.STATUS, "hardware status log"),
    "network_status_log": (Kind.CONNECTION, "network status log"),
    "meter_reading": (Kind.METER, "meter readings"),
}
_MARKED = (Kind.SESSION, Kind.AUTHORIZATION, Kind.RESERVATION, Kind.MONEY, Kind.ACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted: ``kinds`` in the table, of what ``may_see`` allows; ``whole_station``: all of its messages."""

    kinds: frozenset[Kind]
    may_see: frozenset[Kind] = frozenset(Kind)
    whole_station: bool = False
    page: int = 0


def session_timeline(session: Session, row: ChargingSession, *, asked: Asked, now: datetime) -> Timeline:
    """The timeline of a session: the axis with its lanes and curve, and one page of entries, oldest first."""
    axis = axis_of(session, row, now=now)
    found: dict[Kind, list[Entry]] = {kind: [] for kind in Kind}
    found[Kind.SESSION] = list(office.life(row, stop_rule=stop_words(session, row, now=now).asked))
    statuses, status_lane = station.statuses(session, axis)
    connections, connection_lane = station.connections(session, axis)
    found[Kind.STATUS], found[Kind.CONNECTION] = statuses, connections
    if Kind.AUTHORIZATION in asked.may_see:
        found[Kind.AUTHORIZATION] = office.authorizations(session, row, axis)
    if Kind.RESERVATION in asked.may_see:
        found[Kind.RESERVATION] = office.reservations(session, row, axis)
    if Kind.MONEY in asked.may_see:
        found[Kind.MONEY] = office.money(session, row)
    if Kind.ACTION in asked.may_see:
        found[Kind.ACTION] = office.actions(session, row, axis)
    readings = station.readings(session, row, limit=MOST_READINGS) if Kind.METER in asked.may_see else []
    found[Kind.METER] = list(station.reading_entries(readings))
    counts = {kind: len(entries) for kind, entries in found.items() if kind in asked.may_see}
    conditions = station.message_filter(row, axis, whole_station=asked.whole_station)
    if Kind.MESSAGE in asked.may_see:
        counts[Kind.MESSAGE] = station.count_messages(session, conditions, most=MOST_COUNTED)
    capped = {
        kind
        for kind, most in ((Kind.MESSAGE, MOST_COUNTED), (Kind.METER, MOST_READINGS - 1))
        if counts.get(kind, 0) > most
    }
    counts = {kind: min(count, MOST_COUNTED) for kind, count in counts.items()}
    wanted = asked.kinds & asked.may_see
    total = sum(counts[kind] for kind in wanted)
    pages = max(1, -(-total // PER_PAGE))
    page = max(0, min(asked.page, pages - 1))
    if Kind.MESSAGE in wanted:
        until = min((page + 1) * PER_PAGE, MOST_COUNTED)
        found[Kind.MESSAGE] = list(station.messages(session, conditions, limit=until))
    entries = sorted((each for kind in wanted for each in found[kind]), key=lambda each: (each.at, each.order))
    return Timeline(
        since=axis.since,
        until=axis.until,
        entries=tuple(entries[page * PER_PAGE : (page + 1) * PER_PAGE]),
        counts=counts,
        capped=frozenset(capped),
        page=page,
        pages=pages,
        connection=tuple(connection_lane),
        status=tuple(status_lane),
        marks={kind: _within(axis, found[kind]) for kind in _MARKED if kind in asked.may_see},
        curve=station.points(row, readings),
        gaps=tuple(_gaps(session, axis, asked.may_see)),
    )


def _within(axis: Axis, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(each for each in entries if axis.since <= each.at <= axis.until)[:MOST_MARKS]


def _gaps(session: Session, axis: Axis, may_see: frozenset[Kind]) -> Iterable[str]:
    """What of the axis' first month is no longer kept."""
    month = date(axis.since.year, axis.since.month, 1)
    for table, (kind, words) in _KEPT.items():
        if kind not in may_see:
            continue
        name = partitions.Partition(table, month).name
        if session.scalar(select(func.to_regclass(name))) is None:
            days = settings.get_int(session, partitions.TABLES[table][1])
            yield f"The {words} of that time was dropped: it is kept for {days} days (Settings)."
