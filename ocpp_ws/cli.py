"""Commands that speak OCPP."""

from __future__ import annotations

from flask import Flask

from ocpp_ws.simulator.cli import simulate


def register(app: Flask) -> None:
    """Put the gateway's commands on the application."""
    app.cli.add_command(simulate)
