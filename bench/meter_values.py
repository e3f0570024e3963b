"""The first benchmark: MeterValues and Heartbeats per second and per processor second, memory per idle connection.

Servers are measured in turns (A B A B …) within one run, because the speed of a shared machine drifts; what counts
is the ratio of the medians, not the absolute figure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.driver import Load, Throughput

ACTIONS = ("MeterValues", "Heartbeat")
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Plan:
    """How much is measured; the defaults take under two minutes for two servers."""

    stations: int = 100
    idle: int = 1000
    rounds: int = 3
    seconds: float = 4.0
    warm_up_s: float = 1.0

    @property
    def station_ids(self) -> list[str]:
        return [f"BENCH-{number:04d}" for number in range(1, self.stations + 1)]

    @property
    def idle_ids(self) -> list[str]:
        return [f"IDLE-{number:05d}" for number in range(1, self.idle + 1)]

    @property
    def tags(self) -> list[str]:
        return [f"BENCHTAG{number:04d}" for number in range(1, self.stations + 1)]


@dataclass
class Result:
    """All that was measured on one server."""

    name: str
    idle_kb: float | None = None
    """Resident KiB per idle, booted connection."""
    opened_per_s: float | None = None
    """Handshake, BootNotification and two StatusNotifications, done per second."""
    windows: dict[str, list[Throughput]] = field(default_factory=dict)
    stored: int | None = None
    """Meter readings that appeared in the database meanwhile; None for a server that stores none."""

    @property
    def acknowledged(self) -> int:
        """MeterValues answered in all windows and around them."""
        return sum(window.acknowledged for window in self.windows.get("MeterValues", []))

    def median(self, action: str, attribute: str) -> float | None:
        """The median over the rounds of one figure of `Throughput`."""
        values = [getattr(window, attribute) for window in self.windows.get(action, [])]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def database_share(self, action: str) -> float | None:
        """Processor seconds of the database per second, median; None without a database."""
        used = [window.cpu_s_per_s.get("database") for window in self.windows.get(action, [])]
        known = [value for value in used if value is not None]
        return statistics.median(known) if known else None


def measure(loads: Sequence[Load], plan: Plan) -> list[Result]:
    """Measure all servers in turns. Raises BenchFailed."""
    results = [Result(load.server.name) for load in loads]
    for load, result in zip(loads, results, strict=True):
        if plan.idle:
            result.idle_kb, result.opened_per_s = measure_idle(load, plan)
    for load in loads:
        load.order("connect", ids=plan.station_ids, tags=plan.tags)
    stored_before = [load.server.stored_readings() for load in loads]
    for _ in range(plan.rounds):
        for action in ACTIONS:
            for load, result in zip(loads, results, strict=True):
                window = load.measure(action, seconds=plan.seconds, warm_up_s=plan.warm_up_s)
                result.windows.setdefault(action, []).append(window)
    for load, result, before in zip(loads, results, stored_before, strict=True):
        after = load.server.stored_readings()
        result.stored = None if before is None or after is None else after - before
    return results


def measure_idle(load: Load, plan: Plan) -> tuple[float | None, float]:
    """Open idle connections, and close them again: KiB each, and how many per second were opened."""
    # The first connections load what any server loads once; they are not what the others cost.
    load.order("open_idle", ids=plan.idle_ids[:20])
    load.order("close_idle")
    time.sleep(_SETTLE_S)
    before_kb = load.server.rss_kb()
    opened = load.order("open_idle", ids=plan.idle_ids)
    time.sleep(_SETTLE_S)
    after_kb = load.server.rss_kb()
    load.order("close_idle")
    time.sleep(_SETTLE_S)
    each_kb = None if before_kb is None or after_kb is None else (after_kb - before_kb) / plan.idle
    return each_kb, plan.idle / opened["seconds"]
