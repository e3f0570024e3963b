"""What the transport tests have in their hands: the gateway as a process, and a station that can misbehave."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

MASK = b"\x37\xfa\x21\x3d"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    """A frame as received from the server."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes


def xor(data: bytes, mask: bytes = MASK) -> bytes:
    """Mask by the letter of RFC 6455, 5.3."""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def encode(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A client's frame, well-formed or not."""
    size = len(payload)
    first = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    bit = 0x80 if masked else 0
    if size < 126:
        head = first + bytes((bit | size,))
    elif size < 65536:
        head = first + bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head = first + bytes((bit | 127,)) + size.to_bytes(8, "big")
    return head + (MASK + xor(payload) if masked else payload)


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Payload of a close frame."""
    return code.to_bytes(2, "big") + reason


class RawStation:
    """A TCP socket, a handshake and frames written by hand."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> RawStation:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self.sock.sendall(data)

    def send(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        """One frame: see `encode`."""
        self.write(encode(opcode, payload, **how))

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; raises EOFError at the end of the stream."""
        while len(self._buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def read_head(self) -> str:
        """An HTTP head."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        return head.decode("latin-1")

    def read_frame(self) -> Frame:
        """One frame; a server's frames are never masked (RFC 6455, 5.1)."""
        first, second = self.read(2)
        assert not second & 0x80
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
        return Frame(bool(first & 0x80), first >> 4 & 7, first & 0x0F, self.read(size))

    def read_text(self) -> str:
        """The next frame, which must be a whole, uncompressed text message."""
        frame = self.read_frame()
        assert frame[:3] == (True, 0, TEXT), frame
        return frame.payload.decode()

    def read_close(self) -> tuple[int | None, bytes]:
        """The next frame, which must be a close frame: its status and reason."""
        frame = self.read_frame()
        assert frame.opcode == CLOSE, frame
        if not frame.payload:
            return None, b""
        return int.from_bytes(frame.payload[:2], "big"), frame.payload[2:]

    def assert_ended(self, within_s: float = 5.0) -> None:
        """The server must close the TCP connection without another frame."""
        self.sock.settimeout(within_s)
        try:
            rest = self._buffer + self.sock.recv(65536)
        except ConnectionResetError:
            rest = self._buffer
        assert rest == b""

    def upgrade(
        self, path: str, *, protocols: str | None = "ocpp1.6", headers: tuple[str, ...] = (), key: str = KEY
    ) -> str:
        """Send an upgrade request and return the head of the answer."""
        self.write(upgrade_request(path, protocols=protocols, headers=headers, key=key))
        return self.read_head()


def upgrade_request(
    path: str, *, protocols: str | None = "ocpp1.6", headers: tuple[str, ...] = (), key: str = KEY
) -> bytes:
    """The usual request of a station."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: gateway",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *([f"Sec-WebSocket-Protocol: {protocols}"] if protocols is not None else []),
        *headers,
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


class Gateway:
    """`echo_server` in its own process."""

    log = ""

    def __init__(self, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ocpp.echo_server", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self.stop())
        self.port = int(line)

    def stop(self) -> str:
        """End the process; what it wrote to standard error. `log` then has its standard output."""
        try:
            output, errors = self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, errors = self._process.communicate()
        self.log = output.decode()
        return errors.decode()

    def url(self, path: str) -> str:
        """Of a station's path, for a WebSocket library."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def control(self, what: str, body: Any = None, **query: Any) -> Any:
        """Steer the server over HTTP on the same port."""
        url = f"http://127.0.0.1:{self.port}/control/{what}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(url, data, timeout=20) as answer:
            return json.load(answer)

    def seen(self) -> dict[str, Any]:
        """Everything the server remembers."""
        found: dict[str, Any] = self.control("seen")
        return found

    def call(self, station_id: str, action: str, payload: dict[str, Any], timeout_s: float = 5) -> dict[str, Any]:
        """Let the server call a station; its result or error."""
        answer: dict[str, Any] = self.control("call", payload, id=station_id, action=action, timeout=timeout_s)
        return answer

    @contextmanager
    def station(self, station_id: str, **upgrade: Any) -> Iterator[RawStation]:
        """A raw station that has passed the handshake."""
        with RawStation(self.port) as station:
            head = station.upgrade(f"/ocpp/{station_id}", **upgrade)
            assert head.startswith("HTTP/1.1 101 "), head
            yield station

    def ended(self, station_id: str) -> tuple[str, int, str]:
        """How the server says a station's connection ended; waits for that."""
        by, code, reason, _ = wait_until(lambda: self.seen()["ended"].get(station_id))
        return by, code, reason


def wait_until(probe: Callable[[], Any], within_s: float = 5.0) -> Any:
    """Poll until `probe` is true, and return what it gave."""
    deadline = time.monotonic() + within_s
    while not (result := probe()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return result
