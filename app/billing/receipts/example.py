"""A receipt of nobody, to see what receipts look like with the company's details as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.billing.models import Receipt, ReceiptKind, ReceiptLine
from app.billing.receipts.document import document_of
from app.billing.receipts.numbers import full_number
from app.billing.receipts.parties import company_now
from app.core import rates, settings
from app.core.money import Currency, Money, split_vat

ISSUED_AT = datetime(2026, 11, 1, 6, tzinfo=UTC)
_SESSIONS = (("12480", 49, "8.40"), ("21900", 75, "13.20"), ("6310", 31, "4.05"))


def example_document(session: Session) -> dict[str, Any]:
    """The texts of an example, in the base currency with the base VAT. Raises MissingRate."""
    row, vat_percent = rates.price_terms(session)
    currency = Currency(row.code, row.exponent, row.symbol)
    receipt = Receipt(
        kind=ReceiptKind.RECEIPT,
        full_number=full_number(settings.get_text(session, "receipt.prefix"), ISSUED_AT.year, 1),
        issued_at=ISSUED_AT,
        period_from=datetime(2026, 10, 1, tzinfo=UTC).date(),
        period_to=datetime(2026, 10, 31, tzinfo=UTC).date(),
        driver={
            "name": "Example Driver",
            "email": "driver@example.com",
            "company": "",
            "vat_no": "",
            "address": "1 Example Street",
            "post_code": "1000",
            "city": "Example Town",
            "country": "",
        },
        company=company_now(session),
        language="en",
        timezone=settings.get_text(session, "system.timezone"),
        currency=row.code,
    )
    for position, (energy_wh, minutes, amount) in enumerate(_SESSIONS, start=1):
        started_at = ISSUED_AT - timedelta(days=31 - 7 * position)
        price = split_vat(Money(Decimal(amount), currency).rounded(), vat_percent)
        receipt.lines.append(
            ReceiptLine(
                kind=receipt.kind,
                position=position,
                started_at=started_at,
                stopped_at=started_at + timedelta(minutes=minutes),
                place="Example Street car park",
                evse_code=f"E000{position}",
                energy_wh=Decimal(energy_wh),
                vat_percent=vat_percent,
                gross=price.gross.amount,
                net=price.net.amount,
                vat=price.vat.amount,
            )
        )
    receipt.total_gross, receipt.total_net, receipt.total_vat = (
        sum((getattr(line, name) for line in receipt.lines), Decimal(0)) for name in ("gross", "net", "vat")
    )
    return document_of(session, receipt)
