"""Which stations have a fault or no connection. Manual, "Card: Faults & connectivity loss".

Only stations that the operator means to work (system status Active or Out of order) are watched.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ConnectionStatus,
    Evse,
    EvseState,
    EvseStatus,
    ReportedStatus,
    SystemStatus,
)

WATCHED = (SystemStatus.ACTIVE, SystemStatus.OUT_OF_ORDER)
LOST = (ConnectionStatus.TEMPORARILY_UNAVAILABLE, ConnectionStatus.LONG_TERM_UNAVAILABLE)


def is_watched() -> ColumnElement[bool]:
    """Whether a fault of the station is the operator's business."""
    return ChargePoint.status.in_(WATCHED)


def has_lost_connection() -> ColumnElement[bool]:
    """Whether a station that was connected is not any more. One that never was has lost nothing."""
    return (
        exists()
        .where(ChargePointState.charge_point_id == ChargePoint.id, ChargePointState.connection.in_(LOST))
        .correlate(ChargePoint)
    )


def has_fault() -> ColumnElement[bool]:
    """Whether the station, or an EVSE of it that the operator has not disabled, reported a fault last."""
    station = (
        exists()
        .where(ChargePointState.charge_point_id == ChargePoint.id, ChargePointState.status == ReportedStatus.FAULTED)
        .correlate(ChargePoint)
    )
    evse = (
        exists()
        .where(
            Evse.charge_point_id == ChargePoint.id,
            Evse.status != EvseStatus.DISABLED,
            EvseState.evse_id == Evse.id,
            EvseState.status == ReportedStatus.FAULTED,
        )
        .correlate(ChargePoint)
    )
    return or_(station, evse)


def needs_attention() -> ColumnElement[bool]:
    """The stations behind the number of the card "Faults & connectivity loss"."""
    return and_(is_watched(), or_(has_lost_connection(), has_fault()))


@dataclass(frozen=True, slots=True)
class Faults:
    """How many stations need attention, and why; one with a fault and no connection counts once in ``total``."""

    total: int
    faulted: int
    disconnected: int
    never_connected: int


def faults(session: Session) -> Faults:
    """The number of the card, its parts, and beside it the stations that have never connected. One query."""
    flags = (
        select(
            has_fault().label("fault"),
            (ChargePointState.connection.in_(LOST)).label("lost"),
            (ChargePointState.connection == ConnectionStatus.NEVER_CONNECTED).label("never"),
        )
        .select_from(ChargePoint)
        .join(ChargePointState, ChargePointState.charge_point_id == ChargePoint.id)
        .where(is_watched())
        .subquery()
    )
    count = func.count()
    row = session.execute(
        select(
            count.filter(or_(flags.c.fault, flags.c.lost)),
            count.filter(flags.c.fault),
            count.filter(flags.c.lost),
            count.filter(flags.c.never),
        ).select_from(flags)
    ).one()
    return Faults(*row)
