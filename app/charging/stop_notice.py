"""In the gateway's memory: which sessions a reading may have brought to the end of their rules.

A reading costs a comparison, and only for sessions that have rules; no query. What may be over is looked at a moment
later beside the stations' answers, each session once however many readings come meanwhile (``stop_watch.look_at``).
Nothing depends on it: the clock finds the same sessions (``stop_watch.possibly_over``), only later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from app.charging.stop_rules import StopRules, may_be_broken

log = structlog.get_logger(__name__)

#: readings that come within this time of each other are looked at together
GATHER_S = 0.1
#: a session that has been looked at is left to the clock for so long
QUIET = timedelta(seconds=5)
_MOST_AT_ONCE = 200


@dataclass(slots=True)
class Watch:
    """What a session's readings are compared with. ``limit``: the price that stops it, as it was when last read."""

    session_id: int
    started_at: datetime
    rules: StopRules
    limit: Decimal | None
    quiet_until: datetime | None = None

    def heard(self, *, energy_wh: Decimal, now: datetime) -> None:
        """A reading is on disk: have the session looked at if a rule may be broken by it."""
        if self.quiet_until is not None and now < self.quiet_until:
            return
        if may_be_broken(self.rules, self.limit, elapsed=now - self.started_at, energy_wh=energy_wh):
            self.quiet_until = now + QUIET
            _gathered.add(self.session_id)


class _Gathered:
    """Numbers of sessions that wait to be looked at, and the thread that does."""

    def __init__(self) -> None:
        self.look: Callable[[list[int]], object] | None = None
        self._waiting: dict[int, None] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, session_id: int) -> None:
        if self.look is None:
            return
        with self._lock:
            self._waiting[session_id] = None
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="stop-rules", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(GATHER_S)
            with self._lock:
                waiting, self._waiting = list(self._waiting), {}
            for first in range(0, len(waiting), _MOST_AT_ONCE):
                self._look_at(waiting[first : first + _MOST_AT_ONCE])

    def _look_at(self, session_ids: list[int]) -> None:
        look = self.look
        if look is None:
            return
        try:
            look(session_ids)
        except Exception:  # the database may be away: the clock looks at them again
            log.exception("stop_rules.not_looked_at", sessions=len(session_ids))


_gathered = _Gathered()


def serve(look: Callable[[list[int]], object] | None) -> None:
    """Have ``look`` called with the numbers of sessions that may be over, from a thread of its own; None: nobody."""
    _gathered.look = look
