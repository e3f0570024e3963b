"""A station says that it has stopped: whose stop it is, the energy by its last register, the bill.

product.md, "Charging session life"; stations.md, lines 7 to 9 and 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging import flags
from app.charging.authorize import normalise_id_tag
from app.charging.clocks import FUTURE_TOLERANCE, LATE, clean_time
from app.charging.endings import conclude
from app.charging.final_energy import PLAUSIBLE_WH, final_reading
from app.charging.flags import add_flag
from app.charging.lifecycle import SessionEvent, SessionStatus, next_status
from app.charging.models import LARGEST_ID, ChargingSession
from app.charging.registers import WHOLE_KWH, RegisterFlag
from app.charging.session_meter import apply_register, register_state
from app.charging.station import Station

RUNNING = (SessionStatus.ACTIVE, SessionStatus.STOPPING)


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop as a station reports it; registers in Wh, ``reported_at`` by the station's clock (UTC).

    ``session_id`` and ``reference`` are what the station calls the session by; neither need be ours.
    """

    session_id: int | None
    reported_at: datetime
    meter_stop_wh: Decimal | None
    id_tag: str | None = None
    reason: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class StopOutcome:
    """What became of a station's stop: the session it belongs to, if any, and whether it changed anything."""

    session_id: int | None
    changed: bool


def match_stop(session: Session, *, station: Station, stop: Stop, now: datetime) -> int | None:
    """The number of the session a stop belongs to, before anything is changed. None when none fits."""
    row = _find(session, station, stop, clean_time(stop.reported_at, now)[0], lock=False)
    return None if row is None else row.id


def stop_session(session: Session, *, station: Station, stop: Stop, now: datetime) -> StopOutcome:
    """A station has stopped: finish its session and bill it. Flushes.

    Repeated stops change nothing. A stop of a session nobody knows is matched by station, token, meter and time; when
    none fits, the outcome has no session and the caller stores the message as a stray one. Never raises for a
    station's mistake: a stop that is not confirmed is sent for ever.
    """
    stopped_at, time_flags = clean_time(stop.reported_at, now)
    row = _find(session, station, stop, stopped_at, lock=True)
    if row is None or row.status is SessionStatus.FAILED:
        return StopOutcome(None, False)
    if row.status is SessionStatus.FINISHED:
        return StopOutcome(row.id, _note_late_stop(session, row, stop, now))
    if row.status is SessionStatus.PENDING:
        add_flag(row, flags.STOPPED_UNSTARTED)
    row.status = next_status(row.status, SessionEvent.STOPPED)
    if row.started_at is None:
        row.started_at = stopped_at
    if stopped_at < row.started_at:
        stopped_at = row.started_at
        add_flag(row, flags.STOP_BEFORE_START)
    for flag in time_flags:
        add_flag(row, "late_stop" if flag == LATE else flag)
    row.stopped_at, row.stop_received_at = stopped_at, now
    row.stop_reason = stop.reason
    if stop.meter_stop_wh is not None:
        _take_final_register(session, row, stop.meter_stop_wh, stopped_at)
    else:
        add_flag(row, flags.NO_METER)
    conclude(session, row, now)
    return StopOutcome(row.id, True)


def _find(
    session: Session, station: Station, stop: Stop, stopped_at: datetime, *, lock: bool
) -> ChargingSession | None:
    query = select(ChargingSession).where(ChargingSession.charge_point_id == station.id).order_by(ChargingSession.id)
    if lock:
        query = query.with_for_update()
    if stop.reference is not None:
        return session.scalars(query.where(ChargingSession.station_reference == stop.reference)).one_or_none()
    number = stop.session_id
    if number is not None and 0 < number <= LARGEST_ID:
        found = session.scalars(query.where(ChargingSession.id == number)).one_or_none()
        if found is not None:
            return found
        if len(station.evses) > 1 and not stop.id_tag:
            return None  # somebody's number, of a start we never saw: it may be about any of the EVSEs
    running = session.scalars(
        query.where(
            ChargingSession.status.in_(RUNNING),
            ChargingSession.started_at <= stopped_at + FUTURE_TOLERANCE,
            *([func.upper(ChargingSession.id_tag) == normalise_id_tag(stop.id_tag)] if stop.id_tag else []),
        )
    ).all()
    fitting = [row for row in running if _meter_fits(row, stop.meter_stop_wh)]
    if len(fitting) == 1:
        return fitting[0]
    return _repeated(session, station, stop) if not fitting else None


def _repeated(session: Session, station: Station, stop: Stop) -> ChargingSession | None:
    """The session that this very stop, without a number of ours, has finished already."""
    if stop.meter_stop_wh is None:
        return None
    rows: Sequence[ChargingSession] = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.charge_point_id == station.id,
            ChargingSession.status == SessionStatus.FINISHED,
            ChargingSession.stopped_at == stop.reported_at,
            ChargingSession.meter_stop_wh == stop.meter_stop_wh,
        )
        .limit(2)
    ).all()
    return rows[0] if len(rows) == 1 else None


def _meter_fits(row: ChargingSession, meter_stop_wh: Decimal | None) -> bool:
    """Whether a register can be the last one of a session: another EVSE's meter mostly cannot."""
    if meter_stop_wh is None or row.meter_start_wh is None or RegisterFlag.RESTARTED.value in row.flags:
        return True
    least_wh = max(row.meter_start_wh, (row.last_raw_wh or row.meter_start_wh) - WHOLE_KWH)
    return least_wh <= meter_stop_wh <= row.meter_start_wh + PLAUSIBLE_WH


def _note_late_stop(session: Session, row: ChargingSession, stop: Stop, now: datetime) -> bool:
    """Keep what a stop says of a session that a rule has finished; its bill stays. False when it is a repetition."""
    if row.stop_received_at is not None:
        return False
    row.stop_received_at = now
    add_flag(row, flags.STOPPED_AFTER_END)
    words = f"The station's stop of {stop.reported_at.isoformat(timespec='seconds')} came after the end"
    if stop.meter_stop_wh is not None:
        row.meter_stop_wh = stop.meter_stop_wh
        if row.meter_start_wh is not None and stop.meter_stop_wh >= row.meter_start_wh:
            told_wh = stop.meter_stop_wh - row.meter_start_wh
            words += f": {_plain(told_wh)} Wh by its meter, {_plain(row.energy_wh)} Wh billed"
    row.stop_note = words
    session.flush()
    return True


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _take_final_register(session: Session, row: ChargingSession, meter_stop_wh: Decimal, stopped_at: datetime) -> None:
    row.meter_stop_wh = meter_stop_wh
    evse = session.get_one(Evse, row.evse_id)
    judged = final_reading(
        register_state(row),
        raw_wh=meter_stop_wh,
        at=stopped_at,
        max_power_w=evse.max_power_w,
        restarted=RegisterFlag.RESTARTED.value in row.flags,
    )
    apply_register(row, judged.state)
    for flag in judged.flags:
        add_flag(row, flag.value)
