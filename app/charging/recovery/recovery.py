"""Auto-recovery: faults of watched stations are worked on step by step, logged, and mailed when it is over.

Manual, "Enable Auto-Recovery": charge points with system status Active that have it enabled. What is tried, and in
which order, is ``recovery_ladder``; here the rows are. Everything is derived from the database by a job: a recovery
says itself when it is due (``next_at``), so ticks that are missed are caught up, and its row is locked while a step is
decided, so two workers never take the same one. The command's row, the attempt and the next due time are one
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.orm import Session, joinedload, selectinload

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ChargingZone,
    Evse,
    EvseState,
    EvseStatus,
    ReportedStatus,
    SystemStatus,
)
from app.charging import commands
from app.charging.commands import CommandName
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession, Recovery, RecoveryAttempt, RecoveryStatus
from app.charging.recovery import ladder as recovery_ladder
from app.charging.recovery import mails as fault_mails
from app.charging.recovery.ladder import (
    Cancel,
    GiveUp,
    LeaveOut,
    Recovered,
    Situation,
    Step,
    Try,
    Wait,
    decide,
    ladder,
)
from app.charging.recovery.texts import part_at_fault
from app.core import events, settings
from app.core.models import Action, ActionStatus

RECOVERY_CHANGED = "charge_point.recovery"

BATCH = 200
#: a session without a reading for longer is no reason not to reset
SESSION_IS_HEALTHY = timedelta(minutes=30)
#: one worker at a time begins recoveries: at most one runs on a station
_BEGIN_LOCK = 0x7EC0

_CANDIDATES = text("""
SELECT DISTINCT ON (f.charge_point_id) f.charge_point_id, f.partner_id, f.evse_id, f.network_id, f.error_code,
  f.error_info
FROM (
  SELECT s.charge_point_id, s.partner_id, NULL::bigint AS evse_id, 0 AS network_id, s.error_code, s.error_info,
    coalesce(s.faulted_at, s.status_received_at, s.status_at) AS since
  FROM charge_point_state s WHERE s.status = 'faulted'
  UNION ALL
  SELECT e.charge_point_id, e.partner_id, e.id, e.network_id, s.error_code, coalesce(s.error_info, s.vendor_error_code),
    coalesce(s.faulted_at, s.status_received_at, s.status_at)
  FROM evse_state s JOIN evse e ON e.id = s.evse_id WHERE s.status = 'faulted' AND e.status = 'active'
) f
JOIN charge_point c ON c.id = f.charge_point_id
  AND c.status = 'active' AND c.managed_by_operator AND c.auto_recovery
WHERE f.since <= :lasts_since
  AND NOT EXISTS (SELECT FROM recovery r WHERE r.charge_point_id = f.charge_point_id AND r.status = 'running')
  AND NOT EXISTS (SELECT FROM recovery r WHERE r.charge_point_id = f.charge_point_id AND r.status = 'given_up'
    AND r.ended_at > :cooldown_since AND (r.network_id = f.network_id OR f.since <= r.ended_at))
  AND (SELECT count(*) FROM recovery r WHERE r.charge_point_id = f.charge_point_id
    AND r.network_id = f.network_id AND r.status = 'recovered' AND r.ended_at > :cooldown_since) < :most_returns
ORDER BY f.charge_point_id, f.network_id
LIMIT :batch
""")


def begin_recoveries(session: Session, *, now: datetime) -> int:
    """Begin working on the faults that have lasted long enough. Returns how many. Flushes.

    At most one recovery runs on a station; the station's own fault comes first. Not begun within the cool-down: the
    same fault after a recovery that failed, another one that a failed recovery's resets did not help either, and one
    that has come back ``MOST_RETURNS`` times.
    """
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_BEGIN_LOCK))):
        return 0
    cooldown = timedelta(minutes=settings.get_int(session, "recovery.cooldown_minutes"))
    found = session.execute(
        _CANDIDATES,
        {
            "lasts_since": now - recovery_ladder.FAULT_LASTS,
            "cooldown_since": now - cooldown,
            "most_returns": recovery_ladder.MOST_RETURNS,
            "batch": BATCH,
        },
    ).mappings()
    begun = [
        Recovery(**{**row, "error_info": (row["error_info"] or "")[:255] or None}, began_at=now, next_at=now)
        for row in found
    ]
    session.add_all(begun)
    session.flush()
    return len(begun)


def _out_of_our_hands() -> ColumnElement[bool]:
    """In SQL: an operator has taken the station or the EVSE of a running recovery out of our hands."""
    station, evse = ChargePoint, Evse
    gone = and_(Recovery.network_id != 0, Recovery.evse_id.is_(None))
    taken = select(station.id).where(
        station.id == Recovery.charge_point_id,
        or_(station.status != SystemStatus.ACTIVE, ~station.managed_by_operator, ~station.auto_recovery),
    )
    out = select(evse.id).where(evse.id == Recovery.evse_id, evse.status != EvseStatus.ACTIVE)
    return or_(gone, taken.exists(), out.exists())


def due_recoveries(session: Session, *, now: datetime) -> Sequence[int]:
    """The running recoveries to be looked at, longest due first."""
    return session.scalars(
        select(Recovery.id)
        .where(Recovery.status == RecoveryStatus.RUNNING, or_(Recovery.next_at <= now, _out_of_our_hands()))
        .order_by(Recovery.next_at, Recovery.id)
        .limit(BATCH)
    ).all()


def advance_recovery(session: Session, *, recovery_id: int, now: datetime) -> bool:
    """Take a recovery one step further, when it is due; False when another worker has it or did. Flushes."""
    recovery = session.scalars(
        select(Recovery)
        .where(
            Recovery.id == recovery_id,
            Recovery.status == RecoveryStatus.RUNNING,
            or_(Recovery.next_at <= now, _out_of_our_hands()),
        )
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if recovery is None:
        return False
    station = _station(session, recovery.charge_point_id)
    attempts = list(
        session.scalars(
            select(RecoveryAttempt)
            .where(RecoveryAttempt.recovery_id == recovery.id)
            .order_by(RecoveryAttempt.id)
            .options(joinedload(RecoveryAttempt.action))
            .execution_options(populate_existing=True)
        )
    )
    while True:
        situation = _situation(session, recovery, station, attempts, now)
        decision = decide(situation)
        if not isinstance(decision, LeaveOut):
            break
        attempts.append(_note(session, recovery, decision.step, decision.why, now))
        recovery.next_step += 1
    match decision:
        case Try(step, again):
            _try(session, recovery, station, step, again=again, now=now)
        case Wait(kind, why):
            _wait(session, recovery, attempts, kind, why, now)
        case Recovered():
            _finish(session, recovery, station, RecoveryStatus.RECOVERED, _what_helped(attempts), now)
        case GiveUp(why):
            _finish(session, recovery, station, RecoveryStatus.GIVEN_UP, why, now)
        case Cancel(why):
            _finish(session, recovery, station, RecoveryStatus.CANCELLED, why, now)
    session.flush()
    events.announce(session, RECOVERY_CHANGED, partner_id=recovery.partner_id, charge_point_id=recovery.charge_point_id)
    return True


# --- the situation


def _station(session: Session, charge_point_id: int) -> ChargePoint:
    return session.scalars(
        select(ChargePoint)
        .where(ChargePoint.id == charge_point_id)
        .options(
            joinedload(ChargePoint.state),
            joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
            selectinload(ChargePoint.evses).joinedload(Evse.state),
        )
        .execution_options(populate_existing=True)
    ).one()


def _situation(
    session: Session, recovery: Recovery, station: ChargePoint, attempts: Sequence[RecoveryAttempt], now: datetime
) -> Situation:
    evse = next((each for each in station.evses if each.id == recovery.evse_id), None)
    state: ChargePointState | EvseState | None = station.state
    if recovery.network_id != 0:
        state = evse.state if evse is not None else None
    last = next((each for each in reversed(attempts) if Step(each.step) not in recovery_ladder.WAITS and not each.note),
                None)  # fmt: skip
    answer = last.action.status if last is not None and last.action is not None else None
    reported_at = state.status_received_at if state is not None else None
    waiting, waited = _waiting(attempts, now)
    return Situation(
        steps=ladder(recovery.error_code, network_id=recovery.network_id),
        next_step=recovery.next_step,
        cancelled=_cancelled(recovery, station, evse),
        faulted=state is not None and state.status is ReportedStatus.FAULTED,
        connected=station.state.connected,
        busy=_healthy_session_beside(session, recovery, station, now),
        hard_reset_allowed=bool(settings.get(session, "recovery.hard_reset")),
        last=Step(last.step) if last is not None else None,
        last_pending=answer is ActionStatus.PENDING,
        last_not_connected=answer is ActionStatus.NOT_CONNECTED,
        reported_since=last is None or (reported_at is not None and reported_at > last.at),
        waiting=waiting,
        waited=waited,
    )


def _cancelled(recovery: Recovery, station: ChargePoint, evse: Evse | None) -> str:
    if station.status is not SystemStatus.ACTIVE:
        return f"The charge point was set to {station.status.label}."
    if not station.managed_by_operator:
        return "The charge point is no longer managed by the operator."
    if not station.auto_recovery:
        return "Auto-recovery was switched off for the charge point."
    if recovery.network_id and evse is None:
        return "The EVSE was removed."
    if evse is not None and evse.status is not EvseStatus.ACTIVE:
        return f"The EVSE was set to {evse.status.label}."
    return ""


def _waiting(attempts: Sequence[RecoveryAttempt], now: datetime) -> tuple[Step | None, timedelta]:
    """What is being waited for at present, and since when: notes of one kind without another attempt in between.

    A command that found nobody is part of waiting for the connection.
    """
    kind: Step | None = None
    since = now
    for attempt in reversed(attempts):
        step = Step(attempt.step)
        found_nobody = attempt.action is not None and attempt.action.status is ActionStatus.NOT_CONNECTED
        this = step if step in recovery_ladder.WAITS else Step.WAIT_CONNECTION if found_nobody else None
        if this is None or kind not in (None, this):
            break
        kind, since = this, attempt.at
    return kind, now - since


def _healthy_session_beside(session: Session, recovery: Recovery, station: ChargePoint, now: datetime) -> bool:
    """Whether somebody is charging, or about to, on another EVSE that has no fault, with readings that are recent."""
    healthy = [
        evse.id
        for evse in station.evses
        if evse.id != recovery.evse_id and evse.state.status is not ReportedStatus.FAULTED
    ]
    row = ChargingSession
    heard_at = func.greatest(row.last_activity_at, row.start_received_at, row.created_at)
    return (
        session.scalar(
            select(row.id)
            .where(
                row.evse_id.in_(healthy),
                row.status.in_(RUNNING),
                heard_at > now - SESSION_IS_HEALTHY,
            )
            .limit(1)
        )
        is not None
    )


def _what_helped(attempts: Sequence[RecoveryAttempt]) -> str:
    done = [Step(each.step) for each in attempts if Step(each.step) not in recovery_ladder.WAITS and not each.note]
    if not done:
        return "The fault went away before anything was tried."
    # asking for a status repairs nothing: after a reset it only shows what the reset did
    helped = next((step for step in reversed(done) if step is not Step.STATUS), None)
    return (
        f"The fault is gone after: {helped.label.lower()}." if helped else "The fault is gone; nothing had to be done."
    )


# --- what is done


def _note(session: Session, recovery: Recovery, step: Step, note: str, now: datetime) -> RecoveryAttempt:
    attempt = RecoveryAttempt(recovery_id=recovery.id, at=now, step=step.value, note=note, action=None)
    session.add(attempt)
    session.flush()
    return attempt


def _try(session: Session, recovery: Recovery, station: ChargePoint, step: Step, *, again: bool, now: datetime) -> None:
    evse = next((each for each in station.evses if each.id == recovery.evse_id), None)
    session.add(
        RecoveryAttempt(
            recovery_id=recovery.id,
            at=now,
            step=step.value,
            action=_command(session, recovery, station, evse, step, now),
        )
    )
    if not again:
        recovery.next_step += 1
    recovery.next_at = now + timedelta(seconds=settings.get_int(session, "recovery.wait_seconds"))


def _command(
    session: Session, recovery: Recovery, station: ChargePoint, evse: Evse | None, step: Step, now: datetime
) -> Action:
    fault = recovery.error_code or "fault"
    reason = f"Auto-recovery {recovery.id}: {fault} of {part_at_fault(recovery)}"
    wanted: dict[Step, tuple[CommandName, dict[str, Any], str | None]] = {
        Step.STATUS: (
            CommandName.TRIGGER_MESSAGE,
            {"message": "status", "network_id": recovery.network_id or None},
            "Status notification",
        ),
        Step.UNLOCK: (CommandName.UNLOCK, {"network_id": recovery.network_id}, None),
        Step.SOFT_RESET: (CommandName.RESET, {"kind": "soft"}, "Soft"),
        Step.HARD_RESET: (CommandName.RESET, {"kind": "hard"}, "Hard"),
    }
    name, request, info = wanted[step]
    return commands.request_command(
        session,
        charge_point=station,
        evse=evse if step in (Step.STATUS, Step.UNLOCK) else None,
        name=name,
        request=request,
        info=info,
        reason=reason,
        actor=None,
        now=now,
    )


def _wait(
    session: Session,
    recovery: Recovery,
    attempts: Sequence[RecoveryAttempt],
    kind: Step | None,
    why: str,
    now: datetime,
) -> None:
    """Look again later; why it waits is noted once, not every time."""
    recovery.next_at = now + recovery_ladder.LOOK_AGAIN
    if kind is None:
        pending = attempts[-1].action
        if pending is not None and pending.deadline_at is not None:  # its outcome is known soon after that
            recovery.next_at = min(recovery.next_at, max(now, pending.deadline_at) + timedelta(seconds=5))
    elif not attempts or attempts[-1].step != kind.value:
        _note(session, recovery, kind, why, now)


def _finish(
    session: Session, recovery: Recovery, station: ChargePoint, status: RecoveryStatus, outcome: str, now: datetime
) -> None:
    recovery.status, recovery.outcome, recovery.ended_at = status, outcome[:255], now
    session.flush()
    if status is not RecoveryStatus.CANCELLED:
        fault_mails.mail_recovery(session, recovery=recovery, station=station, now=now)
