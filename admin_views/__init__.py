"""The operator's screens: one file per menu section, on the hardened base view."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Put every screen on the application."""
