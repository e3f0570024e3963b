"""Which EVSE is kept for whom, and what happens to a reservation by itself: used by a start, expired, ended by fault.

Manual, "Reserving an EVSE" and Settings, "Reservations"; OCPP 1.6, 3.13 and 5.13. What an operator does is in
``reservations``. Every change of status goes through ``reservation_lifecycle.next_status`` under the row's lock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from app.charging.clocks import FUTURE_TOLERANCE
from app.charging.lifecycle import RUNNING
from app.charging.models import LARGEST_ID, ChargingSession, Reservation, ReservationStatus
from app.charging.reservations.lifecycle import OPEN, ReservationEvent, next_status
from app.core import events

CHANGED = "reservation.changed"

#: the id token of a reservation whose user has no RFID tag; the number is the reservation's
TOKEN_PREFIX = "SYNC-R"  # noqa: S105
#: the token that all tags of a user have in common, told to a station that keeps an EVSE for the user
PARENT_PREFIX = "SYNC-U"

_TOKEN = re.compile(rf"{TOKEN_PREFIX}(\d{{1,15}})", re.ASCII | re.IGNORECASE)


def reservation_token(reservation_id: int) -> str:
    """The id token a station is given when the user has no RFID tag: at most 20 characters, as OCPP 1.6 has it."""
    return f"{TOKEN_PREFIX}{reservation_id}"


def parent_token(user_id: int) -> str:
    """What the tags of a user have in common for a station (OCPP 1.6, parentIdTag): any of them may use a
    reservation."""
    return f"{PARENT_PREFIX}{user_id}"


def open_on(session: Session, *, evse_id: int, at: datetime) -> Reservation | None:
    """The reservation that keeps an EVSE at a moment: open, made before it, expiring after it."""
    return session.scalars(
        select(Reservation).where(
            Reservation.evse_id == evse_id,
            Reservation.status.in_(OPEN),
            Reservation.created_at <= at,
            Reservation.expires_at > at,
        )
    ).one_or_none()


def open_by_evse(session: Session, evse_ids: Sequence[int], *, now: datetime) -> dict[int, Reservation]:
    """The open reservation of each of these EVSEs, with its user. One query."""
    if not evse_ids:
        return {}
    rows = session.scalars(
        select(Reservation)
        .where(Reservation.evse_id.in_(evse_ids), Reservation.status.in_(OPEN), Reservation.expires_at > now)
        .options(joinedload(Reservation.user))
    )
    return {row.evse_id: row for row in rows}


def holds_one_at(session: Session, *, user_id: int, charge_point_id: int, now: datetime) -> bool:
    """Whether an EVSE of this station is kept for the user now."""
    query = select(Reservation.id).where(
        Reservation.user_id == user_id,
        Reservation.charge_point_id == charge_point_id,
        Reservation.status.in_(OPEN),
        Reservation.expires_at > now,
    )
    return session.scalar(query.limit(1)) is not None


def moment_of_start(*, at: datetime, now: datetime) -> datetime:
    """When a start counts for reservations: on arrival, unless it comes late, from an offline queue."""
    return now if abs(now - at) <= FUTURE_TOLERANCE else at


def by_token(session: Session, *, charge_point_id: int, id_tag: str | None, at: datetime) -> Reservation | None:
    """The reservation at this station whose token this is; None when it is no such token, or no longer one.

    It works while the reservation is open, also for a start in that time (``at``) that is reported later, and until
    the session that used the reservation has ended.
    """
    found = _TOKEN.fullmatch((id_tag or "").strip())
    row = session.get(Reservation, int(found[1])) if found else None
    if row is None or row.charge_point_id != charge_point_id:
        return None
    if row.status is ReservationStatus.USED:
        charge = session.get(ChargingSession, row.session_id) if row.session_id is not None else None
        return row if charge is not None and charge.status in RUNNING else None
    in_time = row.created_at <= at < row.expires_at
    return row if in_time and row.status in (*OPEN, ReservationStatus.EXPIRED) else None


def use(session: Session, *, charge: ChargingSession, number: int | None, started_at: datetime, now: datetime) -> None:
    """A user has begun to charge: the reservation this uses up ends. Flushes.

    It is the one the station names (``number``), if it is this user's at this station; else the user's own on the
    EVSE. By the station's time of the start it was in time; the reservation need not be open any more when the message
    comes. A start by somebody else ends nobody's reservation.
    """
    if charge.user_id is None:
        return
    at = moment_of_start(at=started_at, now=now)
    known = number is not None and 0 < number <= LARGEST_ID
    named = and_(Reservation.id == (number if known else 0), Reservation.charge_point_id == charge.charge_point_id)
    row = session.scalars(
        select(Reservation)
        .where(
            Reservation.user_id == charge.user_id,
            or_(named, Reservation.evse_id == charge.evse_id),
            Reservation.status.in_((*OPEN, ReservationStatus.EXPIRED)),
            Reservation.created_at <= at,
            Reservation.expires_at > min(at, started_at),
        )
        .order_by((Reservation.id == (number if known else 0)).desc(), Reservation.id.desc())
        .limit(1)
        .with_for_update(of=Reservation)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is not None and change(session, row, ReservationEvent.STARTED, now=now, reason=None):
        row.session_id = charge.id
        session.flush()


def change(session: Session, row: Reservation, event: ReservationEvent, *, now: datetime, reason: str | None) -> bool:
    """Let an event happen to a locked reservation; False when it changes nothing. Flushes. Raises ReservationOver."""
    after = next_status(row.status, event)
    if after is row.status:
        return False
    row.status = after
    if after not in OPEN:
        row.ended_at, row.end_reason = now, reason[:255] if reason else None
    session.flush()
    announce(session, row)
    return True


def announce(session: Session, row: Reservation) -> None:
    """Tell of a reservation once it is on disk."""
    events.announce(
        session,
        CHANGED,
        partner_id=row.partner_id,
        reservation_id=row.id,
        charge_point_id=row.charge_point_id,
        evse_id=row.evse_id,
        user_id=row.user_id,
    )


def made_since(session: Session, *, user_id: int, since: datetime) -> int:
    """How many reservations a user has made; those that never came about are not counted."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Reservation)
            .where(
                Reservation.user_id == user_id,
                Reservation.created_at >= since,
                Reservation.status != ReservationStatus.REFUSED,
            )
        )
        or 0
    )
