"""Commands of the clockwork and of the schema."""

from __future__ import annotations

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.core import schema


@click.command("upgrade-schema")
@with_appcontext
def upgrade_schema() -> None:
    """Bring the database to the newest schema. Every start does it too; this is for deployments."""
    schema.upgrade(current_app.config["MIGRATION_DATABASE_URL"])
    click.echo(f"the schema is at {schema.current(current_app.config['MIGRATION_DATABASE_URL'])}")


def register(app: Flask) -> None:
    """Put the commands on the application."""
    app.cli.add_command(upgrade_schema)
