"""Commands about charging: `flask --app wsgi price SESSION_ID`, `flask --app wsgi command CHARGE_POINT_ID ACTION`."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import click
from flask import current_app
from flask.cli import with_appcontext

from app.charging import price_reasons, raw_commands
from app.charging.bill import NotPriceable, PriceCheck, check_price
from app.charging.commands import NotManaged
from app.charging.models import ChargingSession
from app.charging.waiting import CallOutcome, wait_for_outcome
from app.core import redis as redis_clients
from app.core import settings
from app.core.actions import ReasonRequired
from app.core.clock import utcnow
from app.core.db import transaction
from app.core.money import Price
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
    """Print the priced lines of a session from its snapshot, and whether they equal what was billed.

    Then why: the tariff and its version, for whom it was chosen and why not another one, and the readings.
    """
    try:
        with transaction() as session:
            check = check_price(session, session_id=session_id)
            reasons = list(price_reasons.in_words(session, session.get_one(ChargingSession, session_id)))
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
    for line in (*describe(check), "", *reasons):
        click.echo(line)
    if not check.agrees:
        sys.exit(1)


def describe(check: PriceCheck) -> list[str]:
    """The lines of a price check as text: one per priced line, then net, VAT, total and the comparison."""
    priced = check.priced.total
    total = check.total if sum(check.credits) <= priced.gross.amount else priced
    rows = [
        (line.label, f"{line.quantity.normalize():f} {line.unit} × {line.unit_price.normalize():f}", str(line.amount))
        for line in check.priced.lines
    ]
    rows += [("Credit", "by an operator", f"{-amount:.{_decimals(priced)}f}") for amount in check.credits]
    rows += [
        ("Net", "", str(total.net.amount)),
        (f"VAT {total.vat_percent.normalize():f} %", "", str(total.vat.amount)),
        ("Total", check.currency, str(total.gross.amount)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    text = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    if check.billed_gross is None:
        return [*text, "Not billed yet"]
    billed = f"{check.billed_gross:.{_decimals(total)}f} {check.currency}"
    if check.version > 1:
        billed += f" (version {check.version} of the price)"
    return [*text, f"Equals what was billed: {billed}" if check.agrees else f"DIFFERS from what was billed: {billed}"]


def _decimals(price: Price) -> int:
    return max(0, -int(price.gross.amount.as_tuple().exponent))


_REFUSALS = {
    "rejected": "the station refused",
    "timed_out": "the station did not answer in time",
    "not_connected": "the station is not connected",
    "error": "the call failed",
}


@click.command("command")
@click.argument("charge_point_id")
@click.argument("action")
@click.argument("payload", default="{}")
@click.option("--reason", required=True, help="Kept in the Actions log.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1, 300), help="Seconds to wait; as in Settings if left out."
)
@with_appcontext
def command_command(charge_point_id: str, action: str, payload: str, reason: str, timeout_s: int | None) -> None:
    """Send a call of OCPP to a station and print the JSON of what came of it.

    PAYLOAD is JSON as in OCPP, by default {}. Exit status 0 when the station accepted or answered.
    """
    if "\x00" in action + reason:
        _fail("NUL characters cannot be kept")
    given = _parsed(payload)
    try:
        with transaction() as session:
            station = raw_commands.find_station(session, charge_point_id, admin=None)
            if station is None:
                raise LookupError(f"there is no charge point with the ID {charge_point_id}")
            wait_s = timeout_s or settings.get_int(session, "charge_point.command_timeout_seconds")
            row = raw_commands.request_call(
                session,
                charge_point=station,
                action=action,
                payload=given,
                reason=reason[: raw_commands.LONGEST_REASON],
                actor=None,
                secret_key=current_app.config["SECRET_KEY"],
                now=utcnow(),
                timeout_s=wait_s,
                via="from the command line",
            )
            action_id = row.id
    except (LookupError, NotManaged, ReasonRequired, raw_commands.InvalidCall) as error:
        _fail(str(error))
    outcome = wait_for_outcome(redis_clients.client(), action_id=action_id, timeout_s=wait_s)
    click.echo(json.dumps(outcome.as_json(), ensure_ascii=False))
    if outcome.status in _REFUSALS:
        _fail(_words(outcome))


def _words(outcome: CallOutcome) -> str:
    words = _REFUSALS[outcome.status]
    status = outcome.response.get("status")
    detail = outcome.error or (status if isinstance(status, str) else None)
    return f"{words}: {detail}" if detail else words


def _parsed(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as fault:
        _fail(f"the payload is not JSON: {fault}")
    if not isinstance(given, dict):
        _fail("the payload is not a JSON object")
    if "\\u0000" in text:
        _fail("the payload has a NUL character, which cannot be kept")
    return given


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _fail(message: str) -> NoReturn:
    click.echo(f"command: {message}", err=True)
    sys.exit(1)
