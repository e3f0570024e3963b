"""Commands to stations: a row first, then sent, answered, refused or expired, and its outcome recorded.

A command is named in words common to all OCPP versions; the gateway translates. Manual, "Charge Point Actions" and
"EVSE Actions"; stations.md, "From a screen to a socket".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import redis
import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.assets.actions import label_of
from app.assets.models import ChargePoint, Evse, SystemStatus
from app.charging import gateways, lifecycle
from app.charging.endings import announce
from app.charging.lifecycle import SessionEvent, SessionStatus
from app.charging.models import ChargingSession
from app.core import events, settings
from app.core.actions import open_action, tell_changed
from app.core.models import Action, ActionStatus, Admin

log = structlog.get_logger(__name__)

#: a gateway says within this time that it holds a station
CLAIM_GRACE_S = 0.1

REQUESTED = "command.requested"


class CommandName(StrEnum):
    """What a station can be asked to do, and what the request carries. Times are ISO 8601 with offset, UTC."""

    RESET = "reset"  # kind: soft | hard
    CHANGE_AVAILABILITY = "change_availability"  # network_id, operative
    UNLOCK = "unlock"  # network_id
    TRIGGER_MESSAGE = "trigger_message"  # message, network_id
    CLEAR_CACHE = "clear_cache"
    START_SESSION = "start_session"  # network_id, id_tag, session_id
    STOP_SESSION = "stop_session"  # session_id
    GET_SESSION_STATUS = "get_session_status"  # session_id, reference
    SHOW_COST = "show_cost"  # session_id, reference, total: with VAT
    GET_CONFIGURATION = "get_configuration"  # keys: list, empty for all; base: all | configuration | summary
    GET_REPORT = "get_report"  # components: [name], criteria: [problems | active | available | enabled]
    CHANGE_CONFIGURATION = "change_configuration"  # key, value; attribute: actual | target | minimum | maximum
    CHANGE_PASSWORD = "change_password"  # noqa: S105 (a name) value: hexadecimal digits, sealed (app.charging.security.sealing)
    UPDATE_FIRMWARE = "update_firmware"  # update_id, location, retrieve_at; optional: retries, retry_interval_s,
    # install_at; signed: signing_certificate, signature
    GET_DIAGNOSTICS = (
        "get_diagnostics"  # diagnostics_id, location; optional: logs_from, logs_to, retries, retry_interval_s
    )
    GET_LOG = "get_log"  # as get_diagnostics, and log: diagnostics | security
    GET_COMPOSITE_SCHEDULE = "get_composite_schedule"  # network_id, duration_s, unit: A | W
    SET_CHARGING_PROFILE = "set_charging_profile"  # network_id, profile: {id, stack_level, purpose: station | default |
    # session, kind: absolute | recurring | relative, unit, periods: [{start_s, limit, phases}], …}
    CLEAR_CHARGING_PROFILE = "clear_charging_profile"  # all optional: profile_id, network_id, purpose, stack_level
    GET_CHARGING_PROFILES = "get_charging_profiles"
    SET_MONITOR = "set_monitor"  # key, kind: as MonitorKind, value, severity: 0 (danger) … 9, in_session_only
    CLEAR_MONITOR = "clear_monitor"  # monitor_id
    GET_MONITORS = "get_monitors"
    SET_DISPLAY_MESSAGE = "set_display_message"  # number, content, format, priority; optional: state, language,
    # starts_at, ends_at, reference: of a session; words of app.charging.upkeep.displays
    GET_DISPLAY_MESSAGES = "get_display_messages"
    CLEAR_DISPLAY_MESSAGE = "clear_display_message"  # number
    SET_NETWORK_PROFILE = "set_network_profile"  # slot, address, security: 0 … 3, timeout_s, interface: wired0 …
    CUSTOMER_INFORMATION = "customer_information"  # question, report, clear; optional: id_tag, customer
    SEND_LOCAL_LIST = "send_local_list"  # version, full, entries: [{id_tag, info | None}]
    GET_LOCAL_LIST_VERSION = "get_local_list_version"
    RESERVE = "reserve"  # network_id, reservation_id, id_tag, expires_at; optional: parent
    CANCEL_RESERVATION = "cancel_reservation"  # reservation_id
    INSTALL_CERTIFICATE = "install_certificate"  # use, pem
    DELETE_CERTIFICATE = "delete_certificate"  # hash_data
    GET_CERTIFICATES = "get_certificates"  # use
    SEND_CERTIFICATE = "send_certificate"  # certificate_id, chain
    DATA_TRANSFER = "data_transfer"  # vendor, message, data
    RAW = "raw"  # action, payload: as the station's protocol has them


TITLES = {
    CommandName.RESET: "Reset",
    CommandName.CHANGE_AVAILABILITY: "Change availability",
    CommandName.UNLOCK: "Unlock",
    CommandName.TRIGGER_MESSAGE: "Trigger message",
    CommandName.CLEAR_CACHE: "Clear cache",
    CommandName.START_SESSION: "Start session",
    CommandName.STOP_SESSION: "Stop session",
    CommandName.GET_SESSION_STATUS: "Get session status",
    CommandName.SHOW_COST: "Show cost",
    CommandName.GET_CONFIGURATION: "Read configuration",
    CommandName.GET_REPORT: "Read components",
    CommandName.CHANGE_CONFIGURATION: "Change configuration",
    CommandName.CHANGE_PASSWORD: "Change network password",
    CommandName.UPDATE_FIRMWARE: "Update firmware",
    CommandName.GET_DIAGNOSTICS: "Get diagnostics",
    CommandName.GET_LOG: "Get log",
    CommandName.GET_COMPOSITE_SCHEDULE: "Get composite schedule",
    CommandName.SET_CHARGING_PROFILE: "Set charging profile",
    CommandName.CLEAR_CHARGING_PROFILE: "Clear charging profile",
    CommandName.GET_CHARGING_PROFILES: "Get charging profiles",
    CommandName.SET_MONITOR: "Set monitor",
    CommandName.CLEAR_MONITOR: "Clear monitor",
    CommandName.GET_MONITORS: "Get monitors",
    CommandName.SET_DISPLAY_MESSAGE: "Set display message",
    CommandName.GET_DISPLAY_MESSAGES: "Get display messages",
    CommandName.CLEAR_DISPLAY_MESSAGE: "Clear display message",
    CommandName.SET_NETWORK_PROFILE: "Set network profile",
    CommandName.CUSTOMER_INFORMATION: "Get customer information",
    CommandName.SEND_LOCAL_LIST: "Send local auth list",
    CommandName.GET_LOCAL_LIST_VERSION: "Get local list version",
    CommandName.RESERVE: "Reserve",
    CommandName.CANCEL_RESERVATION: "Cancel reservation",
    CommandName.INSTALL_CERTIFICATE: "Install certificate",
    CommandName.DELETE_CERTIFICATE: "Delete certificate",
    CommandName.GET_CERTIFICATES: "Get installed certificates",
    CommandName.SEND_CERTIFICATE: "Send certificate",
    CommandName.DATA_TRANSFER: "Data transfer",
    CommandName.RAW: "OCPP command",
}


@dataclass(frozen=True)
class Answer:
    """What came of a command. ``response`` is the station's own words, ``facts`` what they mean in ours.

    The gateway's protocol adapter writes the facts, per command (see ``ocpp_ws/outgoing``): GET_CONFIGURATION keys:
    [{key, value, readonly}], unknown: [key]; CHANGE_CONFIGURATION result: accepted | reboot_required | rejected |
    not_supported; GET_DIAGNOSTICS and GET_LOG file_name, result; GET_COMPOSITE_SCHEDULE starts_at, duration_s, unit,
    min_rate, periods: [{start_s, limit, phases}]; GET_SESSION_STATUS ongoing (None: not said), waiting;
    GET_CHARGING_PROFILES result: coming | none; SET_MONITOR monitor_id; CLEAR_MONITOR result: accepted | not_found |
    rejected; GET_MONITORS and GET_DISPLAY_MESSAGES result: none, if there are none; SET_DISPLAY_MESSAGE result:
    accepted | format | priority | state | unknown_session | rejected; CLEAR_DISPLAY_MESSAGE as CLEAR_MONITOR;
    SET_NETWORK_PROFILE result: accepted | rejected | failed;
    SEND_LOCAL_LIST result: accepted | failed | not_supported
    | version_mismatch; GET_LOCAL_LIST_VERSION version; RESERVE result: accepted | faulted | occupied | rejected |
    unavailable; GET_CERTIFICATES certificates: [hash_data]; DELETE_CERTIFICATE result: accepted | not_found | failed;
    DATA_TRANSFER data. Any of them: perhaps_received, when the connection ended before the answer to what had been
    sent; not_supported, when the station has no such call.
    """

    status: ActionStatus
    response: dict[str, Any] | None = None
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command, as those who follow it up get it, in the transaction that records it."""

    action_id: int
    name: CommandName
    charge_point_id: int
    partner_id: int
    request: dict[str, Any]
    answer: Answer
    now: datetime
    #: the answer came after the time-out: the row keeps its status
    late: bool = False


FollowUp = Callable[[Session, Outcome], None]
_FOLLOW_UPS: dict[CommandName, FollowUp] = {}


def follow_up(*names: CommandName) -> Callable[[FollowUp], FollowUp]:
    """Have a function called with each outcome of these commands; one function for each command.

    Its module is named in ``app.charging.follow_ups``, so that every process knows it.
    """

    def register(function: FollowUp) -> FollowUp:
        for name in names:
            if _FOLLOW_UPS.setdefault(name, function) is not function:
                raise ValueError(f"{name} is followed up by {_FOLLOW_UPS[name].__name__} already")
        return function

    return register


#: what began before a charge point became a Demo one can still be ended there
_ENDINGS = frozenset({CommandName.STOP_SESSION, CommandName.CANCEL_RESERVATION})


class NotManaged(Exception):
    """The charge point is not managed by the operator; it cannot be sent commands."""


class DemonstrationOnly(NotManaged):
    """The charge point's status is Demo: there is none that could be sent commands. Manual, "Status"."""


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
    timeout_s: int | None = None,
) -> Action:
    """Write the command as a pending row; it is sent when the transaction commits. Flushes.

    ``actor`` None: a rule of the system. ``timeout_s`` None: as in Settings. Raises NotManaged, DemonstrationOnly and
    ReasonRequired.
    """
    check_reachable(charge_point, demo=name in _ENDINGS)
    if timeout_s is None:
        timeout_s = settings.get_int(session, "charge_point.command_timeout_seconds")
    action = open_action(
        session,
        name=TITLES[name],
        target_type="evse" if evse else "charge_point",
        target_id=evse.id if evse else charge_point.id,
        target_label=label_of(charge_point, evse),
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


def check_reachable(charge_point: ChargePoint, *, demo: bool = False) -> None:
    """Raise NotManaged or DemonstrationOnly for a charge point that no command could ever reach.

    ``demo``: what is to be done can be done for demonstration.
    """
    if not charge_point.managed_by_operator:
        raise NotManaged(f"{charge_point.name} is not managed by the operator: it cannot be sent anything")
    if charge_point.status is SystemStatus.DEMO and not demo:
        raise DemonstrationOnly(
            f"{charge_point.name} is for demonstration only: there is no actual charge point to send this to"
        )


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


def record_outcome(session: Session, *, action_id: int, answer: Answer, now: datetime) -> bool:
    """Record what came of a command, once, and have it followed up. Flushes.

    An answer after the time-out is kept as a late answer, and changes no status. False then.
    """
    row = session.execute(
        update(Action)
        .where(Action.id == action_id, Action.status == ActionStatus.PENDING)
        .values(status=answer.status, response=answer.response, error=answer.error, finished_at=now)
        .returning(Action.command, Action.request, Action.partner_id, Action.charge_point_id)
    ).one_or_none()
    late = row is None
    if row is None and answer.status in _ANSWERS:
        words = f"late answer at {now.isoformat(timespec='seconds')}: {answer.status.label}"
        row = session.execute(
            update(Action)
            .where(Action.id == action_id, Action.status == ActionStatus.TIMED_OUT, Action.response.is_(None))
            .values(response=answer.response, error=f"{words} ({answer.error})" if answer.error else words)
            .returning(Action.command, Action.request, Action.partner_id, Action.charge_point_id)
        ).one_or_none()
    if row is None:
        return False
    if row.command and row.charge_point_id is not None:
        name = CommandName(row.command)
        outcome = Outcome(
            action_id, name, row.charge_point_id, row.partner_id, row.request or {}, answer, now=now, late=late
        )
        if name in _FOLLOW_UPS:
            _FOLLOW_UPS[name](session, outcome)
    tell_changed(session, action_id=action_id, partner_id=row.partner_id, charge_point_id=row.charge_point_id)
    return not late


#: outcomes that only the station itself can have given
_ANSWERS = frozenset({ActionStatus.ACCEPTED, ActionStatus.REJECTED, ActionStatus.SCHEDULED, ActionStatus.ANSWERED})
_REFUSED = frozenset({ActionStatus.REJECTED, ActionStatus.NOT_CONNECTED, ActionStatus.TIMED_OUT, ActionStatus.FAILED})


@follow_up(CommandName.START_SESSION, CommandName.STOP_SESSION)
def _follow_session(session: Session, outcome: Outcome) -> None:
    """A refused start fails its pending session; a refused stop lets the stop be tried again."""
    status = outcome.answer.status
    if status not in _REFUSED or outcome.late:
        return
    start = outcome.name is CommandName.START_SESSION
    event = SessionEvent.START_REFUSED if start else SessionEvent.STOP_REFUSED
    charging_session = session.get(ChargingSession, int(outcome.request["session_id"]), with_for_update=True)
    if charging_session is None:
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
        record_outcome(session, action_id=action_id, answer=Answer(status), now=now)
    return len(due)


def living_gateways(client: redis.Redis) -> list[str]:
    """The names of the gateways that are alive."""
    return gateways.living(client)
