"""The command line of `app/`: `flask --app wsgi …`."""

from __future__ import annotations

from flask import Flask

from app.analytics.cli import rollups_command
from app.audit_money.cli import audit_money_command
from app.charging.cli import command_command, price_command
from app.core.cli import api_token_group
from app.exports import cli as exports
from app.provisioning import cli as provisioning
from app.search.cli import search_command


def register(app: Flask) -> None:
    """Put every command of the lower floors on the application."""
    provisioning.register(app)
    exports.register(app)
    app.cli.add_command(price_command)
    app.cli.add_command(command_command)
    app.cli.add_command(api_token_group)
    app.cli.add_command(audit_money_command)
    app.cli.add_command(rollups_command)
    app.cli.add_command(search_command)
