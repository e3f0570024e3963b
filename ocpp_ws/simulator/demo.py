"""The demo's simulator process (ROLE=simulator): its stations over real sockets, its drivers kept solvent."""

from __future__ import annotations

import asyncio

import structlog
from flask import Flask

from app.core.clock import utcnow
from app.core.config import Config
from app.core.db import transaction
from app.demo import DemoStation, demo_stations, top_up_low_balances
from ocpp_ws.simulator.config import EvseSpec, FleetConfig, Nameplate, StationSpec, demo_mishaps
from ocpp_ws.simulator.fleet import Fleet, stop_on_signals
from ocpp_ws.simulator.makes import Version, make_speaking

log = structlog.get_logger("ocpp_ws.simulator")

#: livelier than a street, so that something happens while one looks, and still believable
TIME_SCALE = 8.0
METER_INTERVAL_S = 15
TOP_UP_EVERY_S = 60.0


def run(app: Flask, config: Config) -> int:
    """Run the demo's fleet against the server on this machine until SIGTERM or Ctrl-C. Returns the exit status."""
    with app.app_context(), transaction() as session:
        stations = demo_stations(session, secret_key=app.config["SECRET_KEY"])
    if not stations:
        log.info("simulator.nothing_to_run", why="this database was not filled by the demo")
    asyncio.run(_live(app, fleet_config(stations, config.port)))
    return 0


def fleet_config(stations: list[DemoStation], port: int) -> FleetConfig:
    """The demo's stations as the simulator takes them."""
    specs = [_spec(station) for station in stations]
    return FleetConfig(
        url=f"ws://127.0.0.1:{port}/ocpp",
        stations=specs,
        time_scale=TIME_SCALE,
        meter_interval_s=METER_INTERVAL_S,
        mishaps=demo_mishaps(specs),
    )


def _spec(station: DemoStation) -> StationSpec:
    """A station as the simulator takes it, of a make that speaks the protocol it is stored with."""
    version: Version = "ocpp2.0.1" if station.protocol == "ocpp2.0.1" else "ocpp1.6"
    return StationSpec(
        station.identifier,
        station.password,
        make_speaking(station.make, version).key,
        [EvseSpec(e.network_id, "DC" if e.kind == "DC" else "AC", e.max_power_w) for e in station.evses],
        station.id_tags,
        Nameplate(station.vendor[:20], station.model[:20], station.firmware[:50]),
    )


async def _live(app: Flask, config: FleetConfig) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    fleet = asyncio.create_task(Fleet(config).run(stop)) if config.stations else None
    while not stop.is_set():
        await asyncio.to_thread(_top_up, app)
        try:
            await asyncio.wait_for(stop.wait(), TOP_UP_EVERY_S)
        except TimeoutError:
            continue
    if fleet is not None:
        await fleet


def _top_up(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        top_up_low_balances(session, now=utcnow())
