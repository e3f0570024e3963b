"""`flask --app wsgi create-admin`: an admin from the command line, e.g. when everybody is locked out."""

from __future__ import annotations

import secrets
import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from app.core import sign_in
from app.core.db import transaction
from app.core.passwords import WeakPassword


@click.command("create-admin")
@click.option("--email", required=True, help="The e-mail address to sign in with.")
@click.option("--name", default="", help="Shown on screen and in the audit; the e-mail when left out.")
@click.option("--role", default="Super User", show_default=True, help="The name of a role.")
@with_appcontext
def create_admin(email: str, name: str, role: str) -> None:
    """Make an admin. The password is the first line of standard input; from a terminal, one is made and printed."""
    given = "" if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    password = given or secrets.token_urlsafe(15)
    try:
        with transaction() as session:
            admin = sign_in.create_admin(session, email=email, name=name, role=role, password=password, actor=None)
            made = f"{admin.name} <{admin.email}>, {admin.role.name}"
    except (sign_in.EmailTaken, sign_in.InvalidEmail, sign_in.UnknownRole, WeakPassword) as error:
        click.echo(f"create-admin: {error}", err=True)
        sys.exit(1)
    click.echo(f"Made {made}.")
    if not given:
        click.echo(f"Password: {password}")


def register(app: Flask) -> None:
    """Put the command on the application."""
    app.cli.add_command(create_admin)
