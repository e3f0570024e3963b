"""Meter readings: stored in batches, the session's energy brought along, nothing answered before it is on disk.

architecture.md, "How a meter reading travels". The gateway keeps a ``SessionMeter`` per running session, so that
a reading asks the database for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString

import orjson
import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging.clocks import LATE, clean_time
from app.charging.flags import AFTER_END
from app.charging.lifecycle import SessionStatus
from app.charging.models import LARGEST_ID, ChargingSession
from app.charging.registers import RegisterState, normalise_reading
from app.charging.session_meter import register_state
from app.charging.station import Station
from app.charging.stop_notice import Watch
from app.charging.stop_watch import watch_of
from app.core import events
from app.core.bulk import insert_rows
from app.core.clock import utcnow
from app.core.group_commit import GroupCommit, Kind, WriteFailed


@dataclass(slots=True)
class SessionMeter:
    """A session's meter as the gateway remembers it. ``running`` False: readings are kept, and change nothing."""

    session_id: int
    #: whose session it is: the owner of the station may be another by now
    partner_id: int
    evse_id: int
    max_power_w: int | None
    register: RegisterState | None
    running: bool
    #: None: no rule stops the session
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample set, units normalised: Wh, W, A, V, %. ``other`` holds what has no column of its own."""

    measured_at: datetime
    context: str | None = None
    register_wh: Decimal | None = None
    power_w: Decimal | None = None
    currents_a: tuple[Decimal | None, Decimal | None, Decimal | None] = (None, None, None)
    voltage_v: Decimal | None = None
    soc_percent: Decimal | None = None
    other: dict[str, Any] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A sample as it is stored."""

    received_at: datetime
    partner_id: int
    charge_point_id: int
    evse_id: int | None
    session_id: int | None
    measured_at: datetime
    context: str | None
    register_wh: Decimal | None
    raw_register_wh: Decimal | None
    power_w: Decimal | None
    currents_a: tuple[Decimal | None, Decimal | None, Decimal | None]
    voltage_v: Decimal | None
    soc_percent: Decimal | None
    other: dict[str, Any] | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """What a session's row becomes by its newest readings. ``active_at`` None: they are no sign of its life."""

    session_id: int
    active_at: datetime | None
    raw_wh: Decimal | None
    offset_wh: Decimal
    energy_wh: Decimal
    start_wh: Decimal | None
    reading_at: datetime
    power_w: Decimal | None
    soc_percent: Decimal | None
    flags: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Delivery:
    """The rows of one message, and the session's advance by them."""

    rows: tuple[Row, ...]
    advance: Advance | None


_COLUMNS: dict[str, LiteralString] = {
    "received_at": "timestamptz",
    "partner_id": "bigint",
    "charge_point_id": "bigint",
    "evse_id": "bigint",
    "session_id": "bigint",
    "measured_at": "timestamptz",
    "context": "text",
    # with their digits, by which whatever a station may say is rounded while it is read
    "register_wh": "numeric(16,3)",
    "raw_register_wh": "numeric(16,3)",
    "power_w": "numeric(12,1)",
    "current_l1_a": "numeric(8,2)",
    "current_l2_a": "numeric(8,2)",
    "current_l3_a": "numeric(8,2)",
    "voltage_v": "numeric(8,2)",
    "soc_percent": "numeric(5,1)",
    "other": "jsonb",
    "flags": "varchar[]",
}

_ADVANCE = """
UPDATE charging_session s SET last_activity_at = coalesce(g.at, s.last_activity_at), last_raw_wh = g.raw,
  register_offset_wh = g.offs, energy_wh = g.energy, meter_start_wh = coalesce(s.meter_start_wh, g.start),
  last_reading_at = g.reading_at,
  power_w = coalesce(g.power, s.power_w), max_power_w = greatest(s.max_power_w, g.power),
  soc_percent = coalesce(g.soc, s.soc_percent)
FROM unnest(%s::bigint[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
  %s::timestamptz[], %s::numeric[], %s::numeric[]) AS g(id, at, raw, offs, energy, start, reading_at, power, soc)
WHERE s.id = g.id AND s.status IN ('active', 'stopping')
"""

_FLAGS = """
UPDATE charging_session SET flags = ARRAY(SELECT DISTINCT unnest(flags || %s::varchar[]) ORDER BY 1)
WHERE id = %s AND status IN ('active', 'stopping') AND NOT flags @> %s::varchar[]
"""


def _write(cursor: psycopg.Cursor[Any], items: Sequence[Delivery]) -> None:
    insert_rows(cursor, "meter_reading", _COLUMNS, (_fields(row) for item in items for row in item.rows))
    latest = {item.advance.session_id: item.advance for item in items if item.advance is not None}
    if not latest:
        return
    rows = [latest[key] for key in sorted(latest)]
    cursor.execute(
        _ADVANCE,
        (
            [r.session_id for r in rows],
            [r.active_at for r in rows],
            [r.raw_wh for r in rows],
            [r.offset_wh for r in rows],
            [r.energy_wh for r in rows],
            [r.start_wh for r in rows],
            [r.reading_at for r in rows],
            [r.power_w for r in rows],
            [r.soc_percent for r in rows],
        ),
    )
    for item in items:
        if item.advance is not None and item.advance.flags:
            flags = list(item.advance.flags)
            cursor.execute(_FLAGS, (flags, item.advance.session_id, flags))


def _fields(row: Row) -> tuple[Any, ...]:
    return (
        row.received_at,
        row.partner_id,
        row.charge_point_id,
        row.evse_id,
        row.session_id,
        row.measured_at,
        row.context,
        row.register_wh,
        row.raw_register_wh,
        row.power_w,
        *row.currents_a,
        row.voltage_v,
        row.soc_percent,
        orjson.dumps(row.other).decode() if row.other else None,
        orjson.dumps(row.flags).decode(),
    )


READINGS: Kind[Delivery] = Kind("meter", _write)


def load_meter(
    session: Session,
    *,
    station: Station,
    session_id: int | None = None,
    evse_id: int | None = None,
    now: datetime | None = None,
    watched: bool = True,
) -> SessionMeter | None:
    """The meter of a session of this station: by its number, else the one running on an EVSE. None when there is none.

    A number of another station's session is no session of this one. ``watched``: readings may break its stop rules;
    ``now`` (the present by default) is when their limits are read.
    """
    query = select(ChargingSession, Evse.max_power_w).join(Evse, Evse.id == ChargingSession.evse_id)
    running = (SessionStatus.ACTIVE, SessionStatus.STOPPING)
    if session_id is not None and session_id > 0:
        query = query.where(ChargingSession.id == min(session_id, LARGEST_ID))
    elif evse_id is not None:
        query = query.where(ChargingSession.evse_id == evse_id, ChargingSession.status.in_(running))
    else:
        return None
    found = session.execute(
        query.where(ChargingSession.charge_point_id == station.id).order_by(ChargingSession.id.desc()).limit(1)
    ).one_or_none()
    if found is None:
        return None
    row, max_power_w = found
    return SessionMeter(
        session_id=row.id,
        partner_id=row.partner_id,
        evse_id=row.evse_id,
        max_power_w=max_power_w,
        register=register_state(row) if row.started_at is not None else None,
        running=row.status in running,
        watch=watch_of(session, row, now=now or utcnow()) if watched else None,
    )


def record(
    writer: GroupCommit,
    *,
    station: Station,
    meter: SessionMeter | None,
    evse_id: int | None,
    samples: Sequence[Sample],
    now: datetime,
    named: bool = True,
) -> None:
    """Store a message's samples and bring its session along. Returns when they are on disk.

    Readings of a closed session are kept with a flag and change nothing. ``named``: the station said which session
    they belong to; if it did not, they keep a session alive only when its energy grows. Raises
    group_commit.WriteFailed; ``meter`` is then as before.
    """
    if not samples:
        return
    before = meter.register if meter is not None else None
    delivery = prepare(station=station, meter=meter, evse_id=evse_id, samples=samples, now=now, named=named)
    try:
        writer.write(READINGS, delivery)
    except WriteFailed:
        if meter is not None:
            meter.register = before
        raise
    if delivery.advance is not None:
        if meter is not None and meter.watch is not None:
            meter.watch.heard(energy_wh=delivery.advance.energy_wh, now=now)
        events.publish_soon(
            {
                "name": "session.metered",
                "partner_id": delivery.rows[-1].partner_id,
                "session_id": delivery.advance.session_id,
                "charge_point_id": station.id,
            }
        )


def prepare(
    *,
    station: Station,
    meter: SessionMeter | None,
    evse_id: int | None,
    samples: Sequence[Sample],
    now: datetime,
    named: bool = True,
) -> Delivery:
    """Judge each sample's register and say what is to be stored. Advances ``meter`` in memory."""
    rows: list[Row] = []
    session_flags: dict[str, None] = {}
    power_w: Decimal | None = None
    soc_percent: Decimal | None = None
    running = meter is not None and meter.running and meter.register is not None
    before_wh = meter.register.energy_wh if meter is not None and meter.register is not None else Decimal(0)
    for sample in samples:
        measured_at, time_flags = clean_time(sample.measured_at, now)
        flags = [*sample.flags, *(f for f in time_flags if f != LATE)]
        energy_wh: Decimal | None = None
        if running and sample.register_wh is not None:
            assert meter is not None and meter.register is not None
            judged = normalise_reading(
                meter.register, raw_wh=sample.register_wh, at=measured_at, max_power_w=meter.max_power_w
            )
            meter.register = judged.state
            flags += [flag.value for flag in judged.flags]
            if judged.taken and judged.state.start_wh is not None:
                energy_wh = judged.register_wh - judged.state.start_wh
        elif meter is not None and not meter.running:
            flags.append(AFTER_END)
        session_flags.update(dict.fromkeys(flags))
        power_w = sample.power_w if sample.power_w is not None else power_w
        soc_percent = sample.soc_percent if sample.soc_percent is not None else soc_percent
        rows.append(
            Row(
                received_at=now,
                partner_id=meter.partner_id if meter else station.partner_id,
                charge_point_id=station.id,
                evse_id=meter.evse_id if meter else evse_id,
                session_id=meter.session_id if meter else None,
                measured_at=measured_at,
                context=sample.context,
                register_wh=energy_wh,
                raw_register_wh=sample.register_wh,
                power_w=sample.power_w,
                currents_a=sample.currents_a,
                voltage_v=sample.voltage_v,
                soc_percent=sample.soc_percent,
                other=sample.other,
                flags=tuple(flags),
            )
        )
    advance = None
    if running:
        assert meter is not None and meter.register is not None
        advance = Advance(
            session_id=meter.session_id,
            active_at=now if named or meter.register.energy_wh > before_wh else None,
            raw_wh=meter.register.raw_wh,
            offset_wh=meter.register.offset_wh,
            energy_wh=meter.register.energy_wh,
            start_wh=meter.register.start_wh,
            reading_at=meter.register.at,
            power_w=power_w,
            soc_percent=soc_percent,
            flags=tuple(session_flags),
        )
    return Delivery(tuple(rows), advance)
