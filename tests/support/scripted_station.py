"""A scripted OCPP 1.6J station for tests: blocking, over a real socket, frame by frame.

It shares nothing with the product and nothing with the `ocpp` package: frames are plain JSON text written
here, so a mistake both sides make alike cannot hide. Nothing happens behind the test's back: no heartbeat,
no retry, no answer to a call of the server unless the test gives one.

    with connect(url, "MODERA-1") as station:
        station.boot()
        started = station.start(connector_id=1, id_tag="04A2", meter_start_wh=1000, at="2026-01-01T10:00:00Z")
        station.stop(started["transactionId"], meter_stop_wh=8400, at="2026-01-01T10:40:00Z")
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket
from websockets.typing import Subprotocol

Payload = dict[str, Any]

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
DEFAULT_TIMEOUT_S = 10.0


class CallFailed(Exception):
    """The server answered a call with a CALLERROR."""

    def __init__(self, action: str, code: Any, description: Any, details: Any) -> None:
        super().__init__(f"{action}: {code}: {description} {details}")
        self.action = action
        self.code = code
        self.description = description
        self.details = details


@dataclass
class ServerCall:
    """A call the server made and waits for; the test says what the station answers."""

    station: ScriptedStation
    message_id: str
    action: str
    payload: Payload

    def answer(self, payload: Payload | None = None, **fields: Any) -> None:
        """Answer with a CALLRESULT; the payload's fields may be given by name."""
        self.station.send_frame([CALL_RESULT, self.message_id, {**(payload or {}), **fields}])

    def fail(self, code: str, description: str = "", details: Payload | None = None) -> None:
        """Answer with a CALLERROR."""
        self.station.send_frame([CALL_ERROR, self.message_id, code, description, details or {}])


@dataclass
class ScriptedStation:
    """One open connection of a station; made by `connect`."""

    identifier: str
    websocket: ClientConnection
    heartbeat_interval_s: int | None = None
    sent: list[Any] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _results: dict[str, list[Any]] = field(default_factory=dict)
    _server_calls: deque[ServerCall] = field(default_factory=deque)

    def __enter__(self) -> ScriptedStation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of the subprotocols that were offered."""
        return self.websocket.subprotocol

    # Frames ---------------------------------------------------------------------------------------

    def send_raw(self, text: str | bytes) -> None:
        """Send anything at all: bytes go as a binary message."""
        self.websocket.send(text)

    def send_frame(self, frame: Sequence[Any]) -> None:
        """Send an OCPP frame as compact JSON."""
        self.sent.append(list(frame))
        self.send_raw(json.dumps(frame, separators=(",", ":")))

    def receive_raw(self, timeout: float = DEFAULT_TIMEOUT_S) -> str | bytes:
        """The next message as it came. Raises TimeoutError, or websockets' ConnectionClosed."""
        return self.websocket.recv(timeout=timeout)

    def _receive_frame(self, timeout: float) -> None:
        """Read one frame and put it where it belongs."""
        frame = json.loads(self.receive_raw(timeout))
        self.received.append(frame)
        if frame[0] == CALL:
            self._server_calls.append(ServerCall(self, frame[1], frame[2], frame[3]))
        else:
            self._results[str(frame[1])] = frame

    # Calls of the station -------------------------------------------------------------------------

    def send_call(self, action: str, payload: Payload | None = None, *, message_id: str | None = None) -> str:
        """Send a CALL without waiting, and give back its message id for `wait_result`."""
        message_id = message_id if message_id is not None else f"{self.identifier}-{next(self._ids)}"
        self.send_frame([CALL, message_id, action, {} if payload is None else payload])
        return message_id

    def wait_result(self, message_id: str, *, action: str = "?", timeout: float = DEFAULT_TIMEOUT_S) -> Payload:
        """Wait for the answer to `message_id`. Raises CallFailed on a CALLERROR and TimeoutError."""
        deadline = time.monotonic() + timeout
        while message_id not in self._results:
            self._receive_frame(_left(deadline, f"no answer to {action} {message_id} within {timeout} s"))
        frame = self._results.pop(message_id)
        if frame[0] == CALL_ERROR:
            raise CallFailed(action, *(frame[2:] + [None] * 3)[:3])
        payload: Payload = frame[2]
        return payload

    def call(
        self,
        action: str,
        payload: Payload | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        message_id: str | None = None,
    ) -> Payload:
        """Make a call and give back the payload of its answer; calls of the server meanwhile are kept."""
        sent_id = self.send_call(action, payload, message_id=message_id)
        return self.wait_result(sent_id, action=action, timeout=timeout)

    # Calls of the server --------------------------------------------------------------------------

    def expect_call(self, action: str, timeout: float = DEFAULT_TIMEOUT_S) -> ServerCall:
        """Wait for the server to call `action`; answer it with `.answer(...)` or `.fail(...)`.

        Calls of another action stay in the queue for a later `expect_call`. Raises TimeoutError.
        """
        deadline = time.monotonic() + timeout
        while True:
            for waiting in self._server_calls:
                if waiting.action == action:
                    self._server_calls.remove(waiting)
                    return waiting
            self._receive_frame(_left(deadline, f"the server did not call {action} within {timeout} s"))

    def expect_silence(self, seconds: float) -> None:
        """Fail if any frame arrives within `seconds`."""
        try:
            frame = self.receive_raw(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {frame!r}")

    def expect_close(self, timeout: float = DEFAULT_TIMEOUT_S) -> int | None:
        """Wait until the server closes the connection; gives the close code. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.receive_raw(_left(deadline, f"the server did not close within {timeout} s"))
        return self.websocket.close_code

    # The messages every story needs ---------------------------------------------------------------

    def boot(self, *, vendor: str = "Scripted", model: str = "One", **fields: Any) -> Payload:
        """BootNotification; further fields by their protocol names, e.g. `firmwareVersion="1.0"`."""
        answer = self.call("BootNotification", {"chargePointVendor": vendor, "chargePointModel": model, **fields})
        self.heartbeat_interval_s = answer.get("interval")
        return answer

    def heartbeat(self) -> Payload:
        return self.call("Heartbeat", {})

    def status(
        self,
        connector_id: int,
        status: str = "Available",
        *,
        error_code: str = "NoError",
        at: str | datetime | None = None,
        **fields: Any,
    ) -> Payload:
        """StatusNotification; without `at` the optional timestamp is left out."""
        payload = {"connectorId": connector_id, "errorCode": error_code, "status": status, **fields}
        if at is not None:
            payload["timestamp"] = stamp(at)
        return self.call("StatusNotification", payload)

    def authorize(self, id_tag: str) -> str:
        """Authorize; gives the status (Accepted, Blocked, Expired, Invalid, ConcurrentTx)."""
        return str(self.call("Authorize", {"idTag": id_tag})["idTagInfo"]["status"])

    def start(
        self,
        connector_id: int,
        id_tag: str,
        *,
        meter_start_wh: int = 0,
        at: str | datetime | None = None,
        **fields: Any,
    ) -> Payload:
        """StartTransaction at the given time (default: now); gives `transactionId` and `idTagInfo`."""
        return self.call(
            "StartTransaction",
            {
                "connectorId": connector_id,
                "idTag": id_tag,
                "meterStart": meter_start_wh,
                "timestamp": stamp(at),
                **fields,
            },
        )

    def meter(
        self,
        connector_id: int,
        transaction_id: int | None,
        energy_wh: float | str | None = None,
        *,
        at: str | datetime | None = None,
        samples: Iterable[Payload] = (),
    ) -> Payload:
        """MeterValues with one set: the energy register in Wh, and any further `samples` as on the wire."""
        sampled = [sample(energy_wh)] if energy_wh is not None else []
        payload: Payload = {
            "connectorId": connector_id,
            "meterValue": [{"timestamp": stamp(at), "sampledValue": [*sampled, *samples]}],
        }
        if transaction_id is not None:
            payload["transactionId"] = transaction_id
        return self.call("MeterValues", payload)

    def stop(
        self,
        transaction_id: int,
        *,
        meter_stop_wh: int,
        at: str | datetime | None = None,
        reason: str | None = None,
        id_tag: str | None = None,
        **fields: Any,
    ) -> Payload:
        """StopTransaction at the given time (default: now); optional fields only when given."""
        payload: Payload = {
            "transactionId": transaction_id,
            "meterStop": meter_stop_wh,
            "timestamp": stamp(at),
            **fields,
        }
        if reason is not None:
            payload["reason"] = reason
        if id_tag is not None:
            payload["idTag"] = id_tag
        return self.call("StopTransaction", payload)

    # The end --------------------------------------------------------------------------------------

    def close(self, *, abruptly: bool = False) -> None:
        """Close the connection: with a close frame, or `abruptly` by a TCP reset and no word before it."""
        if abruptly:
            with contextlib.suppress(OSError):
                # A linger time of zero makes the kernel answer with RST, as after a power cut.
                self.websocket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.websocket.close_socket()
            return
        self.websocket.close()


def connect(
    url: str,
    identifier: str,
    password: str | None = None,
    subprotocols: Sequence[str] | None = ("ocpp1.6",),
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    source: str | None = None,
) -> ScriptedStation:
    """Connect to `url` + "/" + `identifier` (url like ws://127.0.0.1:8000/ocpp).

    HTTP Basic goes along when a password is given; ``source`` is the address to come from. Raises
    websockets' InvalidStatus when the server refuses the handshake (its `.response.status_code` says how).
    """
    all_headers = dict(headers or {})
    if password is not None:
        pair = base64.b64encode(f"{identifier}:{password}".encode()).decode()
        all_headers["Authorization"] = f"Basic {pair}"
    websocket = open_websocket(
        f"{url.rstrip('/')}/{quote(identifier, safe='')}",
        subprotocols=None if subprotocols is None else [Subprotocol(name) for name in subprotocols],
        additional_headers=all_headers,
        compression=None,
        proxy=None,
        open_timeout=timeout,
        ping_interval=None,
        close_timeout=2,
        ssl=tls,
        source_address=(source, 0) if source else None,
    )
    return ScriptedStation(identifier=identifier, websocket=websocket)


def stamp(at: str | datetime | None = None) -> str:
    """A timestamp for the wire: text stays as it is, a datetime becomes UTC with Z, None is now."""
    if isinstance(at, str):
        return at
    moment = datetime.now(UTC) if at is None else at.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sample(
    value: float | str, measurand: str = "Energy.Active.Import.Register", unit: str = "Wh", **fields: Any
) -> Payload:
    """One sampledValue; the value goes as text, as the specification wants."""
    return {"value": str(value), "measurand": measurand, "unit": unit, **fields}


def _left(deadline: float, complaint: str) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(complaint)
    return left
