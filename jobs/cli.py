"""Commands of the clockwork."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Put the clockwork's commands on the application."""
