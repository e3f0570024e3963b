"""Reserving an EVSE for a user, and cancelling it. Manual, "Reserving an EVSE" and Settings, "Reservations".

A reservation is a row first (Pending), then asked of the station, and Active once it has agreed. One that the station
does not know of would not keep anybody from charging there, so whatever is no yes makes it Refused, with the station's
word. What happens to it later by itself is in ``reserved``, what time does in ``reservation_clockwork``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.assets.actions import note_action
from app.assets.models import ConnectionStatus, Evse, ReportedStatus
from app.charging import authorizations, commands, sessions
from app.charging.commands import CommandName, Outcome
from app.charging.lifecycle import RUNNING
from app.charging.models import LARGEST_ID, ChargingSession, Reservation, ReservationStatus
from app.charging.reservations import reserved
from app.charging.reservations.lifecycle import OPEN, ReservationEvent
from app.core import settings
from app.core.clock import zone
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import RfidTagStatus, User

MAX_MINUTES = 100_000
#: OCPP 1.6, CiString20Type
MAX_TOKEN = 20

_BUSY = frozenset(
    {
        ReportedStatus.PREPARING,
        ReportedStatus.CHARGING,
        ReportedStatus.SUSPENDED_EV,
        ReportedStatus.SUSPENDED_EVSE,
        ReportedStatus.FINISHING,
        ReportedStatus.OCCUPIED,
    }
)
_OUT = {ReportedStatus.FAULTED: "reports a fault", ReportedStatus.UNAVAILABLE: "reports that it is unavailable"}


class ReservationRefused(Exception):
    """The EVSE cannot be reserved like this; ``str()`` says why in words for the operator."""


def duration_minutes(session: Session, evse: Evse) -> int:
    """How long this EVSE is reserved for unless told otherwise, in minutes; 0: it cannot be reserved."""
    if evse.reservation_minutes is not None:
        return evse.reservation_minutes
    return settings.get_int(session, "reservation.duration_minutes")


def reserve(
    session: Session,
    *,
    evse: Evse,
    user: User,
    minutes: int | None = None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> tuple[Reservation, Action]:
    """Keep an EVSE for a user: Pending until the station agrees. Flushes.

    ``minutes`` None: the EVSE's own time, else that of the Settings. The limits of the Settings hold for whoever asks.
    Raises ReservationRefused, commands.NotManaged, ReasonRequired.
    """
    # reservations of one user wait for each other, and those of one EVSE: else two at once would pass the limits
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": (0x5256 << 40) | user.id})
    sessions.lock_evse(session, evse.id)
    length = duration_minutes(session, evse) if minutes is None else minutes
    _check_offered(session, evse, length)
    _check_place(session, evse, now)
    _check_user(session, evse, user, now)
    row = Reservation(
        partner_id=evse.partner_id,
        charge_point_id=evse.charge_point_id,
        evse_id=evse.id,
        user_id=user.id,
        id_tag="",
        status=ReservationStatus.PENDING,
        created_at=now,
        expires_at=(now + timedelta(minutes=length)).replace(microsecond=0),
    )
    session.add(row)
    session.flush()
    row.id_tag = _token(session, user, now) or reserved.reservation_token(row.id)
    action = commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.RESERVE,
        request={
            "network_id": evse.network_id,
            "reservation_id": row.id,
            "id_tag": row.id_tag,
            "parent": reserved.parent_token(user.id),
            "expires_at": row.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        },
        info=f"Reservation {row.id} for {user.full_name}, until {_clock(session, row.expires_at)}",
        reason=reason,
        actor=actor,
        now=now,
    )
    row.action_id = action.id
    session.flush()
    reserved.announce(session, row)
    return row, action


def _check_offered(session: Session, evse: Evse, length: int) -> None:
    """Whether anybody could reserve this EVSE at all, for so many minutes."""
    if not settings.get(session, "reservation.enabled"):
        raise ReservationRefused("Reservations are switched off in CONFIGURATION > Settings > Reservations.")
    commands.check_reachable(evse.charge_point)
    if evse.reservation_minutes == 0:
        raise ReservationRefused(f"EVSE {evse.code} cannot be reserved: its Reservation Time is 0.")
    if not 1 <= length <= MAX_MINUTES:
        raise ReservationRefused(f"A reservation takes from 1 to {MAX_MINUTES:,} minutes.")
    if evse.charge_point.plug_and_charge:
        raise ReservationRefused(
            f"{evse.charge_point.name} charges everybody without authorization: it cannot be kept for somebody."
        )


def _check_place(session: Session, evse: Evse, now: datetime) -> None:
    """Whether the EVSE is connected, healthy and free."""
    station, own = evse.charge_point.state, evse.state
    session.refresh(station)
    session.refresh(own)
    if station.connection is not ConnectionStatus.AVAILABLE:
        raise ReservationRefused(f"{evse.charge_point.name} is not connected: {station.connection.label}.")
    for name, status in ((evse.charge_point.name, station.status), (f"EVSE {evse.code}", own.status)):
        if status in _OUT:
            raise ReservationRefused(f"{name} {_OUT[status]}.")
    charge = session.scalars(
        select(ChargingSession.id).where(ChargingSession.evse_id == evse.id, ChargingSession.status.in_(RUNNING))
    ).first()
    if charge is not None:
        raise ReservationRefused(f"EVSE {evse.code} is busy: session {charge} is running.")
    if own.status in _BUSY:
        raise ReservationRefused(f"EVSE {evse.code} is busy: it reports {own.status.label}.")
    kept = session.scalars(
        select(Reservation).where(Reservation.evse_id == evse.id, Reservation.status.in_(OPEN))
    ).one_or_none()
    if kept is not None and kept.expires_at > now:
        until = _clock(session, kept.expires_at)
        raise ReservationRefused(f"EVSE {evse.code} is reserved for {kept.user.full_name} until {until} already.")
    if kept is not None:  # its time is over, only nobody has said so yet
        expire(session, kept, now=now)


def _check_user(session: Session, evse: Evse, user: User, now: datetime) -> None:
    """Whether this user may have it: account, invitation, reservations a day, time between two of them."""
    decision = authorizations.decide_reservation(session, charge_point=evse.charge_point, evse=evse, user=user, now=now)
    if decision.reason is not None:
        raise ReservationRefused(f"{decision.reason.label}.")
    most = cast("int | None", settings.get(session, "reservation.maximum_per_day"))
    if most is not None and reserved.made_since(session, user_id=user.id, since=_midnight(session, now)) >= most:
        raise ReservationRefused(
            f"{user.full_name} has made {most} reservation{'s' if most > 1 else ''} today, which is the maximum per "
            "user and day."
        )
    wait = timedelta(minutes=settings.get_int(session, "reservation.cooldown_minutes"))
    last = session.scalars(
        select(Reservation)
        .where(Reservation.user_id == user.id, Reservation.status != ReservationStatus.REFUSED)
        .order_by(Reservation.created_at.desc(), Reservation.id.desc())
        .limit(1)
    ).one_or_none()
    if not wait or last is None:
        return
    free_at = (last.ended_at or last.expires_at) + wait
    if now < free_at:
        raise ReservationRefused(
            f"{user.full_name} may reserve again at {_clock(session, free_at)}: the cool-down time between two "
            "reservations is not over."
        )


def _midnight(session: Session, now: datetime) -> datetime:
    here = zone(settings.get_text(session, "system.timezone"))
    today: date = now.astimezone(here).date()
    return datetime.combine(today, time(), tzinfo=here)


def _clock(session: Session, moment: datetime) -> str:
    """A moment in the system's time zone."""
    return f"{moment.astimezone(zone(settings.get_text(session, 'system.timezone'))):%Y-%m-%d %H:%M %Z}"


def _token(session: Session, user: User, now: datetime) -> str | None:
    """The user's first RFID tag that could start a session now, if a station can take it."""
    today = now.astimezone(zone(settings.get_text(session, "system.timezone"))).date()
    return next(
        (
            tag.tag_id
            for tag in user.rfid_tags
            if tag.status is RfidTagStatus.ACTIVE
            and (tag.expires_on is None or tag.expires_on >= today)
            and len(tag.tag_id) <= MAX_TOKEN
        ),
        None,
    )


def cancel(
    session: Session, *, reservation: Reservation, reason: str, actor: Admin | None, now: datetime
) -> tuple[Reservation, Action]:
    """Give an EVSE free again, and tell the station. Flushes.

    Nobody is kept from charging any more from now on, whether the station can be told or not: what came of telling it
    is the action's outcome. Raises ReservationOver when it is over already, ReasonRequired.
    """
    row = session.get_one(Reservation, reservation.id, with_for_update=True, populate_existing=True)
    reserved.change(session, row, ReservationEvent.CANCELLED, now=now, reason=reason.strip())
    return row, _let_go(session, row, reason=reason, actor=actor, now=now)


def _let_go(session: Session, row: Reservation, *, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Tell the station that a reservation is off; where there is no station to tell, only the log."""
    evse = session.get_one(Evse, row.evse_id)
    try:
        return commands.request_command(
            session,
            charge_point=evse.charge_point,
            evse=evse,
            name=CommandName.CANCEL_RESERVATION,
            request={"reservation_id": row.id},
            info=f"Reservation {row.id}: cancelled here, whatever the charge point answers",
            reason=reason,
            actor=actor,
            now=now,
        )
    except commands.NotManaged as nobody:
        return note_action(
            session,
            name=commands.TITLES[CommandName.CANCEL_RESERVATION],
            charge_point=evse.charge_point,
            evse=evse,
            info=f"Reservation {row.id}: {nobody}",
            reason=reason,
            actor=actor,
            now=now,
        )


def expire(session: Session, row: Reservation, *, now: datetime) -> bool:
    """End a reservation whose time is over; the station does so by itself. Flushes."""
    return reserved.change(session, row, ReservationEvent.EXPIRED, now=now, reason="Nobody came in time")


EXPIRED_THERE = "Nobody came in time, by the charge point's clock"
REMOVED_THERE = "The charge point has removed it"


def end_by_station(session: Session, *, charge_point_id: int, number: int, expired: bool, now: datetime) -> bool:
    """The station keeps the EVSE no more: its time is over there, or it was removed for a fault. Flushes.

    OCPP 2.0.1 part 2, H04 and H01.FR.24. False when the reservation is none of this station's, or is over already.
    """
    known = 0 < number <= LARGEST_ID
    row = session.get(Reservation, number, with_for_update=True, populate_existing=True) if known else None
    if row is None or row.charge_point_id != charge_point_id:
        return False
    event = ReservationEvent.EXPIRED if expired else ReservationEvent.FAULTED
    return reserved.change(session, row, event, now=now, reason=EXPIRED_THERE if expired else REMOVED_THERE)


def cancel_by_rule(session: Session, row: Reservation, *, why: str, now: datetime) -> None:
    """Cancel a locked reservation that nobody can use any more, and tell the station if that is possible. Flushes."""
    if reserved.change(session, row, ReservationEvent.CANCELLED, now=now, reason=why):
        _let_go(session, row, reason=why, actor=None, now=now)


#: the station's word for a refusal, by the outcome's fact ``result``
_RESULTS = {
    "faulted": "The charge point reports a fault",
    "occupied": "The EVSE is occupied",
    "unavailable": "The charge point is not available",
    "rejected": "The charge point does not accept reservations",
}
_NO_ANSWER = {
    ActionStatus.TIMED_OUT: "The charge point did not answer in time",
    ActionStatus.NOT_CONNECTED: "The charge point is not connected",
}
LATE = "The charge point accepted it when it was over already"


@commands.follow_up(CommandName.RESERVE)
def follow_reserve(session: Session, outcome: Outcome) -> None:
    """The station's answer makes a reservation Active or Refused; one that is over by then is called off again."""
    row = session.get(Reservation, int(outcome.request["reservation_id"]), with_for_update=True)
    if row is None:
        return
    status = outcome.answer.status
    if status is ActionStatus.ACCEPTED:
        reserved.change(session, row, ReservationEvent.ACCEPTED, now=outcome.now, reason=None)
        # one cancelled in good time has its own message on the way
        over = row.status in (ReservationStatus.REFUSED, ReservationStatus.ENDED)
        if over or (row.status is ReservationStatus.CANCELLED and outcome.late):
            _let_go(session, row, reason=LATE, actor=None, now=outcome.now)
        return
    why = _NO_ANSWER.get(status) or _RESULTS.get(str(outcome.answer.facts.get("result")))
    if why is None:  # an error instead of an answer: mostly a station that knows no reservations
        why = f"{_RESULTS['rejected']}: {outcome.answer.error}" if outcome.answer.error else _RESULTS["rejected"]
    reserved.change(session, row, ReservationEvent.REFUSED, now=outcome.now, reason=why)


@commands.follow_up(CommandName.CANCEL_RESERVATION)
def follow_cancel(session: Session, outcome: Outcome) -> None:
    """Keep with the reservation that the station was not told, or did not agree."""
    status = outcome.answer.status
    row = session.get(Reservation, int(outcome.request["reservation_id"]), with_for_update=True)
    if row is None or status is ActionStatus.ACCEPTED or outcome.late:
        return
    told = _NO_ANSWER.get(status, "The charge point knew of no such reservation")
    row.end_reason = "; ".join(part for part in (row.end_reason, told) if part)[:255]
    session.flush()
    reserved.announce(session, row)
