"""The universal search of the page's header."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Serve it."""
