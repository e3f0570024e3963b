"""Read models of the faults list: which stations, what is wrong since when, what was tried, who was told.

Manual, "Card: Faults & connectivity loss".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ConnectionStatus,
    Evse,
    EvseState,
    ReportedStatus,
    SystemStatus,
)
from app.charging.models import Outage, Recovery, RecoveryAttempt, RecoveryStatus

#: of a recovery: what was tried, with the outcome
ATTEMPTS: tuple[Any, ...] = (
    selectinload(Recovery.attempts).joinedload(RecoveryAttempt.action),
    joinedload(Recovery.evse),
)


class FaultKind(StrEnum):
    """What can be wrong with a station on the list."""

    STATION = "station"
    EVSE = "evse"
    LOST = "lost"
    NEVER = "never"


FAULT_KINDS = {
    FaultKind.STATION: "Fault of the charge point",
    FaultKind.EVSE: "Fault of an EVSE",
    FaultKind.LOST: "Connection lost",
    FaultKind.NEVER: "Never connected",
}


def _own_fault() -> Select[tuple[int]]:
    return select(ChargePointState.charge_point_id).where(ChargePointState.status == ReportedStatus.FAULTED)


def _evse_fault() -> Select[tuple[int]]:
    return (
        select(Evse.charge_point_id)
        .join(EvseState, EvseState.evse_id == Evse.id)
        .where(EvseState.status == ReportedStatus.FAULTED)
    )


def _connection(*wanted: ConnectionStatus) -> Select[tuple[int]]:
    return select(ChargePointState.charge_point_id).where(ChargePointState.connection.in_(wanted))


def of_kind(kind: FaultKind) -> ColumnElement[bool]:
    """Charge points with that trouble, for queries of ChargePoint. As sets: a subquery a row takes far longer."""
    lost = (ConnectionStatus.TEMPORARILY_UNAVAILABLE, ConnectionStatus.LONG_TERM_UNAVAILABLE)
    ids = {
        FaultKind.STATION: _own_fault(),
        FaultKind.EVSE: _evse_fault(),
        FaultKind.LOST: _connection(*lost),
        FaultKind.NEVER: _connection(ConnectionStatus.NEVER_CONNECTED),
    }
    return ChargePoint.id.in_(ids[kind])


def needs_attention() -> ColumnElement[bool]:
    """The condition of the list: what ``queries.fault_or_connection_loss`` says, as sets."""
    return and_(
        ChargePoint.status.in_((SystemStatus.ACTIVE, SystemStatus.OUT_OF_ORDER)),
        ChargePoint.managed_by_operator,
        or_(*(of_kind(kind) for kind in FaultKind)),
    )


def latest_recovery_is(key: str) -> ColumnElement[bool]:
    """The condition that auto-recovery stands so: a RecoveryStatus, "off" (not enabled) or "idle" (never needed)."""
    if key == "off":
        return ~ChargePoint.auto_recovery
    if key == "idle":
        ever = select(Recovery.id).where(Recovery.charge_point_id == ChargePoint.id).correlate(ChargePoint)
        return and_(ChargePoint.auto_recovery, ~ever.exists())
    newest = select(func.max(Recovery.id)).group_by(Recovery.charge_point_id)
    return ChargePoint.id.in_(
        select(Recovery.charge_point_id).where(Recovery.id.in_(newest), Recovery.status == RecoveryStatus(key))
    )


@dataclass(frozen=True, slots=True)
class Care:
    """What was done about a station: its newest recovery with its attempts, its newest outage, its last mail."""

    recovery: Recovery | None
    outage: Outage | None

    @property
    def mailed_at(self) -> datetime | None:
        """When somebody was told last."""
        told = [self.recovery.mailed_at if self.recovery else None]
        if self.outage is not None:
            told += [self.outage.mailed_at, self.outage.back_mailed_at]
        return max((moment for moment in told if moment is not None), default=None)


def care_of(session: Session, charge_point_ids: Iterable[int]) -> dict[int, Care]:
    """What was done about each of these stations: three queries for all of them."""
    ids = list(charge_point_ids)
    if not ids:
        return {}
    newest = select(func.max(Recovery.id)).where(Recovery.charge_point_id.in_(ids)).group_by(Recovery.charge_point_id)
    recoveries: Sequence[Recovery] = session.scalars(
        select(Recovery).where(Recovery.id.in_(newest)).options(*ATTEMPTS)
    ).all()
    last = select(func.max(Outage.id)).where(Outage.charge_point_id.in_(ids)).group_by(Outage.charge_point_id)
    outages = session.scalars(select(Outage).where(Outage.id.in_(last))).all()
    recovery_of = {row.charge_point_id: row for row in recoveries}
    outage_of = {row.charge_point_id: row for row in outages}
    return {number: Care(recovery_of.get(number), outage_of.get(number)) for number in ids}
