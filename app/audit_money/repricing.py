"""Every billed session priced anew from its snapshot and its readings, beside its bill. product.md, "re-pricing".

Sessions come in batches with their readings, so that a million of them need no memory and a few thousand queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from sqlalchemy import and_, select
from sqlalchemy.orm import Session, defer

from app.audit_money.checks import BATCH, Check, Period, amount
from app.charging import bill, price_versions
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession, MeterReading
from app.core import partitions, settings

Measured = list[tuple[datetime, Decimal]]


def reprice(session: Session, period: Period) -> Iterator[str]:
    """Sessions whose price by snapshot and readings is not what was billed, line by line.

    Those whose readings are so old that they were dropped can no longer be told, and are left out.
    """
    kept_since = period.now - timedelta(days=settings.get_int(session, partitions.TABLES["meter_reading"][1]))
    last_id = 0
    while rows := _batch(session, period, kept_since, after=last_id):
        last_id = rows[-1].id
        readings = _readings(session, rows)
        for row in rows:
            found = difference(row, readings.get(row.id, []))
            if found:
                yield f"Session {row.id}: {found}"
        for row in rows:
            session.expunge(row)


def difference(row: ChargingSession, measured: Measured) -> str | None:
    """What a new price says against the bill; None when they agree."""
    try:
        priced = bill.price_by(row, bill.series(row, measured))
    except Exception as error:  # whatever the pricing refuses is itself the finding
        return f"it was billed {_billed(row)}, but can no longer be priced: {error}"
    credited = price_versions.credits_in(row.price_lines)
    try:
        total = price_versions.less_credits(priced.total, credited)
    except ValueError as error:
        return f"it was billed {_billed(row)}, but {error}."
    if total.gross.currency.code != row.currency:
        return f"it was billed in {row.currency}, its snapshot is in {total.gross.currency.code}."
    new = (total.gross.amount, total.net.amount, total.vat.amount)
    if new != (row.total_gross, row.total_net, row.total_vat):
        return (
            f"it was billed {_billed(row)}; by its snapshot and readings it is {amount(new[0])} {row.currency} "
            f"(net {amount(new[1])}, VAT {amount(new[2])})."
        )
    lines = [(str(line.kind), line.amount) for line in priced.lines]
    lines += [(price_versions.CREDIT_LINE, -each) for each in credited]
    if lines != [(str(line["kind"]), Decimal(line["amount"])) for line in row.price_lines or ()]:
        return "its total is what it was billed, but its lines are others."
    return None


def _billed(row: ChargingSession) -> str:
    assert row.total_gross is not None
    net, vat = (amount(value) if value is not None else "nothing" for value in (row.total_net, row.total_vat))
    return f"{amount(row.total_gross)} {row.currency} (net {net}, VAT {vat})"


def _batch(session: Session, period: Period, kept_since: datetime, *, after: int) -> Sequence[ChargingSession]:
    bounds = [ChargingSession.stopped_at >= period.start] if period.start else []
    if period.end:
        bounds.append(ChargingSession.stopped_at < period.end)
    return session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.id > after,
            ChargingSession.status == SessionStatus.FINISHED,
            ChargingSession.total_gross.is_not(None),
            ChargingSession.started_at >= kept_since,
            *bounds,
        )
        .order_by(ChargingSession.id)
        .limit(BATCH)
        .options(defer(ChargingSession.tariff_explanation))
    ).all()


def _readings(session: Session, rows: Sequence[ChargingSession]) -> dict[int, Measured]:
    """What was measured during each of the sessions; as `bill.session_readings`, for many."""
    found = session.execute(
        select(MeterReading.session_id, MeterReading.measured_at, MeterReading.register_wh)
        .join(ChargingSession, ChargingSession.id == MeterReading.session_id)
        .where(
            MeterReading.session_id.in_([row.id for row in rows]),
            # none can have arrived before its session was made, which spares older partitions
            MeterReading.received_at >= min(row.created_at for row in rows) - timedelta(hours=1),
            MeterReading.register_wh.is_not(None),
            and_(
                MeterReading.measured_at > ChargingSession.started_at,
                MeterReading.measured_at < ChargingSession.stopped_at,
            ),
        )
        .order_by(MeterReading.session_id, MeterReading.measured_at, MeterReading.register_wh)
    )
    return {
        session_id: [(measured_at, register_wh) for _, measured_at, register_wh in group]
        for session_id, group in groupby(found, key=lambda each: each[0])
    }


CHECKS: tuple[Check, ...] = (Check("A session costs again what it was billed", reprice),)
