"""Read models of one session's page: its price and why, its readings and their curve, what it moved in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.billing.models import BalanceAccount, LedgerEntry
from app.charging import bill
from app.charging.lifecycle import RUNNING, SessionStatus
from app.charging.models import ChargingSession, MeterReading
from app.charging.sessions import reference_key

MAX_READINGS = 5000
_HOUR_S = Decimal(3600)


def session_of_reference(session: Session, *, charge_point_id: int, reference: str) -> SessionPlace | None:
    """The session that a station calls by this name, and its EVSE."""
    row = session.execute(
        select(ChargingSession.id, ChargingSession.evse_id).where(
            ChargingSession.charge_point_id == charge_point_id, ChargingSession.start_key == reference_key(reference)
        )
    ).one_or_none()
    return None if row is None else SessionPlace(row.id, row.evse_id)


def total_of_session(session: Session, *, session_id: int) -> Decimal | None:
    """What a session was billed, with VAT; None while it has no bill."""
    return session.scalar(select(ChargingSession.total_gross).where(ChargingSession.id == session_id))


@dataclass(frozen=True)
class SessionPlace:
    """A session and where it is."""

    id: int
    evse_id: int


@dataclass(frozen=True)
class Line:
    """One line of a bill, with VAT."""

    label: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True)
class PriceView:
    """What a session costs: by its bill once it has one (``final``), else so far; or why there is no price."""

    lines: tuple[Line, ...] = ()
    currency: str = ""
    gross: Decimal | None = None
    net: Decimal | None = None
    vat: Decimal | None = None
    final: bool = False
    problem: str = ""


def price_view(session: Session, charging_session: ChargingSession, *, now: datetime) -> PriceView:
    """The price of a session with its lines: as billed, or while it runs up to ``now`` by its own snapshot."""
    row = charging_session
    if row.price_lines is not None and row.currency is not None:
        lines = tuple(_line(each) for each in row.price_lines)
        return PriceView(lines, row.currency, row.total_gross, row.total_net, row.total_vat, final=True)
    if row.status is SessionStatus.FAILED:
        return PriceView(problem="The session failed before it began: it costs nothing.")
    if row.tariff_snapshot is None:
        return PriceView(problem="No tariff was chosen: there is nobody to bill, or the EVSE has no tariff group.")
    if row.started_at is None:
        return PriceView(problem="The session has not begun.")
    try:
        priced = bill.price_of(session, row, until=now)
    except Exception as error:  # whatever the pricing refuses: the page says it instead of failing
        return PriceView(problem=f"The price cannot be calculated: {error}")
    total = priced.total
    return PriceView(
        lines=tuple(
            Line(line.label, line.quantity, str(line.unit), line.unit_price, line.amount) for line in priced.lines
        ),
        currency=total.gross.currency.code,
        gross=total.gross.amount,
        net=total.net.amount,
        vat=total.vat.amount,
        final=False,
    )


def _line(stored: dict[str, Any]) -> Line:
    return Line(
        label=str(stored["label"]),
        quantity=Decimal(stored["quantity"]),
        unit=str(stored["unit"]),
        unit_price=Decimal(stored["unit_price"]),
        amount=Decimal(stored["amount"]),
    )


@dataclass(frozen=True)
class CurvePoint:
    """Energy (Wh since the start) and power (W) at a time; ``derived`` power is the mean since the point before."""

    at: datetime
    energy_wh: Decimal | None
    power_w: Decimal | None
    derived: bool


def readings_of(session: Session, charging_session: ChargingSession) -> list[MeterReading]:
    """The readings of a session in the order they were measured, at most MAX_READINGS.

    None can have arrived before the session was made, which spares older partitions.
    """
    return list(
        session.scalars(
            select(MeterReading)
            .where(
                MeterReading.session_id == charging_session.id,
                MeterReading.received_at >= charging_session.created_at - timedelta(hours=1),
            )
            .order_by(MeterReading.measured_at, MeterReading.id)
            .limit(MAX_READINGS)
        )
    )


def curve(charging_session: ChargingSession, readings: Sequence[MeterReading]) -> list[CurvePoint]:
    """Energy and power over time, from start to end; power that was not measured is the mean of the interval."""
    started_at = charging_session.started_at
    if started_at is None:
        return []
    points = [CurvePoint(started_at, Decimal(0), None, derived=False)]
    for reading in readings:
        if reading.register_wh is None and reading.power_w is None:
            continue
        points.append(_point(points, reading.measured_at, reading.register_wh, reading.power_w))
    stopped_at = charging_session.stopped_at
    if stopped_at is not None and stopped_at > points[-1].at:
        points.append(_point(points, stopped_at, charging_session.energy_wh, None))
    return points


def _point(
    before: Sequence[CurvePoint], at: datetime, energy_wh: Decimal | None, power_w: Decimal | None
) -> CurvePoint:
    if power_w is not None or energy_wh is None:
        return CurvePoint(at, energy_wh, power_w, derived=False)
    last = next((point for point in reversed(before) if point.energy_wh is not None), None)
    if last is None or last.energy_wh is None or at <= last.at:
        return CurvePoint(at, energy_wh, None, derived=False)
    seconds = Decimal(str((at - last.at).total_seconds()))
    return CurvePoint(at, energy_wh, (energy_wh - last.energy_wh) * _HOUR_S / seconds, derived=True)


def ledger_entries(session: Session, *, session_id: int) -> list[LedgerEntry]:
    """The movements of balances that a session caused, with their accounts."""
    return list(
        session.scalars(
            select(LedgerEntry)
            .where(LedgerEntry.session_id == session_id)
            .order_by(LedgerEntry.id)
            .options(joinedload(LedgerEntry.account).joinedload(BalanceAccount.user))
        )
    )


def duration_of(charging_session: ChargingSession, *, now: datetime) -> timedelta | None:
    """How long a session took, or has taken up to ``now`` while it runs; None when it never began."""
    if charging_session.started_at is None:
        return None
    if charging_session.stopped_at is not None:
        return charging_session.stopped_at - charging_session.started_at
    if charging_session.status not in RUNNING:
        return None
    return max(now - charging_session.started_at, timedelta(0))
