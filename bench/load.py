"""The load generator: stations on raw asyncio, told what to do by lines of JSON on standard input.

A process of its own, so that its work is never counted as the server's. Commands: connect, run, count, pause,
open_idle, close_idle, quit; each is answered by one line of JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from bench.frames import Clock, Heartbeats, MeterValues, call_frame, frame

_SETUP_TIMEOUT_S = 30.0
_HANDSHAKES_AT_ONCE = 50
_HEARTBEATS = Heartbeats()


class Tally:
    """What all stations of this process have had answered."""

    def __init__(self) -> None:
        self.answered = 0
        self.errors = 0
        self.first_error = ""
        self.running: str | None = None
        """The action that is sent in a closed loop; None while paused."""

    def failed(self, why: str) -> None:
        """Count an answer that is none, and keep the first for the report."""
        self.errors += 1
        self.first_error = self.first_error or why[:300]


class StationProtocol(asyncio.Protocol):
    """One station: a handshake, a few calls to get going, then one call in flight for as long as asked."""

    def __init__(self, identifier: str, path: str, host: str, tally: Tally) -> None:
        self.identifier = identifier
        self._path, self._host = path, host
        self._tally = tally
        self._buffer = b""
        self._open = False
        self._number = 10_000_000
        self._waiting: asyncio.Future[Any] | None = None
        self._in_flight = False
        self._meter: MeterValues | None = None
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        error = ConnectionError(f"{self.identifier}: connection lost: {exc or 'closed by the server'}")
        for future in (self.opened, self._waiting):
            if future is not None and not future.done():
                future.set_exception(error)
        if self._in_flight:
            self._tally.failed(str(error))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._open:
            buffer = self._read_handshake(buffer)
        start = 0
        while True:
            end, opcode, body = _next_frame(buffer, start)
            if end == 0:
                break
            start = end
            if opcode == 1:
                self._on_text(body)
            elif opcode == 9:
                self._write(frame(body, 10))
        self._buffer = buffer[start:] if start else buffer

    def _read_handshake(self, buffer: bytes) -> bytes:
        head, end, rest = buffer.partition(b"\r\n\r\n")
        if not end:
            return buffer
        if head.split(b" ", 2)[1] != b"101":
            if not self.opened.done():
                first_line = head.split(b"\r\n", 1)[0].decode()
                self.opened.set_exception(ConnectionError(f"{self.identifier}: refused: {first_line}"))
            return b""
        self._open = True
        if not self.opened.done():
            self.opened.set_result(None)
        return rest

    def _on_text(self, body: bytes) -> None:
        kind = body[:3].lstrip(b"[ ")[:1]
        if kind == b"2":
            message_id = json.loads(body)[1]
            refusal = json.dumps([4, message_id, "NotImplemented", "", {}], separators=(",", ":"))
            self._write(frame(refusal.encode()))
            return
        if kind != b"3" or b"%08d" % self._number not in body[:24]:
            self._tally.failed(body.decode(errors="replace"))
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            if not waiting.done():
                waiting.set_result(json.loads(body))
            return
        self._in_flight = False
        self._tally.answered += 1
        self.send_next()

    def send_next(self) -> None:
        """Send the next frame of the running action, if one is running and none is in flight."""
        action = self._tally.running
        if action is None or self._in_flight:
            return
        self._number += 1
        source = _HEARTBEATS if action == "Heartbeat" else self._meter
        assert source is not None, "MeterValues need a transaction"
        self._in_flight = True
        self._write(source.next(self._number))

    async def call(self, action: str, payload: dict[str, object]) -> Any:
        """Make one call and give its answer's payload. Raises ConnectionError, TimeoutError."""
        self._number += 1
        self._waiting = asyncio.get_running_loop().create_future()
        self._write(call_frame(f"{self._number:08d}", action, payload))
        answer = await asyncio.wait_for(self._waiting, _SETUP_TIMEOUT_S)
        if answer[0] != 3:
            raise ConnectionError(f"{self.identifier}: {action} answered by {answer}")
        return answer[2]

    async def boot(self) -> None:
        """BootNotification and the statuses that follow it."""
        answer = await self.call("BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "Closed loop"})
        if answer["status"] != "Accepted":
            raise ConnectionError(f"{self.identifier}: boot {answer['status']}")
        for connector_id in (0, 1):
            await self.call(
                "StatusNotification",
                {"connectorId": connector_id, "errorCode": "NoError", "status": "Available"},
            )

    async def start_transaction(self, id_tag: str, clock: Clock) -> None:
        """Authorize, StartTransaction and Charging, so that meter values belong to something."""
        authorized = await self.call("Authorize", {"idTag": id_tag})
        if authorized["idTagInfo"]["status"] != "Accepted":
            raise ConnectionError(f"{self.identifier}: tag {id_tag} is {authorized['idTagInfo']['status']}")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        started = await self.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": id_tag, "meterStart": 10_000_000, "timestamp": now},
        )
        if started["idTagInfo"]["status"] != "Accepted":
            raise ConnectionError(f"{self.identifier}: start {started['idTagInfo']['status']}")
        await self.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
        self._meter = MeterValues(started["transactionId"], clock)

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


def _next_frame(buffer: bytes, start: int) -> tuple[int, int, bytes]:
    """Where the next frame ends (0 when incomplete), its opcode, and its payload; servers do not mask."""
    left = len(buffer) - start
    if left < 2:
        return 0, 0, b""
    size, head = buffer[start + 1], 2
    if size == 126:
        if left < 4:
            return 0, 0, b""
        size, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
    end = start + head + size
    if end > len(buffer):
        return 0, 0, b""
    return end, buffer[start] & 0x0F, buffer[start + head : end]


class Generator:
    """Does what the lines on standard input say."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path.rstrip("/")
        self._tally = Tally()
        self._clock = Clock()
        self._stations: list[StationProtocol] = []
        self._idle: list[StationProtocol] = []

    async def _open_all(self, identifiers: list[str], tags: list[str] | None) -> list[StationProtocol]:
        gate = asyncio.Semaphore(_HANDSHAKES_AT_ONCE)

        async def open_one(index: int) -> StationProtocol:
            identifier = identifiers[index]
            async with gate:
                loop = asyncio.get_running_loop()
                _, station = await loop.create_connection(
                    lambda: StationProtocol(
                        identifier, f"{self._path}/{identifier}", f"{self._host}:{self._port}", self._tally
                    ),
                    self._host,
                    self._port,
                )
                await asyncio.wait_for(station.opened, _SETUP_TIMEOUT_S)
                await station.boot()
                if tags is not None:
                    await station.start_transaction(tags[index], self._clock)
                return station

        return list(await asyncio.gather(*(open_one(index) for index in range(len(identifiers)))))

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; gives what is printed in answer."""
        kind = order["do"]
        began_s = time.monotonic()
        if kind == "connect":
            self._stations = await self._open_all(order["ids"], order["tags"])
        elif kind == "open_idle":
            self._idle = await self._open_all(order["ids"], None)
        elif kind == "close_idle":
            for station in self._idle:
                if station.transport is not None:
                    station.transport.abort()
            self._idle = []
        elif kind == "run":
            self._tally.running = order["action"]
            for station in self._stations:
                station.send_next()
        elif kind == "pause":
            self._tally.running = None
            await asyncio.sleep(0.5)
        tally = self._tally
        return {
            "seconds": time.monotonic() - began_s,
            "at_s": time.monotonic(),
            "answered": tally.answered,
            "errors": tally.errors,
            "first_error": tally.first_error,
        }


async def _main(url: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    generator = Generator(url)
    while True:
        line = await reader.readline()
        if not line:
            return
        order = json.loads(line)
        if order["do"] == "quit":
            return
        try:
            answer = await generator.obey(order)
        except (OSError, TimeoutError) as error:
            answer = {"failed": str(error) or type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
