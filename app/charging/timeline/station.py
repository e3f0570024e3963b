"""What the station told during a session, for its timeline: messages, statuses, its connection, readings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from app.assets.models import ConnectionStatus, Evse, ReportedStatus
from app.charging.flags import flag_labels
from app.charging.models import (
    ChargingSession,
    CommunicationLog,
    Direction,
    FrameKind,
    HardwareStatusLog,
    MeterReading,
    NetworkStatusLog,
)
from app.charging.timeline.entries import Entry, Kind, Point, Span, Tone, differing

#: statuses and connection changes of one session beyond it say nothing more
MOST_CHANGES = 500
MOST_POINTS = 600
_WHOLE = frozenset({0})
_BAD = {ReportedStatus.FAULTED: Tone.BAD, ReportedStatus.UNAVAILABLE: Tone.ODD}
_BUSY = frozenset({"charging", "occupied"})


@dataclass(frozen=True, slots=True)
class Axis:
    """The span of time that is shown, of one EVSE and its charge point; ``alone``: it has no other EVSE."""

    since: datetime
    until: datetime
    charge_point_id: int
    evse_id: int
    alone: bool


def axis_of(session: Session, row: ChargingSession, *, now: datetime) -> Axis:
    """From shortly before a session was asked for to shortly after it was over, by its clock and by ours."""
    times = [each for each in (row.created_at, row.started_at, row.start_received_at) if each is not None]
    ends = [each for each in (row.stopped_at, row.stop_received_at) if each is not None]
    last = max(ends) if ends else (now if row.started_at is not None else row.created_at + timedelta(minutes=10))
    others = session.scalar(
        select(func.count())
        .select_from(Evse)
        .where(Evse.charge_point_id == row.charge_point_id, Evse.id != row.evse_id)
    )
    return Axis(
        since=min(times) - timedelta(minutes=2),
        until=max(last, max(times)) + timedelta(minutes=2),
        charge_point_id=row.charge_point_id,
        evse_id=row.evse_id,
        alone=not others,
    )


# --- messages


def message_filter(row: ChargingSession, axis: Axis, *, whole_station: bool) -> list[ColumnElement[bool]]:
    """The requests of the time that name the session, its token or its own name at the station.

    All of them at a charge point with one EVSE, or when ``whole_station`` is asked for. Around the start and the stop
    everything is kept: what begins a session cannot name it yet.
    """
    log = CommunicationLog
    found = [
        log.charge_point_id == axis.charge_point_id,
        log.at >= axis.since,
        log.at < axis.until,
        log.kind == FrameKind.REQUEST,
    ]
    if axis.alone or whole_station:
        return found
    words = [str(row.id), *(each for each in (row.id_tag, row.station_reference) if each)]
    named = [log.payload.op("~*")(rf"\m{re.escape(word)}\M") for word in words]
    moments = [each for each in (row.start_received_at, row.stop_received_at) if each is not None]
    near = [(log.at >= moment - timedelta(seconds=1)) & (log.at <= moment + timedelta(seconds=1)) for moment in moments]
    return [*found, or_(*named, *near)]


def messages(session: Session, conditions: Sequence[ColumnElement[bool]], *, limit: int) -> Iterator[Entry]:
    """The first ``limit`` requests, oldest first; their contents are read when they are opened."""
    log = CommunicationLog
    query = select(log.at, log.id, log.direction, log.action).where(*conditions).order_by(log.at, log.id).limit(limit)
    for at, number, direction, action in session.execute(query):
        sent = "to the charge point" if direction is Direction.TO_STATION else "from the charge point"
        yield Entry(
            at=at,
            kind=Kind.MESSAGE,
            title=action or "Message",
            detail=sent,
            frame=(at, number),
            order=(2, number),
        )


def count_messages(session: Session, conditions: Sequence[ColumnElement[bool]], *, most: int) -> int:
    """How many there are; counting stops at ``most`` + 1."""
    few = select(CommunicationLog.id).where(*conditions).limit(most + 1).subquery()
    return int(session.scalar(select(func.count()).select_from(few)) or 0)


# --- statuses and connection


def _statuses(session: Session, axis: Axis) -> Sequence[HardwareStatusLog]:
    log = HardwareStatusLog
    return session.scalars(
        select(log)
        .where(
            log.charge_point_id == axis.charge_point_id,
            log.at >= axis.since,
            log.at < axis.until,
            or_(log.evse_id == axis.evse_id, log.network_id == 0),
        )
        .order_by(log.at, log.id)
        .limit(MOST_CHANGES)
    ).all()


def _status_before(session: Session, axis: Axis) -> ReportedStatus | None:
    log = HardwareStatusLog
    return session.scalar(
        select(log.status)
        .where(
            log.charge_point_id == axis.charge_point_id,
            log.evse_id == axis.evse_id,
            log.at < axis.since,
            log.at >= axis.since - timedelta(days=31),
        )
        .order_by(log.at.desc())
        .limit(1)
    )


def statuses(session: Session, axis: Axis) -> tuple[list[Entry], list[Span]]:
    """What the EVSE (and the charge point as a whole) reported of itself, as entries and as a lane."""
    rows = _statuses(session, axis)
    entries = [
        Entry(
            at=row.at,
            kind=Kind.STATUS,
            title=row.status.label + (" (charge point)" if row.network_id in _WHOLE else ""),
            detail="; ".join(each for each in (row.error_code, row.info, row.vendor_error_code) if each),
            tone=_BAD.get(row.status, Tone.NEUTRAL),
            said_at=differing(row.at, row.reported_at),
            order=(3, row.id),
        )
        for row in rows
    ]
    own = [(row.at, row.status) for row in rows if row.network_id not in _WHOLE]
    return entries, list(_spans(own, _status_before(session, axis), axis, _status_tone))


def _status_tone(status: Any) -> Tone:
    if status in _BAD:
        return _BAD[status]
    return Tone.GOOD if str(status.value) in _BUSY else Tone.NEUTRAL


def connections(session: Session, axis: Axis) -> tuple[list[Entry], list[Span]]:
    """When the charge point was connected, as entries and as a lane."""
    log = NetworkStatusLog
    rows = session.scalars(
        select(log)
        .where(log.charge_point_id == axis.charge_point_id, log.at >= axis.since, log.at < axis.until)
        .order_by(log.at, log.id)
        .limit(MOST_CHANGES)
    ).all()
    before = session.scalar(
        select(log.status)
        .where(
            log.charge_point_id == axis.charge_point_id,
            log.at < axis.since,
            log.at >= axis.since - timedelta(days=31),
        )
        .order_by(log.at.desc())
        .limit(1)
    )
    entries = [
        Entry(
            at=row.at,
            kind=Kind.CONNECTION,
            title=row.status.label,
            detail=row.detail or "",
            tone=_connection_tone(row.status),
            order=(1, row.id),
        )
        for row in rows
    ]
    return entries, list(_spans([(row.at, row.status) for row in rows], before, axis, _connection_tone))


def _connection_tone(status: Any) -> Tone:
    if status is ConnectionStatus.AVAILABLE:
        return Tone.GOOD
    return Tone.ODD if status is ConnectionStatus.TEMPORARILY_UNAVAILABLE else Tone.BAD


def _spans(changes: Sequence[tuple[datetime, Any]], before: Any, axis: Axis, tone: Any) -> Iterator[Span]:
    since, state = axis.since, before
    for at, status in changes:
        if state is not None and at > since:
            yield Span(since, at, state.label, tone(state))
        since, state = at, status
    if state is not None and axis.until > since:
        yield Span(since, axis.until, state.label, tone(state))


# --- readings


def readings(session: Session, row: ChargingSession, *, limit: int) -> list[MeterReading]:
    """The first ``limit`` readings of a session, by the station's time."""
    return list(
        session.scalars(
            select(MeterReading)
            .where(
                MeterReading.session_id == row.id,
                MeterReading.received_at >= row.created_at - timedelta(hours=1),
            )
            .order_by(MeterReading.measured_at, MeterReading.id)
            .limit(limit)
        )
    )


def reading_entries(rows: Sequence[MeterReading]) -> Iterator[Entry]:
    """Each reading in words."""
    for row in rows:
        parts = []
        if row.register_wh is not None:
            parts.append(f"{row.register_wh / 1000:.3f} kWh")
        if row.power_w is not None:
            parts.append(f"{row.power_w / 1000:.2f} kW")
        if row.soc_percent is not None:
            parts.append(f"battery {row.soc_percent:.0f}%")
        yield Entry(
            at=row.measured_at,
            kind=Kind.METER,
            title=", ".join(parts) or "Meter reading",
            detail="; ".join(flag_labels(row.flags)),
            tone=Tone.ODD if row.flags else Tone.NEUTRAL,
            arrived_at=differing(row.measured_at, row.received_at),
            order=(4, row.id),
        )


def points(row: ChargingSession, rows: Sequence[MeterReading]) -> tuple[Point, ...]:
    """The curve of the readings, thinned to MOST_POINTS; power that was not measured is the mean of the interval."""
    if row.started_at is None:
        return ()
    found = [Point(row.started_at, None, Decimal(0), None)]
    for reading in rows:
        power_w = reading.power_w
        last = found[-1]
        seconds = Decimal(str((reading.measured_at - last.at).total_seconds()))
        if power_w is None and reading.register_wh is not None and last.energy_wh is not None and seconds > 0:
            power_w = max(Decimal(0), (reading.register_wh - last.energy_wh) * 3600 / seconds)
        energy_wh = reading.register_wh if reading.register_wh is not None else last.energy_wh
        if power_w is not None or reading.register_wh is not None or reading.soc_percent is not None:
            found.append(Point(reading.measured_at, power_w, energy_wh, reading.soc_percent))
    if row.stopped_at is not None and row.stopped_at > found[-1].at:
        found.append(Point(row.stopped_at, Decimal(0) if len(found) > 1 else None, row.energy_wh, None))
    step = max(1, -(-len(found) // MOST_POINTS))
    return tuple(point for index, point in enumerate(found) if index % step == 0 or index == len(found) - 1)
