"""A fleet of simulated OCPP 1.6J and 2.0.1 charge points: for demonstrations, tests, and trying a server out."""

from ocpp_ws.simulator.config import EvseSpec, FleetConfig, Mishap, StationSpec, demo_mishaps
from ocpp_ws.simulator.fleet import Fleet, FleetStats, run, run_fleet
from ocpp_ws.simulator.makes import DEFAULT_MAKE, MAKES, Make, draw_make

__all__ = [
    "DEFAULT_MAKE",
    "MAKES",
    "EvseSpec",
    "Fleet",
    "FleetConfig",
    "FleetStats",
    "Make",
    "Mishap",
    "StationSpec",
    "demo_mishaps",
    "draw_make",
    "run",
    "run_fleet",
]
