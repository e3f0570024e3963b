"""Commands to stations: a row first, then sent, answered, refused or expired, and its outcome recorded.

A command is named in words common to all OCPP versions; the gateway translates. Manual, "Charge Point Actions" and
"EVSE Actions"; stations.md, "From a screen to a socket".
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import redis
import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.charging import gateways, lifecycle
from app.charging.endings import announce
from app.charging.lifecycle import SessionEvent, SessionStatus
from app.charging.models import ChargingSession
from app.core import events, settings
from app.core.actions import open_action
from app.core.models import Action, ActionStatus, Admin

log = structlog.get_logger(__name__)

#: a gateway says within this time that it holds a station
CLAIM_GRACE_S = 0.1

REQUESTED = "command.requested"
ACTION_CHANGED = "action.changed"


class CommandName(StrEnum):
    """What a station can be asked to do, and what the request carries."""

    RESET = "reset"  # kind: soft | hard
    CHANGE_AVAILABILITY = "change_availability"  # network_id, operative
    UNLOCK = "unlock"  # network_id
    TRIGGER_MESSAGE = "trigger_message"  # message, network_id
    CLEAR_CACHE = "clear_cache"
    START_SESSION = "start_session"  # network_id, id_tag, session_id
    STOP_SESSION = "stop_session"  # session_id


TITLES = {
    CommandName.RESET: "Reset",
    CommandName.CHANGE_AVAILABILITY: "Change availability",
    CommandName.UNLOCK: "Unlock",
    CommandName.TRIGGER_MESSAGE: "Trigger message",
    CommandName.CLEAR_CACHE: "Clear cache",
    CommandName.START_SESSION: "Start session",
    CommandName.STOP_SESSION: "Stop session",
}


class NotManaged(Exception):
    """The charge point is not managed by the operator; it cannot be sent commands."""


@dataclass(frozen=True)
class Command:
    """A claimed command, as the gateway needs it."""

    action_id: int
    charge_point_id: int
    name: CommandName
    request: dict[str, Any]
    deadline_at: datetime


def request_command(
    session: Session,
    *,
    charge_point: ChargePoint,
    name: CommandName,
    request: dict[str, Any],
    reason: str,
    actor: Admin | None,
    now: datetime,
    evse: Evse | None = None,
    info: str | None = None,
) -> Action:
    """Write the command as a pending row; it is sent when the transaction commits. Flushes.

    ``actor`` None: a rule of the system. Raises NotManaged and ReasonRequired.
    """
    if not charge_point.managed_by_operator:
        raise NotManaged(f"{charge_point.name} is not managed by the operator")
    timeout_s = settings.get_int(session, "charge_point.command_timeout_seconds")
    action = open_action(
        session,
        name=TITLES[name],
        target_type="evse" if evse else "charge_point",
        target_id=evse.id if evse else charge_point.id,
        target_label=f"{charge_point.name} / {evse.code}" if evse else charge_point.name,
        reason=reason,
        actor=actor,
        status=ActionStatus.PENDING,
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        info=info,
        command=name.value,
        request=request,
        deadline_at=now + timedelta(seconds=timeout_s),
        now=now,
    )
    events.announce(
        session, REQUESTED, partner_id=charge_point.partner_id, action_id=action.id, charge_point_id=charge_point.id
    )
    return action


def hand_over(client: redis.Redis, *, action_id: int, charge_point_id: int) -> bool:
    """Wake the gateway that holds the station; False when none does (the caller records "Not connected").

    A station that has just come may not be claimed yet: it is looked for once more after a moment.
    """
    try:
        gateway = gateways.owner(client, charge_point_id)
        if gateway is None:
            time.sleep(CLAIM_GRACE_S)
            gateway = gateways.owner(client, charge_point_id)
        if gateway is None:
            return False
        client.xadd(gateways.stream(gateway), {"action_id": action_id}, maxlen=10_000, approximate=True)
        return True
    except redis.exceptions.RedisError as error:
        log.warning("command.not_handed_over", action_id=action_id, error=str(error))
        return False


def claim(session: Session, *, action_id: int, now: datetime) -> Command | None:
    """Take a pending command for sending; None when another gateway took it, or it has expired."""
    row = session.execute(
        update(Action)
        .where(
            Action.id == action_id,
            Action.status == ActionStatus.PENDING,
            Action.sent_at.is_(None),
            Action.deadline_at > now,
        )
        .values(sent_at=now)
        .returning(Action.charge_point_id, Action.command, Action.request, Action.deadline_at)
    ).one_or_none()
    if row is None:
        return None
    return Command(action_id, row.charge_point_id, CommandName(row.command), row.request, row.deadline_at)


def record_outcome(
    session: Session,
    *,
    action_id: int,
    status: ActionStatus,
    now: datetime,
    response: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """Record what came of a command, once, and what follows for its session. Flushes.

    An answer after the time-out is kept as a late answer, and changes no status. False then.
    """
    row = session.execute(
        update(Action)
        .where(Action.id == action_id, Action.status == ActionStatus.PENDING)
        .values(status=status, response=response, error=error, finished_at=now)
        .returning(Action.command, Action.request, Action.partner_id, Action.charge_point_id)
    ).one_or_none()
    if row is None:
        if status in _ANSWERS:
            _keep_late_answer(session, action_id, status, now, response, error)
        return False
    if row.command and row.request and "session_id" in row.request:
        _follow_up(session, CommandName(row.command), status, int(row.request["session_id"]), now)
    events.announce(
        session,
        ACTION_CHANGED,
        partner_id=row.partner_id,
        action_id=action_id,
        charge_point_id=row.charge_point_id,
    )
    return True


#: outcomes that only the station itself can have given
_ANSWERS = frozenset({ActionStatus.ACCEPTED, ActionStatus.REJECTED, ActionStatus.SCHEDULED, ActionStatus.ANSWERED})


def _keep_late_answer(
    session: Session,
    action_id: int,
    status: ActionStatus,
    now: datetime,
    response: dict[str, Any] | None,
    error: str | None,
) -> None:
    words = f"late answer at {now.isoformat(timespec='seconds')}: {status.label}"
    kept = session.execute(
        update(Action)
        .where(Action.id == action_id, Action.status == ActionStatus.TIMED_OUT, Action.response.is_(None))
        .values(response=response, error=f"{words} ({error})" if error else words)
        .returning(Action.partner_id, Action.charge_point_id)
    ).one_or_none()
    if kept is not None:
        events.announce(
            session,
            ACTION_CHANGED,
            partner_id=kept.partner_id,
            action_id=action_id,
            charge_point_id=kept.charge_point_id,
        )


_REFUSED = frozenset({ActionStatus.REJECTED, ActionStatus.NOT_CONNECTED, ActionStatus.TIMED_OUT, ActionStatus.FAILED})


def _follow_up(session: Session, name: CommandName, status: ActionStatus, session_id: int, now: datetime) -> None:
    """A refused start fails its pending session; a refused stop lets the stop be tried again."""
    if status not in _REFUSED:
        return
    event = {
        CommandName.START_SESSION: SessionEvent.START_REFUSED,
        CommandName.STOP_SESSION: SessionEvent.STOP_REFUSED,
    }.get(name)
    charging_session = session.get(ChargingSession, session_id, with_for_update=True)
    if event is None or charging_session is None:
        return
    try:
        after = lifecycle.next_status(charging_session.status, event)
    except lifecycle.LifecycleError:
        return  # it started, or stopped, all the same
    if after is charging_session.status:
        return
    charging_session.status = after
    if after is SessionStatus.FAILED:
        timed_out = status is ActionStatus.TIMED_OUT
        charging_session.failure_reason = lifecycle.START_UNANSWERED if timed_out else f"Start: {status.label.lower()}"
        charging_session.payment_status = lifecycle.PaymentStatus.NOT_BILLED
    else:
        charging_session.stopping_at = None
    session.flush()
    announce(session, "session.changed", charging_session)


def expire(session: Session, *, now: datetime) -> int:
    """Give each pending command past its deadline its outcome: timed out, or never handed over."""
    due = session.execute(
        select(Action.id, Action.sent_at)
        .where(Action.status == ActionStatus.PENDING, Action.deadline_at < now)
        .limit(500)
        .with_for_update(skip_locked=True)
    ).all()
    for action_id, sent_at in due:
        status = ActionStatus.TIMED_OUT if sent_at is not None else ActionStatus.NOT_CONNECTED
        record_outcome(session, action_id=action_id, status=status, now=now)
    return len(due)


def living_gateways(client: redis.Redis) -> list[str]:
    """The names of the gateways that are alive."""
    return gateways.living(client)
