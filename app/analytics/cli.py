"""`flask --app wsgi rollups [--check | --rebuild]`: the numbers that dashboard and reports stand on."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.analytics import reconcile, upkeep
from app.analytics.models import Check, Generation, GenerationStatus
from app.core.clock import utcnow
from app.core.db import transaction


@click.command("rollups")
@click.option("--check", is_flag=True, help="Compare every day with the sessions; differences are listed and repaired.")
@click.option("--rebuild", is_flag=True, help="Compute everything anew beside what is in use, then take it into use.")
@with_appcontext
def rollups_command(check: bool, rebuild: bool) -> None:
    """How the daily numbers of sessions stand. They are kept by themselves; docs/operations/rollups.md.

    Exit status 1 when --check has found differences, even though they are repaired.
    """
    try:
        if rebuild:
            number = upkeep.rebuild(transaction, clock=utcnow)
            click.echo(f"generation {number} has been built and is in use")
        differences = _check() if check else 0
        if not (check or rebuild):
            _say_how_it_stands()
    except SQLAlchemyError as error:
        click.echo(f"rollups: the database: {str(getattr(error, 'orig', error)).splitlines()[0]}", err=True)
        sys.exit(1)
    if differences:
        sys.exit(1)


def _check() -> int:
    upkeep.keep_up(transaction, clock=utcnow)
    found = reconcile.reconcile(transaction, clock=utcnow)
    if found is None:
        click.echo("no generation is in use yet: it is still being built")
        return 0
    click.echo(
        f"{found.days} days compared, {found.differences} differences{' (repaired)' if found.differences else ''}"
    )
    for line in _examples(found):
        click.echo(line)
    return found.differences


def _examples(found: Check) -> list[str]:
    lines = [
        f"  {example['day']}: {'totals of the day' if example.get('totals') else 'EVSE ' + str(example['evse_id'])}"
        for example in found.examples
    ]
    more = found.differences - len(lines)
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _say_how_it_stands() -> None:
    with transaction() as session:
        for generation in session.scalars(select(Generation).order_by(Generation.id)):
            words = f"generation {generation.id} ({generation.zone}): {generation.status.label.lower()}"
            if generation.status is GenerationStatus.BUILDING:
                words += f", done before {generation.built_until}, up to {generation.last_day}"
            click.echo(words)
        click.echo(f"{upkeep.waiting(session)} marks wait to be worked off")
        last = reconcile.last_check(session)
        if last is not None:
            click.echo(f"last compared {last.ended_at:%Y-%m-%d %H:%M} UTC: {last.differences} differences")
