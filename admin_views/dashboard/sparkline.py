"""A line of numbers as SVG attributes: no style, no script, and a sentence for who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.dashboard.periods import Grain
from app.dashboard.queries import Point

WIDTH = 100
HEIGHT = 30
#: room above the highest point for the line's own width
TOP = 2

_WORDS = {Grain.HOUR: "%H:%M", Grain.DAY: "%Y-%m-%d", Grain.WEEK: "the week of %Y-%m-%d"}


@dataclass(frozen=True, slots=True)
class Sparkline:
    """``line`` and ``area`` are the points of a polyline and of the polygon beneath it."""

    line: str
    area: str
    words: str


def sparkline(points: Sequence[Point], grain: Grain, show: Callable[[Decimal], Any]) -> Sparkline | None:
    """The line through the points, scaled to the highest; None for fewer than two, which make no line."""
    if len(points) < 2:
        return None
    highest = max(points, key=lambda point: point.value)
    scale = float(highest.value) or 1.0
    step = WIDTH / (len(points) - 1)
    pairs = [
        f"{index * step:.2f},{HEIGHT - (HEIGHT - TOP) * float(point.value) / scale:.2f}"
        for index, point in enumerate(points)
    ]
    line = " ".join(pairs)
    lowest = min(points, key=lambda point: point.value)
    words = (
        f"By {grain.value}: highest {show(highest.value)} ({highest.at.strftime(_WORDS[grain])}), "
        f"lowest {show(lowest.value)} ({lowest.at.strftime(_WORDS[grain])})"
    )
    return Sparkline(line, f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}", words)
