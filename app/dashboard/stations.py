"""Which stations have a fault or no connection, in numbers. Manual, "Card: Faults & connectivity loss".

The condition itself is ``app.charging.queries.fault_or_connection_loss``, the same that lists filter by.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, ConnectionStatus
from app.charging.queries import fault_or_connection_loss, hardware_sql
from app.charging.status import HardwareStatus


@dataclass(frozen=True, slots=True)
class Faults:
    """How many stations need attention, and why; one with a fault and no connection counts once in ``total``."""

    total: int
    faulted: int
    disconnected: int
    never_connected: int


def faults(session: Session) -> Faults:
    """The number of the card and its parts. One query."""
    lost = (ConnectionStatus.TEMPORARILY_UNAVAILABLE, ConnectionStatus.LONG_TERM_UNAVAILABLE)
    watched = (
        select(
            (hardware_sql() == HardwareStatus.FAULTED.value).label("fault"),
            ChargePointState.connection.in_(lost).label("lost"),
            (ChargePointState.connection == ConnectionStatus.NEVER_CONNECTED).label("never"),
        )
        .select_from(ChargePoint)
        .join(ChargePointState, ChargePointState.charge_point_id == ChargePoint.id)
        .where(fault_or_connection_loss())
        .subquery()
    )
    count = func.count()
    row = session.execute(
        select(
            count,
            count.filter(watched.c.fault),
            count.filter(watched.c.lost),
            count.filter(watched.c.never),
        ).select_from(watched)
    ).one()
    return Faults(*row)
