"""The whole fleet in one event loop: start it, watch it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from ocpp_ws.simulator.config import FleetConfig, Mishap
from ocpp_ws.simulator.link import Link
from ocpp_ws.simulator.station import Station
from ocpp_ws.simulator.visits import receive_visitors

log = logging.getLogger("ocpp_ws.simulator")

_LAST_WORDS_S = 1.1
"""For the StopTransactions of running charges when the simulation ends."""
_CLOSING_S = 0.5


@dataclass(frozen=True, slots=True)
class FleetStats:
    """How the fleet is doing at this moment."""

    stations: int
    connected: int
    """Connected and accepted."""
    charging: int
    """EVSEs with a running charge."""
    delivered_wh: float
    """Since the start of the simulation."""
    ever_connected: int
    attempts: int
    last_failure: str
    """Of any station that is not connected; empty when there is none."""


class Fleet:
    """The simulated stations of one configuration."""

    def __init__(self, config: FleetConfig) -> None:
        self.config = config
        cards_in_use: set[str] = set()
        self.stations = {spec.identifier: Station(spec, config, cards_in_use) for spec in config.stations}

    async def run(self, stop_event: asyncio.Event) -> None:
        """Simulate until `stop_event` is set, then end within two seconds."""
        gate = asyncio.Semaphore(self.config.connects_at_once)
        links, street = [], []
        for station in self.stations.values():
            links.append(_start(station, Link(station, gate).run()))
            street += [_start(station, receive_visitors(station, evse)) for evse in station.evses.values()]
        for mishap in self.config.mishaps:
            station = self.stations[mishap.identifier]
            street.append(_start(station, _suffer(station, mishap)))
        try:
            await stop_event.wait()
        finally:
            await self._end(links, street)

    async def _end(self, links: list[asyncio.Task[None]], street: list[asyncio.Task[None]]) -> None:
        await _cancel(street, timeout_s=0.2)
        for station in self.stations.values():
            station.switch_off()
        waiting = [station for station in self.stations.values() if station.is_online and len(station.outbox)]
        await asyncio.gather(*(station.outbox.drained(_LAST_WORDS_S) for station in waiting))
        await _cancel(links, timeout_s=_CLOSING_S)
        for station in self.stations.values():
            station.hang_up(abruptly=True)

    def stats(self) -> FleetStats:
        """How it stands now."""
        stations = self.stations.values()
        return FleetStats(
            stations=len(self.stations),
            connected=sum(station.is_online for station in stations),
            charging=sum(evse.charge is not None for station in stations for evse in station.evses.values()),
            delivered_wh=sum(station.delivered_wh for station in stations),
            ever_connected=sum(station.was_connected for station in stations),
            attempts=sum(station.attempts for station in stations),
            last_failure=next((station.last_failure for station in stations if station.last_failure), ""),
        )


async def run_fleet(config: FleetConfig, stop_event: asyncio.Event) -> None:
    """Simulate a fleet in the running event loop until `stop_event` is set; ends within two seconds then."""
    await Fleet(config).run(stop_event)


def run(config: FleetConfig) -> None:
    """Simulate a fleet until SIGINT or SIGTERM; to be called in a process's main thread."""
    asyncio.run(_run_until_signal(config))


async def _run_until_signal(config: FleetConfig) -> None:
    stop_event = asyncio.Event()
    stop_on_signals(stop_event)
    await run_fleet(config, stop_event)


def stop_on_signals(stop_event: asyncio.Event) -> None:
    """Set `stop_event` on SIGINT and SIGTERM; a second signal ends the process the hard way."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stop_event.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _start(station: Station, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(_alone(station, work))


async def _alone(station: Station, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # a mistake in the simulation of one station must not end the others
        log.exception("%s: the simulation of this station failed", station.identifier)


async def _suffer(station: Station, mishap: Mishap) -> None:
    """Let one planned mishap happen, as often as planned."""
    await asyncio.sleep(station.pace(mishap.starts_after_s))
    while True:
        lasts_s = station.pace(mishap.lasts_s)
        if mishap.kind == "fault":
            station.break_down(mishap.network_id)
            await asyncio.sleep(lasts_s)
            station.repair(mishap.network_id)
        else:
            station.drop_off(lasts_s)
            await asyncio.sleep(lasts_s)
        if mishap.repeats_every_s is None:
            return
        await asyncio.sleep(station.pace(max(1.0, mishap.repeats_every_s - mishap.lasts_s)))


async def _cancel(tasks: Iterable[asyncio.Task[None]], *, timeout_s: float) -> None:
    listed = list(tasks)
    for task in listed:
        task.cancel()
    if listed:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(listed, timeout=timeout_s)
