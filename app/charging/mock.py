"""Mock sessions of Demo stations: sessions as drivers and operators see them, without any hardware.

Manual, "Status", Demo: "to be used only when there is no actual charge point, but we want to be able to show it in the
mobile application and run mockup charging session for demo purposes". Nothing is sent to anybody, and nobody pays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.actions import note_action
from app.assets.models import Evse, ReportedStatus
from app.charging import commands, demo_curve
from app.charging.commands import CommandName
from app.charging.endings import announce, conclude
from app.charging.flags import DEMO, flagged
from app.charging.hardware import HARDWARE_CHANGED
from app.charging.lifecycle import RUNNING, PaymentStatus, SessionEvent, SessionStatus, next_status
from app.charging.models import ChargingSession, MeterReading
from app.core import events, settings
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User

log = structlog.get_logger(__name__)

#: the imagined driver plugs in after this time
PLUGS_IN_AFTER = timedelta(seconds=3)
BATCH = 100


def is_mock(row: ChargingSession) -> bool:
    """Whether a session is one of a Demo station."""
    return DEMO in row.flags


def begin(
    session: Session,
    row: ChargingSession,
    *,
    evse: Evse,
    user: User,
    reason: str,
    actor: Admin,
    now: datetime,
) -> Action:
    """Make a pending session a mock one: it starts by itself within seconds. Flushes. Raises ReasonRequired."""
    row.flags, row.payment_status = [DEMO], PaymentStatus.NOT_BILLED
    action = _action(
        session,
        CommandName.START_SESSION,
        evse,
        info=f"Session {row.id} for {user.full_name}, {row.tariff_name or 'Free'}; a demonstration, nothing is sent",
        reason=reason,
        actor=actor,
        now=now,
    )
    announce(session, "session.changed", row)
    return action


def stop(
    session: Session,
    row: ChargingSession,
    *,
    evse: Evse,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """End a locked mock session now. Flushes. Raises ReasonRequired."""
    action = _action(
        session,
        CommandName.STOP_SESSION,
        evse,
        info=f"Session {row.id}; a demonstration, nothing is sent",
        reason=reason,
        actor=actor,
        now=now,
    )
    _advance(session, row, evse, now=now)
    if row.status is not SessionStatus.FINISHED:
        # the clock of the process that began it may be ahead of this one's
        _finish(session, row, evse, at=max(now, row.last_reading_at or now), reason="Remote", now=now)
    return action


def _action(
    session: Session, name: CommandName, evse: Evse, *, info: str, reason: str, actor: Admin | None, now: datetime
) -> Action:
    return note_action(
        session,
        name=commands.TITLES[name],
        charge_point=evse.charge_point,
        evse=evse,
        info=info,
        reason=reason,
        actor=actor,
        status=ActionStatus.ACCEPTED,
        now=now,
    )


def advance_all(session: Session, *, now: datetime) -> int:
    """Bring every mock session up to now: start, readings, end. Returns how many were changed.

    What a missed tick left out is caught up, with the times it would have had.
    """
    rows = session.scalars(
        select(ChargingSession)
        .where(ChargingSession.status.in_(RUNNING), flagged(DEMO))
        .order_by(ChargingSession.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    changed = 0
    for row in rows:
        number = row.id
        try:
            with session.begin_nested():
                changed += _advance(session, row, session.get_one(Evse, row.evse_id), now=now)
        except Exception:  # one that cannot be brought along must not keep the others
            log.exception("mock.failed", session_id=number)
    return changed


def _advance(session: Session, row: ChargingSession, evse: Evse, *, now: datetime) -> bool:
    """Bring one locked mock session up to now. Flushes."""
    if row.status is SessionStatus.PENDING:
        if now < row.created_at + PLUGS_IN_AFTER:
            return False
        _start(session, row, evse, at=row.created_at + PLUGS_IN_AFTER, now=now)
    assert row.started_at is not None
    ends_at = row.started_at + timedelta(seconds=demo_curve.length_s(evse.max_power_w))
    step = timedelta(seconds=settings.get_int(session, "charge_point.meter_value_sample_interval_seconds"))
    changed = False
    at = (row.last_reading_at or row.started_at) + step
    while at <= min(now, ends_at):
        _read(session, row, evse, at=at, now=now)
        at, changed = at + step, True
    if now >= ends_at:
        reason = "The battery is full" if demo_curve.is_full(evse.max_power_w) else "The driver left after two hours"
        _finish(session, row, evse, at=ends_at, reason=reason, now=now)
        return True
    if changed:
        session.flush()
        announce(session, "session.metered", row)
    return changed


def _start(session: Session, row: ChargingSession, evse: Evse, *, at: datetime, now: datetime) -> None:
    row.status = next_status(row.status, SessionEvent.STARTED)
    row.started_at, row.start_received_at, row.last_activity_at, row.last_reading_at = at, now, now, at
    row.meter_start_wh = Decimal(0)
    _measure(row, evse, at=at)
    _show(session, evse, ReportedStatus.CHARGING, now)
    session.flush()
    announce(session, "session.started", row)


def _measure(row: ChargingSession, evse: Evse, *, at: datetime) -> demo_curve.Moment:
    assert row.started_at is not None
    meter = demo_curve.at((at - row.started_at).total_seconds(), evse.max_power_w)
    # the power of the EVSE may have been changed meanwhile: no meter runs backwards
    row.energy_wh = row.last_raw_wh = max(meter.energy_wh, row.energy_wh)
    row.power_w, row.soc_percent, row.last_reading_at = meter.power_w, meter.soc_percent, at
    row.max_power_w = max(row.max_power_w or Decimal(0), meter.power_w)
    return meter


def _read(session: Session, row: ChargingSession, evse: Evse, *, at: datetime, now: datetime) -> None:
    """A reading of the curve, as a station would have sent it."""
    meter = _measure(row, evse, at=at)
    row.last_activity_at = now
    session.add(
        MeterReading(
            received_at=now,
            partner_id=row.partner_id,
            charge_point_id=row.charge_point_id,
            evse_id=row.evse_id,
            session_id=row.id,
            measured_at=at,
            context="Sample.Periodic",
            register_wh=row.energy_wh,
            raw_register_wh=row.energy_wh,
            power_w=meter.power_w,
            soc_percent=meter.soc_percent,
            flags=[],
        )
    )


def _finish(session: Session, row: ChargingSession, evse: Evse, *, at: datetime, reason: str, now: datetime) -> None:
    _measure(row, evse, at=at)
    row.status = next_status(row.status, SessionEvent.STOPPED)
    row.stopped_at, row.stop_received_at, row.stop_reason = at, now, reason
    row.meter_stop_wh = row.energy_wh
    _show(session, evse, ReportedStatus.AVAILABLE, now)
    row.payment_status = PaymentStatus.PENDING  # it gets its price now, and is Not billed again
    conclude(session, row, now)


def _show(session: Session, evse: Evse, status: ReportedStatus, now: datetime) -> None:
    """What the EVSE would report."""
    evse.state.status, evse.state.status_at, evse.state.status_received_at = status, now, now
    events.announce(session, HARDWARE_CHANGED, partner_id=evse.partner_id, charge_point_id=evse.charge_point_id)
