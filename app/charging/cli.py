"""Commands about sessions: `flask --app wsgi price SESSION_ID`."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from app.charging.bill import NotPriceable, PriceCheck, check_price
from app.core.db import transaction
from app.tariffs.pricing import (
    FallingRegister,
    InvalidTariffSnapshot,
    MissingPrice,
    NegativeDuration,
    UnorderedReadings,
)


@click.command("price")
@click.argument("session_id", type=int)
@with_appcontext
def price_command(session_id: int) -> None:
    """Print the priced lines of a session from its snapshot, and whether they equal what was billed."""
    try:
        with transaction() as session:
            check = check_price(session, session_id=session_id)
    except (
        LookupError,
        NotPriceable,
        MissingPrice,
        InvalidTariffSnapshot,
        FallingRegister,
        UnorderedReadings,
        NegativeDuration,
    ) as error:
        click.echo(f"price: {error}", err=True)
        sys.exit(1)
    for line in describe(check):
        click.echo(line)
    if not check.agrees:
        sys.exit(1)


def describe(check: PriceCheck) -> list[str]:
    """The lines of a price check as text: one per priced line, then net, VAT, total and the comparison."""
    total = check.priced.total
    rows = [
        (line.label, f"{line.quantity.normalize():f} {line.unit} × {line.unit_price.normalize():f}", str(line.amount))
        for line in check.priced.lines
    ]
    rows += [
        ("Net", "", str(total.net.amount)),
        (f"VAT {total.vat_percent.normalize():f} %", "", str(total.vat.amount)),
        ("Total", check.currency, str(total.gross.amount)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    text = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    if check.billed_gross is None:
        return [*text, "Not billed yet"]
    billed = f"{check.billed_gross:.{max(0, -int(total.gross.amount.as_tuple().exponent))}f} {check.currency}"
    return [*text, f"Equals what was billed: {billed}" if check.agrees else f"DIFFERS from what was billed: {billed}"]
