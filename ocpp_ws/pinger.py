"""Proof of life: one greenlet pings the quiet connections and closes those that stay silent.

A half-open socket looks healthy until something is written to it, and some stations drop a socket that was idle
for two minutes. Any whole frame counts as life, so a busy connection is never pinged.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import structlog

from ocpp_ws import framing
from ocpp_ws.websocket import StationSocket

MAX_INTERVAL_S = 60.0
_SOCKETS_PER_SLICE = 500
_logger = structlog.get_logger("ocpp_ws.pinger")


class Pinger:
    """Watches every socket given to `add` until `discard`.

    A station that vanished is closed at most `interval_s` + `pong_timeout_s` + one tick after its last frame;
    its `close_code` is then 1011. `send_timeout_s` of the socket's limits should be below `pong_timeout_s`.
    """

    def __init__(
        self,
        *,
        interval_s: float = 45.0,
        pong_timeout_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < interval_s <= MAX_INTERVAL_S:
            raise ValueError(f"the ping interval must be above 0 and at most {MAX_INTERVAL_S} s")
        self.interval_s = interval_s
        self.pong_timeout_s = pong_timeout_s
        self._clock = clock
        self._asked_at: dict[StationSocket, float] = {}
        self._greenlet: gevent.Greenlet | None = None

    def __len__(self) -> int:
        return len(self._asked_at)

    def add(self, socket: StationSocket) -> None:
        """Watch a socket."""
        self._asked_at[socket] = 0.0

    def discard(self, socket: StationSocket) -> None:
        """Stop watching; a socket that is not watched is no mistake."""
        self._asked_at.pop(socket, None)

    def start(self) -> None:
        """Run in a greenlet of its own."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End that greenlet."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def kick_all(self, code: int, reason: str) -> None:
        """Say goodbye to everybody, e.g. with 1012 (service restart) when the process stops."""
        for socket in tuple(self._asked_at):
            socket.kick(code, reason)

    def tick(self) -> None:
        """Look at every socket once: ping the quiet, close the silent."""
        for number, (socket, asked_at) in enumerate(tuple(self._asked_at.items())):
            if number % _SOCKETS_PER_SLICE == _SOCKETS_PER_SLICE - 1:
                gevent.sleep(0)  # thousands of pings must not hold up a heartbeat
            now = self._clock()
            if asked_at > socket.last_frame_at:
                if now - asked_at >= self.pong_timeout_s:
                    socket.kick(framing.INTERNAL_ERROR, "no pong")
                    self.discard(socket)
            elif now - socket.last_frame_at >= self.interval_s and socket.ping() and socket in self._asked_at:
                self._asked_at[socket] = now

    def _run(self) -> None:
        pause_s = min(1.0, self.interval_s / 5, self.pong_timeout_s / 5)
        while True:
            gevent.sleep(pause_s)
            try:
                self.tick()
            except Exception:  # without this greenlet no dead station would ever be noticed again
                _logger.exception("ping round failed")
