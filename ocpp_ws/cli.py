"""Commands that speak OCPP."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Put the gateway's commands on the application."""
