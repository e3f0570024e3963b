"""Charging sessions: started, stopped and finished, once, whatever a station repeats or forgets.

product.md, "Charging session life"; stations.md, lines 7 to 12. Every change of status goes through
``lifecycle.next_status`` under the session's row lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.charging import authorizations, bill
from app.charging.authorize import normalise_id_tag
from app.charging.final_energy import final_reading
from app.charging.lifecycle import PaymentStatus, SessionEvent, SessionStatus, next_status
from app.charging.models import Authorization, AuthorizationSource, ChargingSession
from app.charging.registers import RegisterFlag, RegisterState, begin_register
from app.charging.station import EvseRef, Station
from app.core import events, settings
from app.core.models import CurrencyRow, VatRate
from app.crm.models import User
from app.tariffs import queries as tariff_queries
from app.tariffs.pricing import TariffSnapshot, snapshot_to_json
from app.tariffs.selection import DriverFacts, explanation_to_json, select_tariff
from app.tariffs.snapshots import snapshot_of

FUTURE_TOLERANCE = timedelta(minutes=5)
LATE_AFTER = timedelta(days=1)

#: flags of a session, with the words the screen shows
FLAGS = {
    "late_start": "Start reported more than a day late",
    "late_stop": "Stop reported more than a day late",
    "clock_ahead": "The station's clock is ahead; the arrival time was used",
    "unauthorized_start": "The station charged although authorization was refused",
    "stop_before_start": "Stop time before start time; the start time was used",
    "stopped_after_end": "A stop arrived after the session had been finished by rule",
    "no_stop_message": "The station never reported the stop",
    "replaced": "Another session began on the EVSE without a stop of this one",
    "no_meter": "The station reported no meter",
    bill.PRICE_PROBLEM: "The price could not be calculated",
    **{flag.value: flag.label for flag in RegisterFlag},
}


@dataclass(frozen=True)
class StartOutcome:
    """What a station is told about a start: the session's number and whether charging is allowed."""

    session_id: int
    accepted: bool
    expires_at: datetime | None = None
    reason: str | None = None


def clean_time(reported: datetime, now: datetime) -> tuple[datetime, list[str]]:
    """A station's time as a session uses it: not more than five minutes ahead of the arrival (else that).

    The second value holds "clock_ahead" or "late" (over a day old: used, and flagged).
    """
    if reported > now + FUTURE_TOLERANCE:
        return now, ["clock_ahead"]
    return reported, ["late"] if reported < now - LATE_AFTER else []


def start_session(
    session: Session,
    *,
    station: Station,
    evse: EvseRef,
    id_tag: str | None,
    meter_start_wh: Decimal,
    reported_at: datetime,
    now: datetime,
    reference: str | None = None,
) -> StartOutcome:
    """A station has begun to charge: make its session, or take up the pending one. Flushes.

    The same start again (same EVSE, token, time and meter) gets the same answer. A session is kept also when the
    driver is refused, because energy may flow: it is flagged, and billed if there is anybody to bill.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(evse.id)})
    key = start_key(evse.network_id, id_tag, reported_at, meter_start_wh, reference)
    known = _by_start_key(session, station, key)
    if known is not None:
        return _same_answer(session, known)
    started_at, time_flags = clean_time(reported_at, now)
    pending = _pending_session(session, evse, id_tag)
    source = _source_of(session, station, id_tag, pending)
    answer = authorizations.authorize(
        session,
        station=station,
        id_tag=id_tag,
        source=source,
        now=now,
        evse_id=evse.id,
        except_session_id=pending.id if pending else None,
    )
    _close_predecessor(session, evse, started_at, now)
    row = pending or ChargingSession(
        partner_id=station.partner_id,
        charge_point_id=station.id,
        evse_id=evse.id,
        source=source,
        status=SessionStatus.PENDING,
        payment_status=PaymentStatus.PENDING,
        user_id=answer.user_id,
        created_at=now,
        flags=[],
    )
    row.status = next_status(row.status, SessionEvent.STARTED)
    row.authorization_id = answer.authorization_id
    row.id_tag = id_tag
    row.start_key = key
    row.station_reference = reference
    row.started_at, row.start_received_at, row.last_activity_at = started_at, now, now
    row.meter_start_wh = meter_start_wh
    apply_register(row, begin_register(register_wh=meter_start_wh, at=started_at))
    row.flags = [*row.flags, *("late_start" if f == "late" else f for f in time_flags)]
    if not answer.accepted:
        row.flags = [*row.flags, "unauthorized_start"]
    session.add(row)
    if row.tariff_snapshot is None and source is not AuthorizationSource.PLUG_AND_CHARGE:
        _give_tariff(session, row, user_id=answer.user_id)
    session.flush()
    _announce(session, "session.started", row)
    return StartOutcome(
        session_id=row.id,
        accepted=answer.accepted,
        expires_at=answer.expires_at,
        reason=str(answer.decision.reason) if answer.decision.reason else None,
    )


def start_key(
    network_id: int, id_tag: str | None, reported_at: datetime, meter_start_wh: Decimal, reference: str | None
) -> str:
    """What makes two starts of one station the same. Message ids repeat across restarts, so they are no part."""
    if reference:
        return f"ref:{reference}"[:120]
    parts = (network_id, normalise_id_tag(id_tag or ""), reported_at.isoformat(), f"{meter_start_wh.normalize():f}")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def _lock_key(evse_id: int) -> int:
    """Starts on one EVSE wait for each other, so that a repeated one finds the first."""
    return (0x4556 << 40) | evse_id


def _by_start_key(session: Session, station: Station, key: str) -> ChargingSession | None:
    return session.scalars(
        select(ChargingSession).where(ChargingSession.charge_point_id == station.id, ChargingSession.start_key == key)
    ).one_or_none()


def _same_answer(session: Session, row: ChargingSession) -> StartOutcome:
    reason = None
    if row.authorization_id is not None:
        reason = session.get_one(Authorization, row.authorization_id).reason
    return StartOutcome(session_id=row.id, accepted="unauthorized_start" not in row.flags, reason=reason)


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


def _source_of(
    session: Session, station: Station, id_tag: str | None, pending: ChargingSession | None
) -> AuthorizationSource:
    if pending is not None:
        return pending.source
    if station.plug_and_charge:
        known = id_tag and authorizations.is_registered(session, id_tag)
        return AuthorizationSource.RFID_TAG if known else AuthorizationSource.PLUG_AND_CHARGE
    return AuthorizationSource.RFID_TAG


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
        finish_by_rule(session, row, event=SessionEvent.GHOST_CLOSED, flag="replaced", now=now)


def _give_tariff(session: Session, row: ChargingSession, *, user_id: int | None) -> None:
    """Choose the tariff and keep it as a snapshot. Without a user or tariff group there is none to keep."""
    evse = session.get_one(Evse, row.evse_id)
    if user_id is None or evse.tariff_group_id is None:
        return
    user = session.get_one(User, user_id)
    attached = tariff_queries.attached_tariffs(session, tariff_group_id=evse.tariff_group_id)
    chosen, explanation = select_tariff(
        attached,
        DriverFacts(
            user_id=user_id,
            user_group_ids=frozenset(group.id for group in user.groups),
            owner_partner_id=row.partner_id,
        ),
    )
    set_tariff(session, row, take_snapshot(session, tariff_id=chosen.tariff_id, evse=evse))
    row.tariff_explanation = explanation_to_json(explanation)


def price_terms(session: Session, evse: Evse) -> tuple[CurrencyRow, Decimal, str]:
    """Base currency, base VAT percent and the location's time zone, for a snapshot.

    Raises LookupError when the base currency or VAT rate of the settings does not exist.
    """
    currency = session.get(CurrencyRow, settings.get_text(session, "system.currency"))
    vat = session.scalars(select(VatRate).where(VatRate.name == settings.get_text(session, "system.vat"))).one_or_none()
    if currency is None or vat is None:
        raise LookupError("the base currency or base VAT of the settings does not exist")
    zone_name = session.scalar(
        select(Location.timezone)
        .join(ChargingZone, ChargingZone.location_id == Location.id)
        .join(ChargePoint, ChargePoint.zone_id == ChargingZone.id)
        .where(ChargePoint.id == evse.charge_point_id)
    )
    return currency, vat.percent, zone_name or settings.get_text(session, "system.timezone")


def take_snapshot(session: Session, *, tariff_id: int, evse: Evse) -> TariffSnapshot:
    """A tariff as it is now, in the base currency and VAT, with the location's time zone. Raises as price_terms."""
    currency, vat_percent, timezone = price_terms(session, evse)
    return snapshot_of(
        tariff_queries.get_tariff(session, tariff_id), currency=currency, vat_percent=vat_percent, timezone=timezone
    )


def set_tariff(session: Session, row: ChargingSession, snapshot: TariffSnapshot) -> None:
    """Give a session the snapshot it is and always will be priced by."""
    row.tariff_id = snapshot.tariff_id
    row.tariff_name = snapshot.name
    row.currency = snapshot.currency.code
    row.tariff_snapshot = snapshot_to_json(snapshot)


# --- stop


@dataclass(frozen=True)
class StopOutcome:
    """What became of a station's stop: the session it belongs to, if any, and whether it changed anything."""

    session_id: int | None
    changed: bool


def stop_session(
    session: Session,
    *,
    station: Station,
    session_id: int | None,
    id_tag: str | None,
    meter_stop_wh: Decimal | None,
    reported_at: datetime,
    reason: str | None,
    now: datetime,
    reference: str | None = None,
) -> StopOutcome:
    """A station has stopped: finish its session and bill it. Flushes.

    Repeated stops change nothing. A stop of a session nobody knows is matched by station, token and time; when none
    fits, the outcome has no session and the caller stores the message as a stray one. Never raises for a station's
    mistake: a stop that is not confirmed is sent for ever.
    """
    row = _find_stopped(session, station, session_id, id_tag, reported_at, reference)
    if row is None:
        return StopOutcome(None, False)
    if row.status in (SessionStatus.FINISHED, SessionStatus.FAILED):
        if row.stop_received_at is None and row.status is SessionStatus.FINISHED:
            _flag(row, "stopped_after_end")
            row.stop_received_at = now
            session.flush()
            return StopOutcome(row.id, True)
        return StopOutcome(row.id, False)
    row.status = next_status(row.status, SessionEvent.STOPPED)
    stopped_at, time_flags = clean_time(reported_at, now)
    if row.started_at is None:
        row.started_at = stopped_at
    if stopped_at < row.started_at:
        stopped_at = row.started_at
        _flag(row, "stop_before_start")
    for flag in time_flags:
        _flag(row, "late_stop" if flag == "late" else flag)
    row.stopped_at, row.stop_received_at = stopped_at, now
    row.stop_reason = reason
    if meter_stop_wh is not None:
        _take_final_register(session, row, meter_stop_wh, stopped_at)
    else:
        _flag(row, "no_meter")
    _conclude(session, row, now)
    return StopOutcome(row.id, True)


def _find_stopped(
    session: Session,
    station: Station,
    session_id: int | None,
    id_tag: str | None,
    reported_at: datetime,
    reference: str | None,
) -> ChargingSession | None:
    ours = ChargingSession.charge_point_id == station.id
    if reference is not None:
        return session.scalars(
            select(ChargingSession).where(ours, ChargingSession.station_reference == reference).with_for_update()
        ).one_or_none()
    if session_id is not None and session_id > 0:
        found = session.scalars(
            select(ChargingSession).where(ours, ChargingSession.id == session_id).with_for_update()
        ).one_or_none()
        if found is not None:
            return found
    candidates = session.scalars(
        select(ChargingSession)
        .where(
            ours,
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING)),
            ChargingSession.started_at <= reported_at + FUTURE_TOLERANCE,
            *([func.upper(ChargingSession.id_tag) == normalise_id_tag(id_tag)] if id_tag else []),
        )
        .with_for_update()
    ).all()
    return candidates[0] if len(candidates) == 1 else None


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
        _flag(row, flag.value)


def register_state(row: ChargingSession) -> RegisterState:
    """A session's meter as the normalisation knows it. Raises ValueError before the session has started."""
    if row.started_at is None:
        raise ValueError(f"session {row.id} has not started")
    start_wh = None if row.meter_start_wh is None or row.meter_start_wh < 0 else row.meter_start_wh
    return RegisterState(
        started_at=row.started_at,
        start_wh=start_wh,
        raw_wh=row.last_raw_wh,
        at=row.last_reading_at or row.started_at,
        offset_wh=row.register_offset_wh,
    )


def apply_register(row: ChargingSession, state: RegisterState) -> None:
    """Keep what the normalisation says of the meter."""
    if row.meter_start_wh is None or row.meter_start_wh < 0:
        row.meter_start_wh = state.start_wh
    row.last_raw_wh = state.raw_wh
    row.register_offset_wh = state.offset_wh
    row.energy_wh = state.energy_wh
    row.last_reading_at = state.at


def finish_by_rule(session: Session, row: ChargingSession, *, event: SessionEvent, flag: str, now: datetime) -> None:
    """Finish a session whose stop the station never reported, at its last reading, and bill it. Flushes."""
    row.status = next_status(row.status, event)
    row.stopped_at = max(row.last_reading_at or row.started_at or now, row.started_at or now)
    row.stop_reason = event.value
    _flag(row, flag)
    _conclude(session, row, now)


def fail_session(session: Session, row: ChargingSession, *, event: SessionEvent, reason: str) -> None:
    """End a pending session that never began; it costs nothing. Flushes."""
    row.status = next_status(row.status, event)
    row.failure_reason = reason
    row.payment_status = PaymentStatus.NOT_BILLED
    session.flush()
    _announce(session, "session.finished", row)


def _conclude(session: Session, row: ChargingSession, now: datetime) -> None:
    row.power_w = None
    row.stopping_at = None
    session.flush()
    bill.bill_session(session, row, now=now)
    _announce(session, "session.finished", row)


def _announce(session: Session, name: str, row: ChargingSession) -> None:
    events.announce(
        session,
        name,
        partner_id=row.partner_id,
        session_id=row.id,
        charge_point_id=row.charge_point_id,
        evse_id=row.evse_id,
    )


def _flag(row: ChargingSession, flag: str) -> None:
    if flag not in row.flags:
        row.flags = [*row.flags, flag]


def flag_labels(flags: Sequence[str]) -> list[str]:
    """Flags in the words of the screen."""
    return [FLAGS.get(flag, flag.replace("_", " ").capitalize()) for flag in flags]
