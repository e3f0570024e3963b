"""The command line of `app/`: `flask --app wsgi …`."""

from __future__ import annotations

from flask import Flask

from app.charging.cli import price_command
from app.exports import cli as exports
from app.provisioning import cli as provisioning


def register(app: Flask) -> None:
    """Put every command of the lower floors on the application."""
    provisioning.register(app)
    exports.register(app)
    app.cli.add_command(price_command)
