"""`flask --app wsgi search`: whether search finds everything, and make it so."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from app.core.db import allow_minutes, transaction
from app.search.kinds import Kind
from app.search.upkeep import differences, rebuild

_MINUTES = 120


@click.command("search")
@click.option("--check", is_flag=True, help="Compare what is searched with the records; exits with 1 on a difference.")
@click.option("--rebuild", "anew", is_flag=True, help="Write everything that is searched anew.")
@with_appcontext
def search_command(check: bool, anew: bool) -> None:
    """Look after the documents of the universal search. They are kept by the database: this is for after a restore."""
    if not (check or anew):
        raise click.UsageError("Say --check or --rebuild.")
    wrong = 0
    for kind in Kind:
        name = kind.name.lower().replace("_", " ")
        with transaction() as session:
            allow_minutes(session, _MINUTES)
            if anew:
                click.echo(f"{name}: {rebuild(session, kind):,} written")
            if check:
                found = differences(session, kind)
                wrong += found
                click.echo(f"{name}: {found:,} differences")
    if wrong:
        sys.exit(1)
