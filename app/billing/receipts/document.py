"""A receipt as the texts that stand on it, in its language and time zone: numbers and dates are Babel's.

Only what was kept with the receipt is used, so that it looks the same whenever it is made again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent
from sqlalchemy.orm import Session

from app.billing.models import Receipt, ReceiptKind, ReceiptLine
from app.billing.receipts.parties import driver_lines
from app.billing.receipts.words import babel_locale, language_of, words
from app.core.clock import zone
from app.core.models import CurrencyRow

KILO = Decimal(1000)


@dataclass(frozen=True)
class Format:
    """How numbers and times are written on one receipt."""

    language: str
    timezone: str
    currency: str
    exponent: int

    def money(self, amount: Decimal) -> str:
        """An amount with its currency, and as many decimals as that has."""
        locale = babel_locale(self.language)
        pattern = locale.currency_formats["standard"].pattern.partition(";")[0]
        decimals = f".{'0' * self.exponent}" if self.exponent else ""
        pattern = pattern.replace(".00", decimals)
        return str(format_currency(amount, self.currency, format=pattern, locale=locale, currency_digits=False))

    def day(self, moment: datetime) -> str:
        """The day of a moment."""
        return str(format_date(moment.astimezone(zone(self.timezone)), "medium", locale=babel_locale(self.language)))

    def time(self, moment: datetime) -> str:
        """Hours and minutes."""
        local = moment.astimezone(zone(self.timezone))
        return str(format_time(local, "short", locale=babel_locale(self.language)))

    def kwh(self, energy_wh: Decimal) -> str:
        """Energy in kWh."""
        number = format_decimal(energy_wh / KILO, "#,##0.00", locale=babel_locale(self.language))
        return f"{number} kWh"

    def percent(self, percentage: Decimal) -> str:
        """20 as 20 %, 5.5 as 5.5 %."""
        locale = babel_locale(self.language)
        pattern = locale.percent_formats[None].pattern.replace("#,##0", "#,##0.###")
        return str(format_percent(percentage / 100, pattern, locale=locale))

    def lasted(self, span: timedelta, texts: dict[str, str]) -> str:
        """A length of time to the minute, rounded: 2 h 05 min."""
        hours, minutes = divmod(round(span.total_seconds() / 60), 60)
        return f"{hours} {texts['hours']} {minutes:02} {texts['minutes']}" if hours else f"{minutes} {texts['minutes']}"


def format_of(session: Session, receipt: Receipt) -> Format:
    """How a receipt is written; a currency's decimals are fixed once anything is recorded in it."""
    exponent = session.get_one(CurrencyRow, receipt.currency).exponent
    return Format(language_of(receipt.language), receipt.timezone, receipt.currency, exponent)


def document_of(session: Session, receipt: Receipt) -> dict[str, Any]:
    """Everything the typesetter needs, as plain texts."""
    written = format_of(session, receipt)
    texts = words(written.language)
    back = receipt.kind is ReceiptKind.CREDIT_NOTE
    return {
        "language": written.language,
        "words": texts,
        "title": texts[receipt.kind.value],
        "number": receipt.full_number,
        "issued": written.day(receipt.issued_at),
        "issued_on": receipt.issued_at.astimezone(zone(receipt.timezone)).strftime("%Y-%m-%d").split("-"),
        "period": _period(receipt, written),
        "corrects": receipt.corrects.full_number if receipt.corrects is not None else "",
        "company": receipt.company,
        "driver": driver_lines(receipt.driver, written.language),
        "driver_vat_no": receipt.driver["vat_no"],
        "timezone": receipt.timezone.replace("_", " "),
        "table_title": texts["given_back" if back else "sessions"],
        "lines": [_line(line, written, texts) for line in receipt.lines],
        "rates": [_rate(percent, amounts, written) for percent, amounts in by_rate(receipt.lines)],
        "total_net": written.money(receipt.total_net),
        "total_vat": written.money(receipt.total_vat),
        "total_gross": written.money(receipt.total_gross),
        "total_title": texts["total_back" if back else "total"],
    }


def by_rate(lines: Iterable[ReceiptLine]) -> list[tuple[Decimal, tuple[Decimal, Decimal, Decimal]]]:
    """Net, VAT and gross per VAT percentage, lowest first: sums of the lines, nothing is rounded again."""
    sums: dict[Decimal, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for line in lines:
        amounts = sums[line.vat_percent.normalize()]
        sums[line.vat_percent.normalize()] = [
            amounts[0] + line.net,
            amounts[1] + line.vat,
            amounts[2] + line.gross,
        ]
    return [(percent, (net, vat, gross)) for percent, (net, vat, gross) in sorted(sums.items())]


def _period(receipt: Receipt, written: Format) -> str:
    locale = babel_locale(written.language)
    first, last = (str(format_date(day, "medium", locale=locale)) for day in (receipt.period_from, receipt.period_to))
    return first if first == last else f"{first} – {last}"


def _line(line: ReceiptLine, written: Format, texts: dict[str, str]) -> dict[str, str]:
    return {
        "date": written.day(line.started_at),
        "time": f"{written.time(line.started_at)} – {written.time(line.stopped_at)}",
        "place": line.place,
        "evse": line.evse_code,
        "energy": written.kwh(line.energy_wh),
        "duration": written.lasted(line.stopped_at - line.started_at, texts),
        "amount": written.money(line.gross),
    }


def _rate(percent: Decimal, amounts: tuple[Decimal, Decimal, Decimal], written: Format) -> dict[str, str]:
    net, vat, gross = (written.money(amount) for amount in amounts)
    return {"rate": written.percent(percent), "net": net, "vat": vat, "gross": gross}
