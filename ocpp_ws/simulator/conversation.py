"""One connection of a station, in any version of OCPP: asking, and answering while it waits for answers.

The package reads and answers strictly one after the other; here every call of the server is answered in its
own task, because a station may well call the server before it answers it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ocpp.routing import on
from websockets.asyncio.client import ClientConnection

from ocpp_ws.simulator.quirks import Quirks, rewrite_frame

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station

ANSWER_TIMEOUT_S = 30

# The package logs each frame, and a traceback for each action without a handler: of interest to no operator.
_frame_log = logging.getLogger("ocpp_ws.simulator.frames")
_frame_log.setLevel(logging.CRITICAL)

Handler = TypeVar("Handler", bound=Callable[..., Any])

_afterwards: ContextVar[list[Callable[[], None]]] = ContextVar("afterwards")


def answers(action: str) -> Callable[[Handler], Handler]:
    """The package's `on`, with a type."""
    return cast(Callable[[Handler], Handler], on(action))


def after_answer(action: Callable[[], None]) -> None:
    """From within a handler: do this once the answer is on its way."""
    _afterwards.get().append(action)


class ConnectionLost(Exception):
    """The connection ended while the station waited for an answer."""


class Wire:
    """A websocket as the `ocpp` package wants it, which sends frames the way the make does."""

    def __init__(self, socket: ClientConnection, quirks: Quirks) -> None:
        self._socket = socket
        self._quirks = quirks

    async def send(self, text: str) -> None:
        """Send one frame. Raises websockets' ConnectionClosed."""
        await self._socket.send(rewrite_frame(text, self._quirks) if self._quirks.rewrites_frames else text)

    async def recv(self) -> str | bytes:
        """Receive one frame. Raises websockets' ConnectionClosed."""
        return await self._socket.recv()


class Client(Protocol):
    """What a connection can do for its station."""

    async def ask(self, payload: Any) -> Any:
        """Make a call and give back the package's typed answer."""

    async def serve(self) -> None:
        """Read until the connection ends."""


class Conversation:
    """Beside a ChargePoint of the `ocpp` package: what it does differently, whatever the version."""

    id: str
    call: Callable[..., Any]
    route_message: Callable[..., Any]

    def __init__(self, station: Station, wire: Wire) -> None:
        # the package's ChargePoint, which stands behind this class
        super().__init__(station.identifier, wire, response_timeout=ANSWER_TIMEOUT_S, logger=_frame_log)  # type: ignore[call-arg]
        self._station = station
        self._wire = wire
        self._answering: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        if station.make.quirks.counts_message_ids:
            self._unique_id_generator = itertools.count(1).__next__

    async def ask(self, payload: Any) -> Any:
        """Make a call and give back the package's typed answer.

        Not checked against the schema: some makes are not meant to pass. Raises OCPPError for a CALLERROR,
        TimeoutError, ConnectionLost, websockets' ConnectionClosed, and TypeError for an answer with other fields
        than the specification's.
        """
        asking = asyncio.ensure_future(self.call(payload, suppress=False, skip_schema_validation=True))
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionLost(f"{self.id}: no answer before the connection ended")
            return asking.result()
        finally:
            asking.cancel()
            ending.cancel()

    async def serve(self) -> None:
        """Read until the connection ends. Raises websockets' ConnectionClosed."""
        try:
            while True:
                text = await self._wire.recv()
                if text[:8].lstrip()[:2] in ("[2", b"[2"):
                    task = asyncio.create_task(self._answer(text))
                    self._answering.add(task)
                    task.add_done_callback(self._answered)
                else:
                    await self.route_message(text)
        finally:
            self._ended.set()
            for task in self._answering:
                task.cancel()

    async def _answer(self, text: str | bytes) -> None:
        followups: list[Callable[[], None]] = []
        _afterwards.set(followups)
        await self.route_message(text)
        for followup in followups:
            followup()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The connection went while we answered; the reader notices that by itself.
            _frame_log.debug("%s: could not answer: %s", self.id, task.exception())
