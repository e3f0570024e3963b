"""Charging sessions begin: once, whatever a station repeats or forgets, with the tariff they are priced by for ever.

product.md, "Charging session life" and "Which tariff"; stations.md, lines 7 to 11. Every change of status goes through
``lifecycle.next_status`` under the session's row lock. Ends are in ``stops`` and ``endings``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from app.billing.models import Transaction
from app.charging import authorizations, clocks
from app.charging.authorize import RejectReason, normalise_id_tag
from app.charging.clocks import clean_time
from app.charging.endings import announce, fail_session, finish_by_rule
from app.charging.flags import NO_TOKEN, REPLACED, UNAUTHORIZED_START, add_flag
from app.charging.lifecycle import PaymentStatus, SessionEvent, SessionStatus, is_final, next_status
from app.charging.models import Authorization, AuthorizationSource, ChargingSession
from app.charging.payments import holds, paying
from app.charging.registers import begin_register
from app.charging.remote_tokens import remote_session
from app.charging.reservations import reserved
from app.charging.session_meter import apply_register
from app.charging.session_tariff import give_tariff
from app.charging.station import EvseRef, Station

#: more than an id token may have (OCPP 2.0.1: 36): what is longer is nobody's, and need not be kept whole
MAX_ID_TAG = 64


@dataclass(frozen=True)
class StartOutcome:
    """What a station is told about a start: the session's number and whether charging is allowed."""

    session_id: int
    accepted: bool
    expires_at: datetime | None = None
    reason: str | None = None
    parent: str | None = None
    #: this pre-authorization must be performed, and then ``conclude_start`` gives the answer for the station
    hold_id: int | None = None


def start_session(
    session: Session,
    *,
    station: Station,
    evse: EvseRef,
    id_tag: str | None,
    meter_start_wh: Decimal | None,
    reported_at: datetime,
    now: datetime,
    reference: str | None = None,
    reservation_id: int | None = None,
    token_follows: bool = False,
) -> StartOutcome:
    """A station has begun to charge: make its session, or take up the pending one. Flushes.

    The user's reservation (``reservation_id``, if the station names one) is used up. The same start again (same EVSE,
    token, time and meter) gets the same answer. A session is kept also when the driver is refused, because energy may
    flow: it is flagged, and billed if there is anybody to bill. That is so, too, while an amount must still be held
    on the driver's payment method (``StartOutcome.hold_id``). ``token_follows``: without a token nobody is decided on
    yet, because the station names the driver later (``identify_session``).
    """
    lock_evse(session, evse.id)
    key = start_key(evse.network_id, id_tag, reported_at, meter_start_wh, reference)
    known = _by_start_key(session, station, key)
    if known is not None:
        if not _is_another_charge(known):
            return _same_answer(session, known)
        key = f"{key}~{known.id}"
    started_at, time_flags = clean_time(reported_at, now)
    pending = _pending_session(session, evse, id_tag)
    remote = pending or remote_session(session, charge_point_id=station.id, id_tag=id_tag, at=started_at)
    source = remote.source if remote is not None else authorizations.source_of(station)
    _close_predecessor(session, evse, started_at, now)
    named = id_tag is not None or not token_follows or source is AuthorizationSource.PLUG_AND_CHARGE
    # asked while the session is still pending: that is how its token is known
    answer = _ask(session, station, id_tag, source, evse.id, started_at, pending, now) if named else None
    row = pending or _new_session(station, evse, source, now)
    row.status = next_status(row.status, SessionEvent.STARTED)
    row.start_key, row.station_reference = key, reference
    row.started_at, row.start_received_at, row.last_activity_at = started_at, now, now
    register = begin_register(register_wh=meter_start_wh, at=started_at)
    row.meter_start_wh = register.start_wh
    apply_register(row, register)
    for flag in time_flags:
        add_flag(row, "late_start" if flag == clocks.LATE else flag)
    session.add(row)
    session.flush()
    if answer is None:
        add_flag(row, NO_TOKEN)
        outcome = StartOutcome(session_id=row.id, accepted=True)
    else:
        outcome = _admit(session, row, station, id_tag, answer, remote, now, reservation_id)
    session.flush()
    announce(session, "session.started", row)
    return outcome


def identify_session(
    session: Session,
    *,
    station: Station,
    session_id: int,
    id_tag: str,
    now: datetime,
    reservation_id: int | None = None,
) -> StartOutcome | None:
    """Somebody is named for a session that began without a token; None when no such session runs here. Flushes.

    Whoever is named first stays: a later token (of whoever stops, say) changes nothing. When an operator's start
    waits for this token, its driver, tariff and payer are the session's, and the pending session is given up for it.
    """
    row = session.scalars(
        select(ChargingSession)
        .where(ChargingSession.id == session_id, ChargingSession.charge_point_id == station.id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.started_at is None:
        return None
    if NO_TOKEN not in row.flags:
        return _same_answer(session, row)
    if is_final(row.status):
        return None
    evse = station.evse_of(row.evse_id) or EvseRef(row.evse_id, 0, None)
    remote = _pending_session(session, evse, id_tag) or remote_session(
        session, charge_point_id=station.id, id_tag=id_tag, at=row.started_at
    )
    if remote is not None:
        row.source = remote.source
    row.flags = [flag for flag in row.flags if flag != NO_TOKEN]
    answer = _ask(session, station, id_tag, row.source, row.evse_id, row.started_at, row, now)
    outcome = _admit(session, row, station, id_tag, answer, remote, now, reservation_id)
    if remote is not None and remote.status is SessionStatus.PENDING:
        for hold in holds.holds_of(session, session_id=remote.id):
            hold.session_id, hold.partner_id = row.id, row.partner_id
        event = SessionEvent.START_REFUSED
        fail_session(session, remote, event=event, reason=f"The car was plugged in already: it is session {row.id}")
    session.flush()
    announce(session, "session.changed", row)
    return outcome


def _ask(
    session: Session,
    station: Station,
    id_tag: str | None,
    source: AuthorizationSource,
    evse_id: int,
    started_at: datetime,
    own: ChargingSession | None,
    now: datetime,
) -> authorizations.Answer:
    """Whether the driver may charge; ``own`` is the session it is about, if there is one already."""
    return authorizations.authorize(
        session,
        station=station,
        id_tag=id_tag,
        source=source,
        now=now,
        evse_id=evse_id,
        started_at=started_at,
        except_session_id=own.id if own else None,
    )


def _admit(
    session: Session,
    row: ChargingSession,
    station: Station,
    id_tag: str | None,
    answer: authorizations.Answer,
    remote: ChargingSession | None,
    now: datetime,
    reservation_id: int | None,
) -> StartOutcome:
    """Give a started session its driver, by the answer: who it is, by which tariff, who pays. Flushes.

    ``remote`` is the operator's session whose token this is; it may be the session itself.
    """
    assert row.started_at is not None
    row.user_id = row.user_id or answer.user_id
    row.authorization_id = answer.authorization_id
    row.id_tag = id_tag[:MAX_ID_TAG] if id_tag else None
    if row.tariff_snapshot is None and row.user_id is not None and not give_tariff(session, row, remote):
        answer = authorizations.refuse(session, answer, RejectReason.NO_TARIFF_GROUP)
    if not answer.accepted:
        add_flag(row, UNAUTHORIZED_START)
    session.flush()
    _give_payer(session, row, station, answer, now)
    if answer.accepted:
        reserved.use(session, charge=row, number=reservation_id, started_at=row.started_at, now=now)
    return _outcome(row, answer)


def conclude_start(
    session: Session,
    *,
    station: Station,
    outcome: StartOutcome,
    now: datetime,
    reservation_id: int | None = None,
) -> StartOutcome:
    """What a station is told about a start that waited for a hold, now that the processor was asked. Flushes.

    Manual, "User billing settings", 2: if the hold fails, "the system will not authorize the charging session". The
    session stays, flagged, for the energy that flows all the same.
    """
    assert outcome.hold_id is not None
    row = session.get_one(ChargingSession, outcome.session_id, with_for_update=True, populate_existing=True)
    if row.authorization_id is None or row.started_at is None:
        return replace(outcome, hold_id=None)
    answer = authorizations.decide_again(
        session,
        station=station,
        authorization_id=row.authorization_id,
        hold_id=outcome.hold_id,
        now=now,
        started_at=row.started_at,
        except_session_id=row.id,
    )
    if row.tariff_snapshot is None:
        answer = authorizations.refuse(session, answer, RejectReason.NO_TARIFF_GROUP)
    if answer.accepted and UNAUTHORIZED_START in row.flags:
        row.flags = [flag for flag in row.flags if flag != UNAUTHORIZED_START]
        session.flush()
        reserved.use(session, charge=row, number=reservation_id, started_at=row.started_at, now=now)
    announce(session, "session.changed", row)
    return _outcome(row, answer)


def _outcome(row: ChargingSession, answer: authorizations.Answer) -> StartOutcome:
    return StartOutcome(
        session_id=row.id,
        accepted=answer.accepted,
        expires_at=answer.expires_at,
        reason=str(answer.decision.reason) if answer.decision.reason else None,
        parent=answer.parent,
        hold_id=answer.hold_id,
    )


def _give_payer(
    session: Session, row: ChargingSession, station: Station, answer: authorizations.Answer, now: datetime
) -> None:
    """Keep with the session who pays, and what is held for it already or is just being asked for. Flushes."""
    if answer.payer is None:
        return
    if row.paid_from is None:
        paying.keep_payer(row, answer.payer)
        session.flush()
    if answer.hold_id is not None:
        holds.take_up(session, session.get_one(Transaction, answer.hold_id, with_for_update=True), row=row)
    elif answer.payer.payment_method_id is not None:
        holds.take_up_unused(
            session,
            row=row,
            charge_point_id=station.id,
            payment_method_id=answer.payer.payment_method_id,
            now=now,
        )


def _new_session(station: Station, evse: EvseRef, source: AuthorizationSource, now: datetime) -> ChargingSession:
    return ChargingSession(
        partner_id=station.partner_id,
        charge_point_id=station.id,
        evse_id=evse.id,
        source=source,
        status=SessionStatus.PENDING,
        payment_status=PaymentStatus.PENDING,
        created_at=now,
        flags=[],
    )


def start_key(
    network_id: int,
    id_tag: str | None,
    reported_at: datetime,
    meter_start_wh: Decimal | None,
    reference: str | None,
) -> str:
    """What makes two starts of one station the same. Message ids repeat across restarts, so they are no part."""
    if reference:
        return reference_key(reference)
    register = "" if meter_start_wh is None else f"{meter_start_wh.normalize():f}"
    parts = (network_id, normalise_id_tag(id_tag or ""), reported_at.isoformat(), register)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def reference_key(reference: str) -> str:
    """The key of a session whose station has a name of its own for it."""
    return f"ref:{reference}"[:100]


def lock_evse(session: Session, evse_id: int) -> None:
    """Starts on one EVSE wait for each other until the transaction ends, so that a repeated one finds the first."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": (0x4556 << 40) | evse_id})


def _by_start_key(session: Session, station: Station, key: str) -> ChargingSession | None:
    return session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.charge_point_id == station.id,
            or_(ChargingSession.start_key == key, ChargingSession.start_key.startswith(f"{key}~", autoescape=True)),
        )
        .order_by(ChargingSession.id.desc())
        .limit(1)
    ).one_or_none()


def _is_another_charge(known: ChargingSession) -> bool:
    """Whether the same start again is a charge of its own, because its time says nothing.

    A clock that was never set begins anew at each power-up: with a meter that does too, the next charge looks like the
    last one. A start is not sent again once the station knows that its stop has arrived.
    """
    return clocks.UNSET in known.flags and known.stop_received_at is not None


def _same_answer(session: Session, row: ChargingSession) -> StartOutcome:
    reason, hold_id = None, None
    if row.authorization_id is not None:
        reason = session.get_one(Authorization, row.authorization_id).reason
    if reason == RejectReason.PREAUTHORIZATION_MISSING:  # nobody came to hear what the processor had said
        hold_id = next((hold.id for hold in reversed(holds.holds_of(session, session_id=row.id))), None)
    return StartOutcome(session_id=row.id, accepted=UNAUTHORIZED_START not in row.flags, reason=reason, hold_id=hold_id)


def _pending_session(session: Session, evse: EvseRef, id_tag: str | None) -> ChargingSession | None:
    """The session an operator or driver started remotely and that waits for this station."""
    rows = session.scalars(
        select(ChargingSession)
        .where(ChargingSession.evse_id == evse.id, ChargingSession.status == SessionStatus.PENDING)
        .order_by(ChargingSession.id.desc())
        .with_for_update()
    ).all()
    wanted = normalise_id_tag(id_tag or "")
    for row in rows:
        if row.id_tag and normalise_id_tag(row.id_tag) == wanted:
            return row
    return None


def _close_predecessor(session: Session, evse: EvseRef, started_at: datetime, now: datetime) -> None:
    """An EVSE charges one car: a session still running here when a later one starts was never reported stopped."""
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.evse_id == evse.id,
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING)),
            ChargingSession.started_at <= started_at,
        )
        .with_for_update()
    ).all()
    for row in rows:
        finish_by_rule(session, row, event=SessionEvent.GHOST_CLOSED, flag=REPLACED, now=now, not_after=started_at)
