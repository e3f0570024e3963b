"""Which stations have a fault or no connection, in numbers. Manual, "Card: Faults & connectivity loss".

What lists filter by is ``app.charging.queries.fault_or_connection_loss``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ConnectionStatus,
    Evse,
    EvseState,
    ReportedStatus,
    SystemStatus,
)


@dataclass(frozen=True, slots=True)
class Faults:
    """How many stations need attention, and why; one with a fault and no connection counts once in ``total``."""

    total: int
    faulted: int
    disconnected: int
    never_connected: int


def faults(session: Session) -> Faults:
    """The number of the card and its parts. One query.

    The condition as sets: the card is asked for whenever a station changes, and ten thousand stations one by one
    take twenty times as long. A test holds both to the same answer.
    """
    state = ChargePointState
    faulty = (
        select(state.charge_point_id)
        .where(state.status == ReportedStatus.FAULTED)
        .union_all(
            select(Evse.charge_point_id)
            .join(EvseState, EvseState.evse_id == Evse.id)
            .where(EvseState.status == ReportedStatus.FAULTED)
        )
    )
    fault = ChargePoint.id.in_(faulty)
    offline = state.connection != ConnectionStatus.AVAILABLE
    never = state.connection == ConnectionStatus.NEVER_CONNECTED
    watched = (
        select(fault.label("fault"), and_(offline, ~never).label("lost"), never.label("never"))
        .select_from(ChargePoint)
        .join(state, state.charge_point_id == ChargePoint.id)
        .where(
            ChargePoint.status.in_((SystemStatus.ACTIVE, SystemStatus.OUT_OF_ORDER)),
            ChargePoint.managed_by_operator,
            or_(offline, fault),
        )
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
