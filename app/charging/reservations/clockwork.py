"""What time and the operator's intent do to reservations. Each rule is derived from the database: a tick that was
missed is caught up, a repeated one changes nothing. Manual, Settings, "Reservations"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, DateTime, or_, select, type_coerce
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ChargingZone,
    Evse,
    EvseState,
    EvseStatus,
    ReportedStatus,
    SystemStatus,
    ZoneStatus,
)
from app.charging.models import Reservation, ReservationStatus
from app.charging.reservations import reservations, reserved
from app.charging.reservations.lifecycle import OPEN, ReservationEvent
from app.core import mail_words, settings
from app.core.batches import do_each
from app.core.clock import zone
from app.core.i18n import localized
from app.core.mail import queue_mail

BATCH = 200
OUT_OF_USE = (ReportedStatus.FAULTED, ReportedStatus.UNAVAILABLE)
NOT_IN_SERVICE = "The EVSE was taken out of service"


def _due(session: Session, *conditions: ColumnElement[bool]) -> list[Reservation]:
    """Open reservations, locked; those somebody else holds are left to the next tick."""
    return list(
        session.scalars(
            select(Reservation)
            .join(Evse, Evse.id == Reservation.evse_id)
            .join(ChargePoint, ChargePoint.id == Reservation.charge_point_id)
            .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
            .join(EvseState, EvseState.evse_id == Reservation.evse_id)
            .join(ChargePointState, ChargePointState.charge_point_id == Reservation.charge_point_id)
            .where(Reservation.status.in_(OPEN), *conditions)
            .order_by(Reservation.expires_at)
            .limit(BATCH)
            .with_for_update(of=Reservation, skip_locked=True)
        )
    )


def expire_due(session: Session, *, now: datetime) -> int:
    """Expire reservations whose time is over. Returns how many."""
    rows = _due(session, Reservation.expires_at <= now)
    return do_each(session, rows, lambda row: reservations.expire(session, row, now=now))


def end_faulted(session: Session, *, now: datetime) -> int:
    """End what became a reservation while the EVSE or its station was reporting Faulted or Unavailable.

    A report ends them in its own transaction (``hardware``); this finds those that were just being made then.
    """
    rows = _due(session, or_(EvseState.status.in_(OUT_OF_USE), ChargePointState.status.in_(OUT_OF_USE)))
    why = "The EVSE or its charge point reports that it cannot be used"
    return do_each(
        session,
        rows,
        lambda row: reserved.change(session, row, ReservationEvent.FAULTED, now=now, reason=why),
    )


def cancel_unusable(session: Session, *, now: datetime) -> int:
    """Cancel reservations of what the operator has taken out of service meanwhile. Returns how many."""
    rows = _due(
        session,
        or_(
            ChargePoint.status != SystemStatus.ACTIVE,
            ChargingZone.status != ZoneStatus.ACTIVE,
            Evse.status != EvseStatus.ACTIVE,
            ~ChargePoint.managed_by_operator,
        ),
    )
    return do_each(session, rows, lambda row: reservations.cancel_by_rule(session, row, why=NOT_IN_SERVICE, now=now))


def remind(session: Session, *, now: datetime) -> int:
    """Tell users by e-mail that their reservation ends soon ("Remaining time notification"). Returns how many.

    Once for each reservation, and only for those that are longer than the time before their end.
    """
    minutes = cast("int | None", settings.get(session, "reservation.remind_before_minutes"))
    if minutes is None:
        return 0
    before = timedelta(minutes=minutes)
    rows = _due(
        session,
        Reservation.status == ReservationStatus.ACTIVE,
        Reservation.reminded_at.is_(None),
        Reservation.expires_at > now,
        Reservation.expires_at <= now + before,
        type_coerce(Reservation.expires_at, DateTime(timezone=True)) - before > Reservation.created_at,
    )
    return do_each(session, rows, lambda row: _mail(session, row, now))


def _mail(session: Session, row: Reservation, now: datetime) -> None:
    row.reminded_at = now
    site = row.charge_point.zone.location
    # the driver stands there, or is on the way there: the clock of the place is meant
    here = zone(site.timezone, settings.get_text(session, "system.timezone"))
    left = max(1, round((row.expires_at - now).total_seconds() / 60))
    mail = mail_words.compose(
        session,
        "reservation_reminder",
        language=row.user.locale,
        values={
            "name": row.user.full_name,
            "location": localized(site.name, row.user.locale),
            "evse": row.evse.code,
            "until": f"{row.expires_at.astimezone(here):%H:%M}",
            "minutes": str(left),
        },
    )
    queue_mail(
        session,
        key=f"reservation:{row.id}:reminder",
        recipient=row.user.email,
        subject=mail.subject,
        body=mail.body,
        html=mail.html,
        now=now,
    )
    session.flush()


#: in this order: what nobody can use is not reminded of
RULES: tuple[Callable[..., int], ...] = (expire_due, end_faulted, cancel_unusable, remind)
