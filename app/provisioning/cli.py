"""`flask --app wsgi provision FILE.yaml [--dry-run]`."""

from __future__ import annotations

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import utcnow
from app.core.db import db
from app.provisioning import ProvisioningError, provision


def register(app: Flask) -> None:
    """Put the command on the application."""
    app.cli.add_command(provision_command)


@click.command("provision")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Check the file and say what would change, without changing it.")
@with_appcontext
def provision_command(file: str, dry_run: bool) -> None:
    """Create or update whatever FILE (YAML; - for standard input) names, all of it or nothing.

    A mistake is reported as "path in the file: what is wrong"; then nothing is changed.
    """
    text = _read(file)
    session = db.session()
    try:
        result = provision(session, text=text, secret_key=current_app.config["SECRET_KEY"], actor=None, now=utcnow())
        if dry_run:
            session.rollback()
        else:
            session.commit()
    except ProvisioningError as error:
        session.rollback()
        for line in error.mistakes:
            click.echo(line, err=True)
        raise click.exceptions.Exit(1) from None
    except SQLAlchemyError as error:
        session.rollback()
        raise click.ClickException(f"the database: {str(error).splitlines()[0]}") from error
    for line in result.lines():
        click.echo(line)
    if dry_run:
        click.echo("dry run: nothing was changed")


def _read(file: str) -> str:
    try:
        with click.open_file(file, "rb") as stream:
            return bytes(stream.read()).decode("utf-8-sig")
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is not UTF-8 text, see byte {error.start}") from None
