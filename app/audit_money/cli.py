"""`flask --app wsgi audit-money [--from ISO] [--to ISO]`."""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.audit_money.checks import Period
from app.audit_money.run import CHECKS, differences
from app.core.clock import utcnow
from app.core.db import db
from app.exports.stream import parse_moment, system_zone


@click.command("audit-money")
@click.option("--from", "start", metavar="ISO", help="What happened from this date or time on.")
@click.option("--to", "end", metavar="ISO", help="What happened before it; a date is its midnight.")
@with_appcontext
def audit_money_command(start: str | None, end: str | None) -> None:
    """List every difference between sessions, transactions, balances, vouchers, processor and receipts.

    Exit status 0 when there is none. Times without offset and dates are of the system's time zone.
    """
    session = db.session()
    count = 0
    try:
        in_zone = system_zone(session)
        session.rollback()
        period = Period(now=utcnow(), start=_moment(start, in_zone), end=_moment(end, in_zone))
        title = None
        for check, found in differences(session, period):
            if check.title != title:
                title = check.title
                click.echo(f"Not so: {title[0].lower()}{title[1:]}")
            click.echo(f"  {found}")
            count += 1
    except ValueError as error:
        click.echo(f"audit-money: {error}", err=True)
        sys.exit(1)
    except SQLAlchemyError as error:
        click.echo(f"audit-money: the database: {str(error).splitlines()[0]}", err=True)
        sys.exit(1)
    finally:
        session.rollback()
    if count:
        click.echo(f"audit-money: {count} {'difference' if count == 1 else 'differences'}", err=True)
        sys.exit(1)
    click.echo(f"No difference in {len(CHECKS)} checks.")


def _moment(raw: str | None, in_zone: ZoneInfo) -> datetime | None:
    return None if raw is None else parse_moment(raw, in_zone)
