"""What an operator does at a charge point or EVSE. Manual, "Charge Point Actions" and "EVSE Actions".

Each verb writes a command's row (``commands.request_command``) and, for sessions, the session's state; the station's
answer comes later and is recorded there.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse, SystemStatus
from app.billing.models import PaymentMethod, TransactionStatus
from app.charging import authorizations, commands, mock, session_tariff, sessions
from app.charging.authorize import RejectReason
from app.charging.commands import CommandName
from app.charging.endings import announce, fail_session
from app.charging.lifecycle import (
    RUNNING,
    PaymentStatus,
    SessionEvent,
    SessionStatus,
    next_status,
)
from app.charging.models import AuthorizationSource, ChargingSession
from app.charging.payments import holds, paying
from app.charging.payments.payer import Wish
from app.charging.remote_tokens import remote_token
from app.charging.reservations import reserved
from app.core.actions import ReasonRequired
from app.core.models import Action, Admin
from app.crm.models import User
from app.tariffs import queries as tariff_queries
from app.tariffs.pricing import FreeTariff
from app.tariffs.snapshots import currency_of

#: the messages a station can be asked to send, in the manual's sense of "Trigger Message"
TRIGGERS = {
    "status": "Status notification",
    "meter_values": "Meter values",
    "heartbeat": "Heartbeat",
    "boot": "Boot notification",
    "diagnostics_status": "Diagnostics status notification",
    "firmware_status": "Firmware status notification",
    "log_status": "Log status notification",
    "certificate": "Certificate signing request",
}


class StartRefused(Exception):
    """The session may not start; ``str()`` says why in words for the operator."""


class EvseBusy(StartRefused):
    """A session is running on the EVSE already."""


def reset(
    session: Session, *, charge_point: ChargePoint, hard: bool, reason: str, actor: Admin, now: datetime
) -> Action:
    """Reboot the station: soft only its controller, hard the whole charge point."""
    kind = "hard" if hard else "soft"
    return commands.request_command(
        session, charge_point=charge_point, name=CommandName.RESET, request={"kind": kind}, info=kind.capitalize(),
        reason=reason, actor=actor, now=now,
    )  # fmt: skip


def clear_cache(session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin, now: datetime) -> Action:
    """Forget the RFID tags that the station keeps."""
    return commands.request_command(
        session, charge_point=charge_point, name=CommandName.CLEAR_CACHE, request={}, reason=reason, actor=actor,
        now=now,
    )  # fmt: skip


def change_availability(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse | None,
    operative: bool,
    reason: str,
    actor: Admin,
    now: datetime,
) -> Action:
    """Take the station (or one EVSE) in or out of operation. "Scheduled" means: once the session has ended."""
    return commands.request_command(
        session,
        charge_point=charge_point,
        evse=evse,
        name=CommandName.CHANGE_AVAILABILITY,
        request={"network_id": evse.network_id if evse else 0, "operative": operative},
        info="Operative" if operative else "Inoperative",
        reason=reason,
        actor=actor,
        now=now,
    )


def unlock(session: Session, *, evse: Evse, reason: str, actor: Admin, now: datetime) -> Action:
    """Unlock a stuck connector. A station usually stops the session first."""
    return commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.UNLOCK,
        request={"network_id": evse.network_id},
        reason=reason,
        actor=actor,
        now=now,
    )


def trigger_message(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse | None,
    message: str,
    reason: str,
    actor: Admin,
    now: datetime,
) -> Action:
    """Ask the station to send a message now. ``message`` is a key of TRIGGERS (KeyError otherwise)."""
    return commands.request_command(
        session,
        charge_point=charge_point,
        evse=evse,
        name=CommandName.TRIGGER_MESSAGE,
        request={"message": message, "network_id": evse.network_id if evse else None},
        info=TRIGGERS[message],
        reason=reason,
        actor=actor,
        now=now,
    )


def start_session(
    session: Session,
    *,
    evse: Evse,
    user: User,
    tariff_id: int | None,
    reason: str,
    actor: Admin,
    now: datetime,
    wish: Wish | None = None,
) -> tuple[ChargingSession, Action | None]:
    """Start a session on behalf of a user: it is Pending until the station really starts it.

    ``tariff_id`` None makes it free for the user; otherwise one of the EVSE's tariff group. ``wish``: what is to pay,
    else the last used payment method. Manual, "Starting a Session". At a Demo station it is a mock session.

    Without an action nothing was sent yet: an amount must be held on the payment method first. Commit, have
    ``hold_of_start`` performed, and call ``continue_start``.
    Raises StartRefused with the reason of the authorisation, EvseBusy, ReasonRequired, NotManaged.
    """
    sessions.lock_evse(session, evse.id)
    busy = session.scalars(
        select(ChargingSession.id).where(ChargingSession.evse_id == evse.id, ChargingSession.status.in_(RUNNING))
    ).first()
    if busy is not None:
        raise EvseBusy(f"Session {busy} is running on EVSE {evse.code}")
    demo = evse.charge_point.status is SystemStatus.DEMO
    found = authorizations.decide_for_user(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        user=user,
        free=tariff_id is None or demo,
        now=now,
        wish=wish,
        tariff_id=tariff_id,
    )
    hold_first = found.decision.reason is RejectReason.PREAUTHORIZATION_MISSING
    if found.decision.reason is not None and not hold_first:
        raise StartRefused(found.decision.reason.label)
    row = ChargingSession(
        partner_id=evse.partner_id,
        charge_point_id=evse.charge_point_id,
        evse_id=evse.id,
        user_id=user.id,
        source=AuthorizationSource.OPERATOR,
        status=SessionStatus.PENDING,
        payment_status=PaymentStatus.PENDING,
        created_at=now,
        flags=[],
    )
    paying.keep_payer(row, found.payer)
    commands.check_reachable(evse.charge_point, demo=True)
    _set_chosen_tariff(session, row, evse, tariff_id)
    session.add(row)
    session.flush()
    if demo:
        return row, mock.begin(session, row, evse=evse, user=user, reason=reason, actor=actor, now=now)
    if not hold_first:
        return row, _send_start(session, row, evse=evse, user=user, reason=reason, actor=actor, now=now)
    if not reason.strip():
        raise ReasonRequired("a reason is required; it is kept in the Actions log")
    holds.open_hold(
        session,
        method=session.get_one(PaymentMethod, found.payer.payment_method_id),
        partner_id=row.partner_id,
        user_id=user.id,
        session_id=row.id,
        now=now,
    )
    announce(session, "session.changed", row)
    return row, None


def hold_of_start(session: Session, *, session_id: int) -> int:
    """The pre-authorization that a start by an operator waits for."""
    return holds.holds_of(session, session_id=session_id)[-1].id


def continue_start(
    session: Session, *, session_id: int, reason: str, actor: Admin, now: datetime
) -> Action | StartRefused:
    """Send the start, now that the processor was asked about the hold; or fail the session, and say why. Flushes.

    A refusal is returned and not raised, so that the failed session is committed.
    """
    row = session.get_one(ChargingSession, session_id, with_for_update=True, populate_existing=True)
    evse, user = session.get_one(Evse, row.evse_id), session.get_one(User, row.user_id)
    if row.status is not SessionStatus.PENDING:
        return StartRefused(row.failure_reason or f"The session is {row.status.label} already")
    hold = holds.holds_of(session, session_id=row.id)[-1]
    decision = authorizations.decide_for_user(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        user=user,
        free=False,
        now=now,
        wish=paying.wish_of_session(row),
        tariff_id=row.tariff_id,
        preauthorized=None if hold.status is TransactionStatus.PENDING else hold.status is TransactionStatus.SUCCEEDED,
        except_session_id=row.id,
    ).decision
    if decision.reason is None:
        return _send_start(session, row, evse=evse, user=user, reason=reason, actor=actor, now=now)
    words = decision.reason.label
    if hold.failure_reason and decision.reason in _OF_HOLDS:
        words = f"{words}: {hold.failure_reason}"
    fail_session(session, row, event=SessionEvent.START_REFUSED, reason=words)
    holds.let_go(session, hold, why="The session was not started", now=now)
    return StartRefused(words)


_OF_HOLDS = (RejectReason.PREAUTHORIZATION_MISSING, RejectReason.PREAUTHORIZATION_DECLINED)


def _send_start(
    session: Session, row: ChargingSession, *, evse: Evse, user: User, reason: str, actor: Admin, now: datetime
) -> Action:
    # a station that keeps the EVSE for the user lets nobody else start: not even us, but with the reservation's token
    kept = reserved.open_on(session, evse_id=evse.id, at=now)
    row.id_tag = kept.id_tag if kept else remote_token(row.id)
    action = commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.START_SESSION,
        request={"network_id": evse.network_id, "id_tag": row.id_tag, "session_id": row.id},
        info=f"Session {row.id} for {user.full_name}, {row.tariff_name or 'Free'}",
        reason=reason,
        actor=actor,
        now=now,
    )
    announce(session, "session.changed", row)
    return action


def _set_chosen_tariff(session: Session, row: ChargingSession, evse: Evse, tariff_id: int | None) -> None:
    if tariff_id is not None:
        if evse.tariff_group_id is None:
            raise StartRefused(RejectReason.NO_TARIFF_GROUP.label)
        attached = tariff_queries.attached_tariffs(session, tariff_group_id=evse.tariff_group_id)
        if tariff_id not in {each.tariff_id for each in attached}:
            raise StartRefused("The tariff is not in the EVSE's tariff group")
        session_tariff.set_tariff(session, row, session_tariff.take_snapshot(session, tariff_id=tariff_id, evse=evse))
        return
    currency, vat_percent, timezone = session_tariff.price_terms(session, evse)
    session_tariff.set_tariff(
        session,
        row,
        FreeTariff(
            tariff_id=None,
            version=1,
            name="Free (by operator)",
            currency=currency_of(currency),
            vat_percent=vat_percent,
            timezone=timezone,
        ),
    )


def stop_session(
    session: Session, *, charging_session: ChargingSession, reason: str, actor: Admin | None, now: datetime
) -> Action | None:
    """Ask the station to stop; a session that has not begun is given up instead (None then).

    Raises lifecycle.LifecycleError when it is over already, ReasonRequired.
    """
    row = session.get_one(ChargingSession, charging_session.id, with_for_update=True)
    after = next_status(row.status, SessionEvent.STOP_REQUESTED)
    evse = session.get_one(Evse, row.evse_id)
    if mock.is_mock(row) and after is not SessionStatus.FAILED:
        return mock.stop(session, row, evse=evse, reason=reason, actor=actor, now=now)
    if after is SessionStatus.FAILED:
        if not reason.strip():
            raise ReasonRequired("a reason is required; it is kept in the Actions log")
        fail_session(session, row, event=SessionEvent.STOP_REQUESTED, reason=f"given up: {reason}")
        return None
    row.status, row.stopping_at = after, now
    action = commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.STOP_SESSION,
        request={"session_id": row.id, "reference": row.station_reference},
        info=f"Session {row.id}",
        reason=reason,
        actor=actor,
        now=now,
    )
    announce(session, "session.changed", row)
    return action
