"""Roll-ups in tests: kept up at once, and what the sessions themselves say, reckoned in Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import upkeep
from app.analytics.models import ADDITIVE, MAXIMUM
from app.analytics.totals import WallSpan
from app.assets.models import Evse
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core.clock import utcnow
from app.core.db import separate_transaction
from app.core.models import CurrencyRow

BILLED = (PaymentStatus.PROCESSING, PaymentStatus.PAID, PaymentStatus.OUTSTANDING, PaymentStatus.REFUNDED)
NAMES = (*ADDITIVE, MAXIMUM)


def kept_up() -> None:
    """Do what the job would, until nothing is to be done. What the test has not committed is not seen."""
    upkeep.keep_up(separate_transaction, clock=utcnow)


def measures(session: Session, row: ChargingSession) -> dict[str, Any]:
    """What a session adds, in the measures' own units, by another reckoning than the product's."""
    if row.status is SessionStatus.FAILED:
        return {**dict.fromkeys(NAMES, 0), "failed": 1}
    currency = session.get(CurrencyRow, row.currency) if row.currency else None
    unit = Decimal(10) ** (currency.exponent if currency else 0)
    billed = row.payment_status in BILLED
    gross = int((row.total_gross or 0) * unit) if billed else 0
    vat = int((row.total_vat or 0) * unit) if billed else 0
    back = sum(
        each.amount
        for each in session.query(Transaction).filter_by(
            session_id=row.id, type=TransactionType.REFUND, status=TransactionStatus.SUCCEEDED, currency=row.currency
        )
    )
    assert row.stopped_at and row.started_at
    duration = int((row.stopped_at - row.started_at).total_seconds())
    until = min(row.charging_ended_at, row.stopped_at) if row.charging_ended_at else row.stopped_at
    charging = max(0, int((until - row.started_at).total_seconds()))
    return {
        "sessions": 1,
        "failed": 0,
        "energy_wh": int(row.energy_wh.quantize(Decimal(1), rounding="ROUND_HALF_UP")),
        "duration_s": duration,
        "charging_s": charging,
        "idle_s": duration - charging,
        "billed": int(billed and row.total_gross is not None),
        "gross": gross,
        "net": gross - vat,
        "vat": vat,
        "refunded_gross": int(row.total_gross * unit) if row.payment_status is PaymentStatus.REFUNDED else 0,
        "refunds": int(back * unit),
        "peak_w": int((row.max_power_w or Decimal(0)).quantize(Decimal(1), rounding="ROUND_HALF_UP")),
    }


def counted(session: Session) -> list[tuple[datetime, ChargingSession]]:
    """The sessions that count, with the moment each belongs to."""
    session.expire_all()
    rows = session.query(ChargingSession).filter(
        ChargingSession.status.in_((SessionStatus.FINISHED, SessionStatus.FAILED))
    )
    return [
        (row.created_at if row.status is SessionStatus.FAILED else row.stopped_at, row)
        for row in rows
        if "demo" not in row.flags
    ]


def straight(session: Session, spans: list[WallSpan], *, zone: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What ``session_sums`` should say, in the currencies' own units; empty buckets are left out."""
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0] * len(ADDITIVE))
    exponents = {row.code: row.exponent for row in session.query(CurrencyRow)}
    for at, row in counted(session):
        local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        of_row = measures(session, row)
        unit = Decimal(10) ** exponents.get(row.currency or "", 0)
        for span in spans:
            if span.start <= local < span.end:
                values = found[(span.name, _bucket(local, span.grain), row.currency or "")]
                for position, name in enumerate(ADDITIVE):
                    money = name in ("gross", "net", "vat", "refunded_gross", "refunds")
                    values[position] += of_row[name] / unit if money else of_row[name]
    return {key: tuple(values) for key, values in found.items() if any(values)}


def _bucket(local: datetime, grain: str | None) -> datetime | None:
    if grain is None:
        return None
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "hour": local.replace(minute=0, second=0, microsecond=0),
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
    }[grain]


def rolled(session: Session, *, fresh_in: str | None = None) -> dict[str, dict[tuple[Any, ...], tuple[int, ...]]]:
    """Every row of the roll-ups in use by its key; with ``fresh_in``, what they should be in that zone."""
    if fresh_in is not None:
        return _fresh(session, fresh_in)
    found = {}
    for table, keys in (
        ("an_evse_day", "day, evse_id, partner_id, currency"),
        ("an_evse_month", "month, evse_id, partner_id, currency"),
        ("an_tot_day", "day, partner_id, country, kind, currency"),
    ):
        rows = session.execute(
            text(
                f"SELECT {keys}, {', '.join(NAMES)} FROM {table} "
                "WHERE generation = (SELECT id FROM an_generation WHERE status = 'current')"
            )
        )
        width = len(keys.split(","))
        found[table] = {tuple(row[:width]): tuple(row[width:]) for row in rows}
    return found


def _fresh(session: Session, zone: str) -> dict[str, dict[tuple[Any, ...], tuple[int, ...]]]:
    found: dict[str, dict[tuple[Any, ...], list[int]]] = {"an_evse_day": {}, "an_evse_month": {}, "an_tot_day": {}}
    for at, row in counted(session):
        day: date = at.astimezone(ZoneInfo(zone)).date()
        evse = session.get_one(Evse, row.evse_id)
        currency = row.currency or ""
        country = evse.charge_point.zone.location.country
        of_row = measures(session, row)
        for table, key in (
            ("an_evse_day", (day, row.evse_id, row.partner_id, currency)),
            ("an_evse_month", (day.replace(day=1), row.evse_id, row.partner_id, currency)),
            ("an_tot_day", (day, row.partner_id, country, evse.type.value, currency)),
        ):
            values = found[table].setdefault(key, [0] * len(NAMES))
            for position, name in enumerate(NAMES):
                values[position] = (
                    max(values[position], of_row[name]) if name == MAXIMUM else values[position] + of_row[name]
                )
    return {table: {key: tuple(values) for key, values in rows.items()} for table, rows in found.items()}
