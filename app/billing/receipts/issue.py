"""Issuing: lines become a numbered receipt or credit note, with company and driver as they are now. Flushes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.billing.models import Receipt, ReceiptKind, ReceiptLine
from app.billing.receipts.numbers import full_number, take_number
from app.billing.receipts.parties import company_now, driver_now
from app.core import events, settings
from app.core.clock import zone
from app.core.models import HOUSE_PARTNER_ID
from app.crm.models import User

CHANGED = "receipt.changed"
NO_RECEIPTS = "none"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A charging session as it goes on a receipt: its own gross, net and VAT, which are never worked out again."""

    session_id: int
    started_at: datetime
    stopped_at: datetime
    place: str
    evse_code: str
    energy_wh: Decimal
    vat_percent: Decimal
    gross: Decimal
    net: Decimal
    vat: Decimal
    #: the version of the session's price it is about
    price_version: int = 1


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What makes it a credit note: of which receipt, for which refund, why."""

    receipt_id: int
    refund_id: int
    reason: str | None


def is_on(session: Session) -> bool:
    """Whether we make receipts at all: Settings > Invoices processor."""
    return settings.get_text(session, "receipt.processor") != NO_RECEIPTS


def issue(
    session: Session,
    *,
    user: User,
    currency: str,
    period: tuple[date, date],
    lines: Sequence[Line],
    now: datetime,
    corrects: Correction | None = None,
) -> Receipt:
    """Give out the next number and write the receipt (or credit note) with its lines. Flushes.

    ``period`` is its first and last day in the system's time zone. Its totals are the sums of the lines. The
    language is the driver's. Raises ValueError without lines, and what the database refuses: a session that stands
    on a receipt already, a refund that has its credit note already.
    """
    if not lines:
        raise ValueError("a receipt has at least one line")
    timezone = settings.get_text(session, "system.timezone")
    kind = ReceiptKind.RECEIPT if corrects is None else ReceiptKind.CREDIT_NOTE
    series = settings.get_text(session, "receipt.prefix")
    year = now.astimezone(zone(timezone)).year
    company, driver = company_now(session), driver_now(user)
    number = take_number(session, series=series, year=year)  # as late as can be: from here on others wait
    receipt = Receipt(
        kind=kind,
        series=series,
        year=year,
        number=number,
        full_number=full_number(series, year, number),
        issued_at=now,
        period_from=period[0],
        period_to=period[1],
        user_id=user.id,
        recipient=user.email,
        driver=driver,
        company=company,
        language=user.locale,
        timezone=timezone,
        currency=currency,
        total_gross=sum(line.gross for line in lines),
        total_net=sum(line.net for line in lines),
        total_vat=sum(line.vat for line in lines),
        **_corrects(corrects),
    )
    session.add(receipt)
    session.flush()
    session.add_all(_row(receipt, position, line) for position, line in enumerate(lines, start=1))
    session.flush()
    events.announce(session, CHANGED, partner_id=HOUSE_PARTNER_ID, receipt_id=receipt.id, user_id=user.id)
    return receipt


def _corrects(corrects: Correction | None) -> dict[str, Any]:
    if corrects is None:
        return {}
    return {"corrects_id": corrects.receipt_id, "refund_id": corrects.refund_id, "reason": corrects.reason}


def _row(receipt: Receipt, position: int, line: Line) -> ReceiptLine:
    return ReceiptLine(
        receipt_id=receipt.id,
        kind=receipt.kind,
        position=position,
        session_id=line.session_id,
        started_at=line.started_at,
        stopped_at=line.stopped_at,
        place=line.place[:255],
        evse_code=line.evse_code,
        energy_wh=line.energy_wh,
        vat_percent=line.vat_percent,
        gross=line.gross,
        net=line.net,
        vat=line.vat,
        price_version=line.price_version,
    )
