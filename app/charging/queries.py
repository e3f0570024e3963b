"""Read models of what happens at stations: cards of a charge point or EVSE, usage.

They say what they load; nothing is loaded lazily by templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
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
from app.charging.flags import DEMO, flagged
from app.charging.lifecycle import RUNNING
from app.charging.models import Authorization, ChargingSession, Reservation
from app.charging.reservations import reserved
from app.charging.status import (
    HardwareStatus,
    ShownEvse,
    ShownStatus,
    evse_shown_status,
    hardware_status,
    stricter_system_status,
)

#: what ``station_status`` needs of a charge point, for a query of charge points
STATION_OPTIONS: tuple[Any, ...] = (
    joinedload(ChargePoint.state),
    selectinload(ChargePoint.evses).joinedload(Evse.state),
)
#: OCPP's word for "no error"
NO_ERROR = "NoError"


# --- status


@dataclass(frozen=True)
class EvseLine:
    """An EVSE as the cards show it: what is shown and why, what it reported, who charges there, for whom it is kept."""

    evse: Evse
    shown: ShownEvse
    error: str
    running: ChargingSession | None
    reservation: Reservation | None = None


@dataclass(frozen=True)
class StationStatus:
    """The hardware of a charge point in one word, its error in words, and its EVSEs."""

    hardware: HardwareStatus
    error: str
    evses: tuple[EvseLine, ...]


#: shown of what could be used, if it were not reserved
_FREE = frozenset({ShownStatus.AVAILABLE, ShownStatus.RESERVED})


def shown_evse(charge_point: ChargePoint, evse: Evse, reservation: Reservation | None = None) -> ShownEvse:
    """What is shown of an EVSE; reads the states of both. ``reservation`` is the open one, if it is known."""
    if not charge_point.managed_by_operator:
        why = "A point of interest, not managed by the operator"
        return ShownEvse(ShownStatus.NOT_MANAGED, why, evse.state.status)
    intent = stricter_system_status(charge_point.status.value, evse.status.value)
    shown = evse_shown_status(intent, charge_point.state.connection, evse.state.status, charge_point.state.status)
    if shown.status is ShownStatus.DEMO:
        charging = evse.state.status is ReportedStatus.CHARGING
        return replace(shown, status=ShownStatus.CHARGING if charging else ShownStatus.AVAILABLE)
    if reservation is not None and shown.status in _FREE:
        return replace(shown, status=ShownStatus.RESERVED, why=f"Reserved for {reservation.user.full_name}")
    return shown


def station_status(session: Session, charge_point: ChargePoint, *, now: datetime) -> StationStatus:
    """The status of a charge point loaded with STATION_OPTIONS; two queries for its sessions and reservations."""
    numbers = [evse.id for evse in charge_point.evses]
    running = running_sessions(session, numbers)
    kept = reserved.open_by_evse(session, numbers, now=now)
    evses = tuple(
        EvseLine(
            evse,
            shown_evse(charge_point, evse, kept.get(evse.id)),
            error_of(evse.state),
            running.get(evse.id),
            kept.get(evse.id),
        )
        for evse in charge_point.evses
    )
    state = charge_point.state
    return StationStatus(
        hardware=station_hardware(state.status, [evse.state.status for evse in charge_point.evses]),
        error=error_of(state),
        evses=evses,
    )


def station_hardware(own: ReportedStatus, evses: Iterable[ReportedStatus]) -> HardwareStatus:
    """One word for a charge point's hardware: Fault if anything of it is at fault.

    Else Unavailable if the station itself says so, Unknown if nobody has said anything, else Available.
    """
    reported = list(evses)
    if ReportedStatus.FAULTED in (own, *reported):
        return HardwareStatus.FAULTED
    if own is ReportedStatus.UNAVAILABLE:
        return HardwareStatus.UNAVAILABLE
    if all(hardware_status(each) is HardwareStatus.UNKNOWN for each in (own, *reported)):
        return HardwareStatus.UNKNOWN
    return HardwareStatus.AVAILABLE


def hardware_sql() -> ColumnElement[str]:
    """``station_hardware`` in SQL, for filters of queries of ChargePoint."""
    own = (
        select(ChargePointState.status)
        .where(ChargePointState.charge_point_id == ChargePoint.id)
        .correlate(ChargePoint)
        .scalar_subquery()
    )
    evses = exists().where(EvseState.evse_id == Evse.id, Evse.charge_point_id == ChargePoint.id).correlate(ChargePoint)
    faulted = or_(own == ReportedStatus.FAULTED, evses.where(EvseState.status == ReportedStatus.FAULTED))
    silent = and_(own == ReportedStatus.UNKNOWN, ~evses.where(EvseState.status != ReportedStatus.UNKNOWN))
    return case(
        (faulted, HardwareStatus.FAULTED.value),
        (own == ReportedStatus.UNAVAILABLE, HardwareStatus.UNAVAILABLE.value),
        (silent, HardwareStatus.UNKNOWN.value),
        else_=HardwareStatus.AVAILABLE.value,
    )


def fault_or_connection_loss() -> ColumnElement[bool]:
    """The condition of the dashboard's card, for queries of ChargePoint.

    Charge points that are offline or have a hardware fault; only those Active or Out of order are monitored (manual,
    "Card: Faults & connectivity loss").
    """
    offline = (
        exists()
        .where(
            ChargePointState.charge_point_id == ChargePoint.id,
            ChargePointState.connection != ConnectionStatus.AVAILABLE,
        )
        .correlate(ChargePoint)
    )
    return and_(
        ChargePoint.status.in_((SystemStatus.ACTIVE, SystemStatus.OUT_OF_ORDER)),
        ChargePoint.managed_by_operator,
        or_(offline, hardware_sql() == HardwareStatus.FAULTED.value),
    )


def error_of(state: ChargePointState | EvseState) -> str:
    """What a station says is wrong, in its own words; empty when it says nothing."""
    parts = [state.error_code if state.error_code != NO_ERROR else None, state.error_info]
    if isinstance(state, EvseState):
        parts.append(state.vendor_error_code)
    return ", ".join(part for part in parts if part)


def running_sessions(session: Session, evse_ids: Sequence[int]) -> dict[int, ChargingSession]:
    """The running session of each of these EVSEs, with its user; the newest where there are several."""
    if not evse_ids:
        return {}
    rows = session.scalars(
        select(ChargingSession)
        .where(ChargingSession.evse_id.in_(evse_ids), ChargingSession.status.in_(RUNNING))
        .order_by(ChargingSession.id)
        .options(joinedload(ChargingSession.user))
    )
    return {row.evse_id: row for row in rows}


def last_session(session: Session, *, evse_id: int) -> ChargingSession | None:
    """The newest session of an EVSE that is over."""
    return session.scalars(
        select(ChargingSession)
        .where(ChargingSession.evse_id == evse_id, ChargingSession.status.not_in(RUNNING))
        .order_by(ChargingSession.id.desc())
        .limit(1)
        .options(joinedload(ChargingSession.user))
    ).one_or_none()


# --- usage


@dataclass(frozen=True)
class Usage:
    """What was charged in a period: sessions, energy, and what was billed by currency (of Demo stations: nothing)."""

    sessions: int
    energy_wh: Decimal
    billed: tuple[tuple[str, Decimal], ...]


def usage(
    session: Session,
    *,
    since: datetime | None,
    until: datetime | None,
    charge_point_ids: Sequence[int] | None = None,
    evse_id: int | None = None,
) -> Usage:
    """Sessions that began in the half-open period, of some charge points or of one EVSE."""
    query = select(
        ChargingSession.currency,
        func.count(),
        func.coalesce(func.sum(ChargingSession.energy_wh), 0),
        func.coalesce(func.sum(ChargingSession.total_gross).filter(~flagged(DEMO)), 0),
    ).where(ChargingSession.started_at.is_not(None))
    if charge_point_ids is not None:
        query = query.where(ChargingSession.charge_point_id.in_(charge_point_ids))
    if evse_id is not None:
        query = query.where(ChargingSession.evse_id == evse_id)
    if since is not None:
        query = query.where(ChargingSession.started_at >= since)
    if until is not None:
        query = query.where(ChargingSession.started_at < until)
    rows = session.execute(query.group_by(ChargingSession.currency)).all()
    return Usage(
        sessions=sum(count for _, count, _, _ in rows),
        energy_wh=sum((Decimal(energy) for _, _, energy, _ in rows), Decimal(0)),
        billed=tuple(sorted((currency, Decimal(gross)) for currency, _, _, gross in rows if currency and gross)),
    )


def has_activity(session: Session, *, charge_point_id: int) -> bool:
    """Whether anybody ever asked to charge there; such a charge point is kept (its sessions are accounts)."""
    sessions = select(ChargingSession.id).where(ChargingSession.charge_point_id == charge_point_id).exists()
    authorizations = select(Authorization.id).where(Authorization.charge_point_id == charge_point_id).exists()
    return bool(session.scalar(select(or_(sessions, authorizations))))
