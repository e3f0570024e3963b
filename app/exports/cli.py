"""`flask --app wsgi export LIST [--from ISO] [--to ISO] [--columns A,B] [--bom]`."""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import click
import psycopg
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.core.db import db
from app.exports.columns import UnknownColumn
from app.exports.lists import LISTS
from app.exports.stream import UnknownList, parse_moment, stream_csv, system_zone


def register(app: Flask) -> None:
    """Put the command on the application."""
    app.cli.add_command(export_command)


@click.command("export", help=f"Write a list as CSV to standard output.\n\nLIST is one of: {', '.join(sorted(LISTS))}.")
@click.argument("list_name", metavar="LIST", default="")
@click.option("--from", "start", metavar="ISO", help="Rows from this date or time on (2026-11-01, 2026-11-01T08:00).")
@click.option("--to", "end", metavar="ISO", help="Rows before this date or time; a date is its midnight.")
@click.option("--columns", metavar="A,B,…", help="Only these of the list's columns; they stay in the list's order.")
@click.option("--bom", is_flag=True, help="Begin with a byte order mark, for spreadsheets that want one.")
@with_appcontext
def export_command(list_name: str, start: str | None, end: str | None, columns: str | None, bom: bool) -> None:
    """Times without offset and dates are of the system's time zone (Settings > Timezone)."""
    session = db.session()
    output = sys.stdout.buffer
    try:
        in_zone = system_zone(session)
        chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
        for chunk in stream_csv(
            session,
            list_name,
            start=_moment(start, in_zone),
            end=_moment(end, in_zone),
            bom=bom,
            columns=chosen,
        ):
            output.write(chunk)
        output.flush()
    except (UnknownList, UnknownColumn, ValueError) as error:
        click.echo(f"export: {error.args[0]}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # whoever reads us, such as `head`, has enough; Python would complain once more when it flushes at exit
        sys.stdout = None
        sys.exit(1)
    except (SQLAlchemyError, psycopg.Error) as error:
        click.echo(f"export: the database: {str(error).splitlines()[0]}", err=True)
        sys.exit(1)
    finally:
        session.rollback()


def _moment(raw: str | None, in_zone: ZoneInfo) -> datetime | None:
    return None if raw is None else parse_moment(raw, in_zone)
