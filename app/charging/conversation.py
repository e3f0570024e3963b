"""What a station and we said to each other: requests paired with their answers, page by page without counting.

Manual, "Communication Logs"; stations.md, line 24. Pages go by key (time, number), never by offset, so that the
millionth frame costs what the first does; every query reads the index on (charge_point_id, at) and stops when the page
is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Interval, Select, and_, literal, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from app.charging.models import CommunicationLog
from app.charging.models.logs import Direction, FrameKind

#: an answer is looked for this long after its request; message ids mean nothing beyond a connection (stations.md)
ANSWER_WITHIN = timedelta(minutes=10)
#: rows an export reads at a time
BATCH = 500


class Show(StrEnum):
    """Which exchanges are wanted."""

    ALL = "all"
    ERRORS = "errors"
    UNANSWERED = "unanswered"


class Key(NamedTuple):
    """Where a page ends: the time and number of its last frame."""

    at: datetime
    id: int


@dataclass(frozen=True)
class Window:
    """The frames asked for: of one station, in [since, until), and what narrows them further."""

    charge_point_id: int
    since: datetime
    until: datetime
    action: str = ""
    direction: Direction | None = None
    show: Show = Show.ALL
    text: str = ""


@dataclass(frozen=True)
class Exchange:
    """A message and its answer, as they were on the wire. ``answer`` None: none came (or it was no request).

    ``key`` is its place in the log as it was asked for: of the frame that was searched for.
    """

    first: CommunicationLog
    answer: CommunicationLog | None
    key: Key

    @property
    def took(self) -> timedelta | None:
        """From request to answer."""
        return self.answer.at - self.first.at if self.answer is not None else None

    @property
    def went_wrong(self) -> bool:
        """Whether either side answered with an error."""
        return FrameKind.ERROR in (self.first.kind, self.answer.kind if self.answer else None)

    @property
    def unanswered(self) -> bool:
        """A request that nobody has answered."""
        return self.first.kind is FrameKind.REQUEST and self.answer is None


def exchanges(
    session: Session, window: Window, *, before: Key | None = None, after: Key | None = None, limit: int = 50
) -> list[Exchange]:
    """Exchanges newest first: the window's newest, those older than ``before``, or the next newer than ``after``."""
    query = exchanges_query(window, before=before, after=after).limit(limit)
    found = [_exchange(frame, question, following) for frame, question, following in session.execute(query)]
    return found[::-1] if after is not None else found


def _exchange(
    frame: CommunicationLog, question: CommunicationLog | None, following: CommunicationLog | None
) -> Exchange:
    key = Key(frame.at, frame.id)
    if question is not None:
        return Exchange(question, frame, key)
    answered = following is not None and following.kind is not FrameKind.REQUEST
    return Exchange(frame, following if answered else None, key)


def exchanges_query(
    window: Window, *, before: Key | None = None, after: Key | None = None
) -> Select[tuple[CommunicationLog, CommunicationLog, CommunicationLog]]:
    """The query of ``exchanges``: each wanted frame with the request it answers, or the frame that follows a request.

    What narrows the log is asked of the frames themselves, so that only those found are paired.
    """
    log = CommunicationLog
    asked, next_frame = _question_of(window).lateral("question"), _next_frame_of(window).lateral("next_frame")
    question, following = aliased(CommunicationLog, asked), aliased(CommunicationLog, next_frame)
    this = tuple_(log.at, log.id)
    query = (
        select(log, question, following)
        .select_from(log)
        .outerjoin(asked, true())
        .outerjoin(next_frame, true())
        .where(
            log.charge_point_id == window.charge_point_id,
            log.at >= window.since,
            log.at < window.until,
            *_narrowed(window, question, following),
        )
    )
    if after is not None:
        # the bound on the time alone is what the index can use
        return query.where(log.at >= after.at, this > _bound(after)).order_by(log.at, log.id)
    if before is not None:
        query = query.where(log.at <= before.at, this < _bound(before))
    return query.order_by(log.at.desc(), log.id.desc())


def _next_frame_of(window: Window) -> Select[tuple[CommunicationLog]]:
    """What comes next under a request's number: an answer, or another request (after a restart of the station)."""
    log, other = CommunicationLog, aliased(CommunicationLog, name="later")
    answers = and_(other.kind != FrameKind.REQUEST, other.direction != log.direction)
    asked_again = and_(other.kind == FrameKind.REQUEST, other.direction == log.direction)
    return (
        select(other)
        .where(
            log.kind == FrameKind.REQUEST,
            other.charge_point_id == window.charge_point_id,
            other.message_id == log.message_id,
            other.at >= log.at,
            other.at < log.at + literal(ANSWER_WITHIN, Interval()),
            tuple_(other.at, other.id) > tuple_(log.at, log.id),
            or_(answers, asked_again),
        )
        .order_by(other.at, other.id)
        .limit(1)
        .correlate(log)
    )


def _question_of(window: Window) -> Select[tuple[CommunicationLog]]:
    """The request that an answer or error belongs to: the newest of its number before it."""
    log, other = CommunicationLog, aliased(CommunicationLog, name="earlier")
    return (
        select(other)
        .where(
            log.kind != FrameKind.REQUEST,
            other.charge_point_id == window.charge_point_id,
            other.message_id == log.message_id,
            other.kind == FrameKind.REQUEST,
            other.direction != log.direction,
            other.at <= log.at,
            other.at > log.at - literal(ANSWER_WITHIN, Interval()),
            tuple_(other.at, other.id) < tuple_(log.at, log.id),
        )
        .order_by(other.at.desc(), other.id.desc())
        .limit(1)
        .correlate(log)
    )


def _bound(key: Key) -> Any:
    return tuple_(literal(key.at, CommunicationLog.at.type), literal(key.id, CommunicationLog.id.type))


def _narrowed(window: Window, question: Any, following: Any) -> Iterator[ColumnElement[bool]]:
    log = CommunicationLog
    asks, alone = log.kind == FrameKind.REQUEST, question.id.is_(None)
    wanted = "%" + window.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    here = log.payload.ilike(wanted, escape="\\")
    there = question.payload.ilike(wanted, escape="\\")
    if window.action:
        yield or_(and_(alone, log.action == window.action), question.action == window.action)
    if window.direction is not None:
        yield or_(and_(alone, log.direction == window.direction), question.direction == window.direction)
    if window.show is Show.ERRORS:
        yield log.kind == FrameKind.ERROR
        if window.text:
            yield or_(here, there)
    elif window.show is Show.UNANSWERED:
        yield asks
        yield or_(following.kind.is_(None), following.kind == FrameKind.REQUEST)
        if window.text:
            yield here
    elif window.text:
        yield here
        # a request that is found too stands for both
        yield or_(alone, ~there)
    else:
        yield or_(asks, alone)


def all_exchanges(session: Session, window: Window) -> Iterator[Exchange]:
    """Every exchange of the window, newest first, a batch in memory at a time."""
    before: Key | None = None
    while True:
        found = exchanges(session, window, before=before, limit=BATCH)
        yield from found
        if len(found) < BATCH:
            return
        before = found[-1].key
        session.expunge_all()


def newest_key(session: Session, window: Window) -> Key | None:
    """The place of the newest frame before the window's end, whatever it is: where a live view goes on."""
    log = CommunicationLog
    row = session.execute(
        select(log.at, log.id)
        .where(log.charge_point_id == window.charge_point_id, log.at >= window.since, log.at < window.until)
        .order_by(log.at.desc(), log.id.desc())
        .limit(1)
    ).first()
    return Key(row[0], row[1]) if row is not None else None


def actions_heard(session: Session, *, charge_point_id: int, since: datetime, until: datetime) -> list[str]:
    """The names of the messages among the newest frames of that time, for the filter; a loud station costs no more."""
    log = CommunicationLog
    recent = (
        select(log.action)
        .where(log.charge_point_id == charge_point_id, log.at >= since, log.at < until, log.action != "")
        .order_by(log.at.desc())
        .limit(2000)
        .subquery()
    )
    names = session.scalars(select(recent.c.action).distinct())
    return sorted(names)
