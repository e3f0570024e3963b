"""How a station holds its connection: connecting, back-off, boot, heartbeats, and sending what waits."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote

from ocpp.exceptions import OCPPError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ocpp_ws.simulator.conversation import Client, ConnectionLost, Wire
from ocpp_ws.simulator.outbox import Message
from ocpp_ws.simulator.station import Station, utc_now

log = logging.getLogger("ocpp_ws.simulator")

_OPEN_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 0.5
_DEFAULT_HEARTBEAT_S = 300.0
_BOOT_RETRY_S = 30.0
_SPREAD_PER_STATION_S = 0.004
_MOST_SPREAD_S = 10.0


class Link:
    """Keeps one station connected for as long as it has power; never gives up."""

    def __init__(self, station: Station, gate: asyncio.Semaphore) -> None:
        self._station = station
        self._config = station.config
        self._gate = gate
        """Lets only some stations of the fleet shake hands at a time."""
        self._failures = 0

    async def run(self) -> None:
        """Connect, talk, and connect again, until cancelled."""
        station = self._station
        spread_s = min(_MOST_SPREAD_S, _SPREAD_PER_STATION_S * len(self._config.stations))
        await asyncio.sleep(station.rng.uniform(0.0, spread_s))
        while True:
            await self._wait_until_able()
            station.attempts += 1
            try:
                async with self._gate:
                    socket = await self._open()
            except (OSError, TimeoutError, WebSocketException) as error:
                self._failed(_in_words(error))
            else:
                await self._converse(socket)
            await asyncio.sleep(self._backoff_s())

    async def _wait_until_able(self) -> None:
        """Wait for power, and for the end of a planned absence."""
        station = self._station
        while True:
            await station.power.wait()
            left_s = station.away_until_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    def _failed(self, why: str) -> None:
        station = self._station
        if why != station.last_failure:
            log.warning("%s could not connect: %s", station.identifier, why)
        station.last_failure = why
        self._failures += 1

    def _backoff_s(self) -> float:
        """Doubling from the first pause to the longest, each times 0.5 to 1.5 by chance."""
        first_s, most_s = self._config.reconnect_first_s, self._config.reconnect_most_s
        return min(most_s, first_s * 2.0 ** min(self._failures, 16)) * self._station.rng.uniform(0.5, 1.5)

    async def _open(self) -> ClientConnection:
        """The websocket handshake. Raises OSError, TimeoutError and websockets' WebSocketException."""
        station = self._station
        headers = {}
        if station.password is not None:
            pair = base64.b64encode(station.identifier.encode() + b":" + station.password)
            headers["Authorization"] = f"Basic {pair.decode()}"
        return await connect(
            f"{self._config.url.rstrip('/')}/{quote(station.identifier, safe='')}",
            subprotocols=[Subprotocol(name) for name in station.speech.offered(station)],
            additional_headers=headers,
            user_agent_header=None,
            # Real stations know neither compression nor proxies, and 1,000 inflaters are 300 MB.
            compression=None,
            proxy=None,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=station.configuration.seconds("WebSocketPingInterval") or None,
            ping_timeout=30,
            max_queue=4,
        )

    async def _converse(self, socket: ClientConnection) -> None:
        """Everything between the handshake and the end of the connection."""
        station = self._station
        if socket.subprotocol is None:
            self._failed(f"the server did not agree to {station.speech.label}")
            await socket.close(1002)
            return
        station.connection = socket
        client = station.speech.client(station, Wire(socket, station.make.quirks))
        try:
            await _until_first_ends(client.serve(), self._live(client))
        except (ConnectionClosed, ConnectionLost) as closed:
            log.info("%s: connection ended: %s", station.identifier, closed)
        finally:
            station.client = None
            station.connection = None
            station.outbox.forget_passing()
            await socket.close(1001)
        if not station.booted:
            self._failures += 1

    async def _live(self, client: Client) -> None:
        """Boot, report, and then heartbeats and messages until the connection ends."""
        station = self._station
        quirks = station.make.quirks
        if not station.booted or quirks.boots_after_outage:
            if quirks.status_before_boot:
                for evse in station.evses.values():
                    for payload in station.speech.statuses(station, evse, utc_now()):
                        await self._ask_once(client, payload)
            await self._boot(client)
        station.booted = True
        station.was_connected = True
        station.last_failure = ""
        self._failures = 0
        station.client = client
        station.report_everything()
        await _until_first_ends(self._beat(client), self._send(client))

    async def _boot(self, client: Client) -> None:
        """BootNotification until the server accepts it (OCPP 1.6, 4.2)."""
        station = self._station
        while True:
            answer = await self._ask_once(client, station.speech.boot(station))
            interval_s = float(getattr(answer, "interval", 0) or 0)
            if answer is not None and answer.status == "Accepted":
                station.configuration.set("HeartbeatInterval", f"{interval_s or _DEFAULT_HEARTBEAT_S:g}")
                return
            await asyncio.sleep(interval_s or _BOOT_RETRY_S)

    async def _beat(self, client: Client) -> None:
        """Heartbeats at the interval the server gave, or changed since."""
        station = self._station
        while True:
            station.heartbeat_changed.clear()
            interval_s = station.configuration.seconds("HeartbeatInterval") or _DEFAULT_HEARTBEAT_S
            try:
                await asyncio.wait_for(station.heartbeat_changed.wait(), interval_s)
            except TimeoutError:
                await self._ask_once(client, station.speech.heartbeat())

    async def _send(self, client: Client) -> None:
        """Send what waits, in order; a transaction message stays until answered or tried often enough."""
        station = self._station
        outbox = station.outbox
        while True:
            message = await outbox.head()
            try:
                answer = await client.ask(message.request())
            except (OCPPError, TimeoutError, TypeError) as error:
                log.info("%s: the server failed on a message: %s", station.identifier, error)
                message.attempts += 1
                if self._is_worth_repeating(message):
                    retry_s = station.configuration.seconds("TransactionMessageRetryInterval")
                    await asyncio.sleep(retry_s * message.attempts)
                else:
                    outbox.done(message)
            else:
                outbox.done(message)
                if message.answered is not None:
                    message.answered(answer)

    def _is_worth_repeating(self, message: Message) -> bool:
        attempts = self._station.configuration.seconds("TransactionMessageAttempts")
        return message.lasting and message.attempts < attempts

    async def _ask_once(self, client: Client, payload: Any) -> Any:
        """Ask, and shrug when the server fails on it: gives None then."""
        try:
            return await client.ask(payload)
        except (OCPPError, TimeoutError, TypeError) as error:
            log.info("%s: %s: %s", self._station.identifier, type(payload).__name__, error)
            return None


async def _until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, cancel the others, and raise what the first one raised."""
    tasks = [asyncio.ensure_future(piece) for piece in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def _in_words(error: Exception) -> str:
    """Why a handshake failed, for an operator."""
    if isinstance(error, InvalidStatus):
        code = error.response.status_code
        hint = {401: " (wrong password?)", 404: " (does the server know this station?)"}.get(code, "")
        return f"the server refused with HTTP {code}{hint}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused (is the server running?)"
    return str(error) or type(error).__name__
