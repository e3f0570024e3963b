"""The figures as a page of Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bench.meter_values import ACTIONS, Plan, Result
from bench.processes import processor_name

Figure = Callable[[Result], float | None]


def page(results: Sequence[Result], plan: Plan) -> str:
    """All results side by side; the last column compares the first server with the last one."""
    names = [result.name for result in results]
    lines = [
        "# Benchmark: meter values, heartbeats, idle connections",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: Python {platform.python_version()}, "
        f"{os.cpu_count()} processors ({processor_name()}), shared with whatever else ran (load average "
        f"{os.getloadavg()[0]:.1f} at the end); everything on loopback.",
        "",
        f"{plan.stations} stations, each with one call in flight; MeterValues of 1 KiB inside a running "
        f"transaction. Medians of {plan.rounds} rounds of {plan.seconds:g} s, the servers in turns. "
        "The reference server is the `ocpp` package's asyncio ChargePoint on `websockets`; it stores nothing. "
        "Ours answers a MeterValues when it is committed to PostgreSQL. Absolute figures drift with "
        "the machine; the ratios are what to look at.",
        "",
        "| | " + " | ".join(names) + (" | ratio |" if len(results) > 1 else " |"),
        "|---|" + "---:|" * (len(names) + (len(results) > 1)),
    ]
    lines += [_row(title, figure, results, form) for title, figure, form in _figures()]
    lines += ["", "Each round, acknowledged per second:", ""]
    for action in ACTIONS:
        for result in results:
            rounds = ", ".join(f"{window.per_s:,.0f}" for window in result.windows.get(action, []))
            lines.append(f"- {action}, {result.name}: {rounds}")
    for result in results:
        if result.stored is not None:
            lines += [
                "",
                f"{result.name}: {result.acknowledged:,} MeterValues acknowledged, {result.stored:,} on disk.",
            ]
    return "\n".join(lines) + "\n"


def _figures() -> list[tuple[str, Figure, str]]:
    figures: list[tuple[str, Figure, str]] = []
    for action in ACTIONS:
        figures += [
            (f"{action} acknowledged per second", _median(action, "per_s"), ",.0f"),
            (f"{action} per CPU second of the server", _median(action, "per_cpu_s"), ",.0f"),
            (
                f"{action} per CPU second, database included",
                _median(action, "per_cpu_s_with_database"),
                ",.0f",
            ),
            (f"database's CPU seconds per second under {action}", _database(action), ".2f"),
        ]
    figures += [
        ("KiB of memory per idle connection", lambda result: result.idle_kb, ".1f"),
        ("stations connected, booted and reported per second", lambda result: result.opened_per_s, ",.0f"),
    ]
    return figures


def _median(action: str, attribute: str) -> Figure:
    return lambda result: result.median(action, attribute)


def _database(action: str) -> Figure:
    return lambda result: result.database_share(action)


def _row(title: str, figure: Figure, results: Sequence[Result], form: str) -> str:
    values = [figure(result) for result in results]
    cells = ["–" if value is None else format(value, form) for value in values]
    if len(values) > 1:
        first, last = values[0], values[-1]
        cells.append("–" if first is None or not last else f"{first / last:.2f}")
    return f"| {title} | " + " | ".join(cells) + " |"
