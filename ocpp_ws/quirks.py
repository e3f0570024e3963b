"""What this gateway learns of its stations' habits, gathered in memory and handed over every few seconds.

Deviations for the quirk book, models seen for the first time, and clocks that are off. Nobody waits for it, and its
memory is bounded: what has no room is counted and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from prometheus_client import Counter
from sqlalchemy.orm import Session

from app.charging.upkeep import deviations, station_clock
from app.charging.upkeep.deviations import Make, Seen
from app.charging.upkeep.station_clock import ClockWatch
from app.core.clock import utcnow
from ocpp_ws.codec import Deviation
from ocpp_ws.timestamps import parse_timestamp

DEVIATIONS = Counter("sync_station_deviations_total", "Messages put right by a rule", ["rule"])
FORGOTTEN = Counter("sync_station_deviations_dropped_total", "Deviations the quirk book had no room for in memory")

MAX_LINES = 20_000
MAX_MODELS = 5_000
BATCH = 500
CLOCK_EVERY = timedelta(seconds=5)
_EXAMPLE_CHARS = 255

Transact = Callable[[Callable[[Session], Any]], Any]
_Item = TypeVar("_Item")


@dataclass(slots=True, eq=False)
class Heard:
    """What is remembered of one connection: whose make the station is, its clock, statuses nobody could read."""

    make: Make | None = None
    clock: ClockWatch | None = None
    #: time stamps before then are not looked at: a clock does not change with each reading
    clock_next_at: datetime | None = None
    #: by network id, the last word that was no status: said again and again, it is logged once
    unreadable: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Line:
    charge_point_id: int
    example: str
    messages: int = 0


class QuirkMemory:
    """One per gateway."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        #: by make (or charge point, when its make is not known here), action, rule and path
        self._lines: dict[tuple[Make | int, str, str, str], _Line] = {}
        self._models: set[tuple[str, str]] = set()
        self._new_models: set[tuple[str, str]] = set()
        self._clocks: dict[int, int] = {}

    def note(self, heard: Heard, charge_point_id: int, action: str, found: Sequence[Deviation]) -> None:
        """Count the deviations of one message. A boot's are those of the make it is about to tell."""
        make: Make | int = charge_point_id if heard.make is None or action == "BootNotification" else heard.make
        for deviation in found:
            key = (make, action, deviation.rule, deviation.path[:_EXAMPLE_CHARS])
            line = self._lines.get(key)
            if line is None:
                if len(self._lines) >= MAX_LINES:
                    FORGOTTEN.inc()
                    continue
                line = self._lines[key] = _Line(charge_point_id, deviation.detail[:_EXAMPLE_CHARS])
            line.messages += 1

    def note_make(self, heard: Heard, make: Make) -> None:
        """A station has told what it is."""
        heard.make, heard.clock, heard.clock_next_at = make, None, None
        model = (make.vendor, make.model)
        if model not in self._models and len(self._models) < MAX_MODELS:
            self._models.add(model)
            self._new_models.add(model)

    def note_clock(self, heard: Heard, charge_point_id: int, stamp: str | None, arrived: datetime) -> None:
        """A message that is sent as it happens had this time stamp."""
        if not stamp or (heard.clock_next_at is not None and arrived < heard.clock_next_at):
            return
        heard.clock_next_at = arrived + CLOCK_EVERY
        try:
            reported = parse_timestamp(stamp)
        except ValueError:
            return
        if heard.clock is None:
            heard.clock = ClockWatch()
        offset_s = heard.clock.observe(reported, arrived)
        if offset_s is not None:
            self._clocks[charge_point_id] = offset_s

    def flush(self) -> None:
        """Hand over what was gathered. Raises what the database raises; the rest of that round is lost."""
        lines, self._lines = self._lines, {}
        models, self._new_models = self._new_models, set()
        clocks, self._clocks = self._clocks, {}
        now = utcnow()
        for (_, _, rule, _), line in lines.items():
            DEVIATIONS.labels(rule).inc(line.messages)
        if models:
            try:
                self._transact(lambda session: deviations.record_models(session, models))
            except Exception:  # whatever it was, it is raised again
                self._models -= models  # its next boot tells it again
                raise
        for some in _chunks(list(clocks.items())):
            self._transact(partial(station_clock.record_offsets, offsets_s=dict(some)))
        seen = [
            Seen(
                charge_point_id=line.charge_point_id,
                make=None if isinstance(make, int) else make,
                action=action,
                rule=rule,
                path=path,
                example=line.example,
                messages=line.messages,
            )
            for (make, action, rule, path), line in lines.items()
        ]
        for batch in _chunks(seen):
            self._transact(partial(deviations.record, seen=batch, now=now))


def _chunks(items: list[_Item]) -> Iterator[list[_Item]]:
    """In parts that keep no row locked for long."""
    rest = iter(items)
    while part := list(islice(rest, BATCH)):
        yield part
