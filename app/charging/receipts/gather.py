"""The sessions that belong on a receipt and stand on none yet. Manual, "Receipts"; product.md, "Money" and "Time".

A session is due once it was paid, by its driver and not by a corporate account. It belongs to the month in which it
was both over and paid, in the system's time zone: who pays late finds it on the next receipt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Select, and_, case, cast, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.billing.models import Receipt, ReceiptKind, ReceiptLine, Transaction, TransactionStatus, TransactionType
from app.billing.receipts.issue import Line
from app.charging.authorize import PaidFrom
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core.clock import zone
from app.core.i18n import localized
from app.core.models import CurrencyRow
from app.core.money import Currency, Money, split_vat

#: of it, or of a part of it, the money may have been given back: then the credit note follows
PAID = (PaymentStatus.PAID, PaymentStatus.REFUNDED)


@dataclass(frozen=True)
class Due:
    """A session for a receipt, and the first day of the month it belongs to."""

    line: Line
    month: date


def month_of(now: datetime, timezone: str) -> datetime:
    """When the month of a moment began, in that time zone."""
    return now.astimezone(zone(timezone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def last_day(month: date) -> date:
    """The last day of the month that begins on that day."""
    return (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def settled_at() -> Any:
    """When a session was over and paid: what was charged or captured last, else its end."""
    paid_at = (
        select(func.max(Transaction.updated_at))
        .where(
            Transaction.session_id == ChargingSession.id,
            Transaction.status == TransactionStatus.SUCCEEDED,
            Transaction.type.in_((TransactionType.CHARGE, TransactionType.CAPTURE)),
        )
        .correlate(ChargingSession)
        .scalar_subquery()
    )
    return func.greatest(ChargingSession.stopped_at, paid_at)  # PostgreSQL's greatest leaves NULL out


def _belonging(statement: Select[Any], before: datetime | None, *, corrected: bool = False) -> Select[Any]:
    """Narrow a statement to sessions for receipts that are on none; settled before a moment, if one is given.

    ``corrected``: instead those that are on one, of which a correction asks more, or asks another driver.
    """
    on_receipt: ColumnElement[bool] = exists().where(
        ReceiptLine.session_id == ChargingSession.id, ReceiptLine.kind == ReceiptKind.RECEIPT
    )
    if corrected:
        on_receipt = ~and_(
            ChargingSession.price_version > 1,
            on_receipt,
            ChargingSession.total_gross > receipted(ReceiptLine.gross),
            ~_unsettled_correction(),
        )
    statement = statement.where(
        ChargingSession.status == SessionStatus.FINISHED,
        ChargingSession.payment_status.in_(PAID),
        ChargingSession.total_gross > 0,
        ChargingSession.user_id.is_not(None),
        ChargingSession.paid_from.is_distinct_from(PaidFrom.CORPORATE.value),
        ~on_receipt,
    )
    if before is None:
        return statement
    return statement.where(ChargingSession.stopped_at < before, settled_at() < before)


def receipted(column: Any) -> Any:
    """What receipts say so far of a session to its driver, less what corrections gave back of that.

    ``column``: the gross or another amount of the lines; what was given back is known in gross only.
    """
    lines = (
        select(func.coalesce(func.sum(column), 0))
        .join(Receipt, Receipt.id == ReceiptLine.receipt_id)
        .where(
            ReceiptLine.session_id == ChargingSession.id,
            ReceiptLine.kind == ReceiptKind.RECEIPT,
            Receipt.user_id == ChargingSession.user_id,
        )
        .correlate(ChargingSession)
        .scalar_subquery()
    )
    earlier = aliased(ReceiptLine)
    given_back = (
        select(func.coalesce(func.sum(Transaction.amount), 0))
        .where(
            Transaction.session_id == ChargingSession.id,
            Transaction.user_id == ChargingSession.user_id,
            Transaction.type == TransactionType.REFUND,
            Transaction.status == TransactionStatus.SUCCEEDED,
            Transaction.correction.is_not(None),
            exists().where(
                earlier.session_id == Transaction.session_id,
                earlier.kind == ReceiptKind.RECEIPT,
                earlier.price_version < Transaction.correction,
                earlier.receipt_id == Receipt.id,
                Receipt.user_id == Transaction.user_id,
            ),
        )
        .correlate(ChargingSession)
        .scalar_subquery()
    )
    return lines - given_back


def _unsettled_correction() -> Any:
    """That a correction's refund has not come through: until it has, nobody knows what the driver has paid."""
    return exists().where(
        Transaction.session_id == ChargingSession.id,
        Transaction.type == TransactionType.REFUND,
        Transaction.correction.is_not(None),
        Transaction.status != TransactionStatus.SUCCEEDED,
    )


def due_drivers(session: Session, *, before: datetime | None, after_user_id: int = 0, limit: int) -> list[int]:
    """Users with sessions that are due, by id, above ``after_user_id``."""
    found: set[int] = set()
    for corrected in (False, True):  # two plain statements: each has an index of its own
        statement = select(ChargingSession.user_id).where(ChargingSession.user_id > after_user_id).distinct()
        statement = _belonging(statement, before, corrected=corrected).order_by(ChargingSession.user_id).limit(limit)
        found.update(user_id for user_id in session.scalars(statement) if user_id is not None)
    return sorted(found)[:limit]


def due_sessions(
    session: Session, *, user_id: int, before: datetime | None, timezone: str, language: str
) -> dict[str, list[Due]]:
    """A user's sessions that are due, by currency, in the order in which they began. Places are in ``language``."""
    percent = case(
        (
            ChargingSession.tariff_snapshot.has_key("vat_percent"),
            cast(ChargingSession.tariff_snapshot["vat_percent"].astext, Numeric(6, 3)),
        ),
        # a session without its tariff still has what was billed
        else_=func.coalesce(
            func.round(ChargingSession.total_vat * 100 / func.nullif(ChargingSession.total_net, 0), 3), 0
        ),
    )
    statement = (
        select(ChargingSession, Evse.code, Location, percent, settled_at(), receipted(ReceiptLine.gross))
        .join(Evse, Evse.id == ChargingSession.evse_id)
        .join(ChargePoint, ChargePoint.id == ChargingSession.charge_point_id)
        .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
        .join(Location, Location.id == ChargingZone.location_id)
        .where(ChargingSession.user_id == user_id)
        .order_by(ChargingSession.started_at, ChargingSession.id)
    )
    found: dict[str, list[Due]] = {}
    rows = [
        *session.execute(_belonging(statement, before)),
        *session.execute(_belonging(statement, before, corrected=True)),
    ]
    for charge, code, location, vat_percent, settled, so_far in rows:
        gross, net, vat = _due_of(session, charge, Decimal(so_far), vat_percent)
        line = Line(
            session_id=charge.id,
            started_at=charge.started_at,
            stopped_at=charge.stopped_at,
            place=_place(location, language),
            evse_code=code or "",
            energy_wh=charge.energy_wh,
            vat_percent=vat_percent,
            gross=gross,
            net=net,
            vat=vat,
            price_version=charge.price_version,
        )
        found.setdefault(charge.currency, []).append(Due(line, month_of(settled, timezone).date()))
    return found


def _due_of(
    session: Session, charge: ChargingSession, so_far: Decimal, vat_percent: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    """Gross, net and VAT for the receipt: the session's own, or what a correction asks more than receipts say."""
    assert charge.total_gross is not None and charge.total_net is not None and charge.total_vat is not None
    if not so_far:
        return charge.total_gross, charge.total_net, charge.total_vat
    row = session.get_one(CurrencyRow, charge.currency)
    gross = Money(charge.total_gross - so_far, Currency(row.code, row.exponent, row.symbol)).rounded()
    price = split_vat(gross, vat_percent)
    return price.gross.amount, price.net.amount, price.vat.amount


def _place(location: Location, language: str) -> str:
    name = localized(location.name, language)
    return name if not location.city or location.city.lower() in name.lower() else f"{name}, {location.city}"
