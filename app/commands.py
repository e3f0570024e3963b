"""The command line of `app/`: `flask --app wsgi …`."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Put every command of the lower floors on the application."""
