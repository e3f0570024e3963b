"""`flask --app wsgi api-token create|list|revoke`."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from flask.cli import with_appcontext

from app.core import api_tokens
from app.core.clock import utcnow
from app.core.db import transaction
from app.core.models import ApiToken
from app.core.sign_in import find_admin


@click.group("api-token")
def api_token_group() -> None:
    """Keys to the API: make, list, revoke."""


def _fail(message: str) -> None:
    click.echo(f"api-token: {message}", err=True)
    sys.exit(1)


@api_token_group.command("create")
@click.option("--admin", "email", required=True, help="The e-mail of the admin whose role the token carries.")
@click.option("--name", required=True, help="What uses the token.")
@click.option(
    "--days", type=click.IntRange(1, 3650), help="After so many days it is worth nothing; never when left out."
)
@with_appcontext
def create(email: str, name: str, days: int | None) -> None:
    """Make a token and print it, this once."""
    now = utcnow()
    key = ""
    try:
        with transaction() as session:
            admin = find_admin(session, email) if "\x00" not in email else None
            if admin is None:
                raise LookupError(f"there is no admin with the e-mail {email}")
            expires_at = now + timedelta(days=days) if days else None
            _, key = api_tokens.create_token(
                session, admin=admin, name=name, actor=None, now=now, expires_at=expires_at
            )
    except (LookupError, api_tokens.InvalidTokenName, api_tokens.AdminNotActive) as error:
        _fail(str(error))
    click.echo(key)


@api_token_group.command("list")
@click.option("--admin", "email", help="Only those of this admin.")
@with_appcontext
def list_tokens(email: str | None) -> None:
    """Print the tokens: id, what is readable of it, status, admin, when last used, name."""
    now = utcnow()
    with transaction() as session:
        admin = find_admin(session, email) if email else None
        if email and admin is None:
            _fail(f"there is no admin with the e-mail {email}")
        for token in api_tokens.tokens(session, admin=admin):
            used = token.last_used_at.isoformat(timespec="minutes") if token.last_used_at else "never used"
            words = (str(token.id), f"{token.prefix}…", api_tokens.status_of(token, now=now), token.admin.email, used)
            click.echo("\t".join((*words, token.name)))


@api_token_group.command("revoke")
@click.argument("token_id", type=int)
@with_appcontext
def revoke(token_id: int) -> None:
    """End the token with this number (see list) at once."""
    try:
        with transaction() as session:
            token = session.get(ApiToken, token_id) if 0 < token_id < 2**63 else None
            if token is None:
                raise LookupError(f"there is no token {token_id}")
            api_tokens.revoke_token(session, token=token, actor=None, now=utcnow())
    except (LookupError, api_tokens.TokenRevokedAlready) as error:
        _fail(str(error))
    click.echo(f"Token {token_id} is revoked.")
