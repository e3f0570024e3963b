"""The command line of `app/`: `flask --app wsgi …`."""

from __future__ import annotations

from flask import Flask

from app.charging.cli import price_command


def register(app: Flask) -> None:
    """Put every command of the lower floors on the application."""
    from app.provisioning import cli as provisioning

    provisioning.register(app)
    app.cli.add_command(price_command)
