"""The WebSocket of one station: RFC 6455 with limits, on a non-blocking gevent socket.

gevent-websocket's own class decodes in pure Python, has no limits, sends close frames without a status, loses
messages when two greenlets send, and cannot be closed from another greenlet. `StationSocket` keeps its
interface (`receive`, `send`, `close`, `closed`) and replaces everything behind it.

One greenlet, the reader, calls `receive` in a loop and `finish` at the end. Any greenlet may `send`, `ping`
or `kick`.
"""

from __future__ import annotations

import codecs
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent import socket as gsocket
from gevent.lock import Semaphore
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.websocket import WebSocket

from ocpp_ws.framing import (
    ABNORMAL,
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    INVALID_DATA,
    LENGTH16,
    LENGTH64,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    RSV2_AND_3,
    TEXT,
    TOO_BIG,
    Breach,
    decode_close,
    decode_text,
    deflate,
    encode_close,
    encode_frame,
    inflate,
    unmask,
)

READ_BYTES: Final = 2048
_BULK_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one station may ask of us. One instance is shared by all connections."""

    max_message_bytes: int = 256 * 1024
    """Of a whole message, also after inflating."""
    max_fragments: int = 1024
    send_timeout_s: float = 10.0
    """A station that does not read for so long is dropped."""
    close_timeout_s: float = 2.0
    """How long to wait for the station's half of the close handshake."""
    compress_above_bytes: int = 1024
    """Shorter messages are sent as they are, which permessage-deflate allows: answers are mostly short."""


DEFAULT_LIMITS: Final = SocketLimits()


class _PeerGone(Exception):
    """End of stream, or another greenlet ended the connection."""


class StationSocket(WebSocket):  # type: ignore[misc]  # geventwebsocket has no types
    """One accepted connection.

    `last_frame_at` is `time.monotonic()` of the last whole frame of any kind, pong included: the only proof
    of life. Once `closed` is true, `closed_by` is "us", "station" or "network", and `close_code` and
    `close_reason` say why (1005: a close frame without status, 1006: none at all).
    """

    __slots__ = (
        "_buffer",
        "_deflate_bits",
        "_in_step",
        "_limits",
        "_read_watcher",
        "_send_lock",
        "_sock",
        "_write_watcher",
        "close_code",
        "close_reason",
        "closed",
        "closed_by",
        "last_frame_at",
        "on_pong",
        "protocol",
        "remote_addr",
        "station_id",
    )

    # The base class keeps the WSGI environment and its handler per connection: kilobytes nobody reads.
    environ = None
    handler = None

    def __init__(
        self,
        sock: Any,
        *,
        station_id: str = "",
        protocol: str | None = None,
        remote_addr: str = "",
        deflate_window_bits: int | None = None,
        limits: SocketLimits = DEFAULT_LIMITS,
        received: bytes = b"",
    ) -> None:
        """Take over a gevent socket after the 101.

        `received` are bytes read beyond the request; `deflate_window_bits` is the negotiated window for what
        we send (9 to 15), None without permessage-deflate. The base class's own __init__ is left out: it
        builds a UTF-8 automaton in Python.
        """
        sock.settimeout(0.0)
        self._sock = sock
        self._read_watcher = sock.hub.loop.io(sock.fileno(), 1)
        self._write_watcher: Any = None  # only while a sender waits
        self._send_lock = Semaphore(1)
        self._limits = limits
        self._buffer = received
        self._deflate_bits = deflate_window_bits
        self._in_step = True  # whether the next byte to read begins a frame
        self.station_id = station_id
        self.protocol = protocol
        self.remote_addr = remote_addr
        self.closed = False
        self.closed_by = ""
        self.close_code = 0
        self.close_reason = ""
        self.last_frame_at = time.monotonic()
        self.on_pong: Callable[[bytes], None] | None = None

    def __del__(self) -> None:
        """Nothing: a collected socket must never send frames, as the base class does."""

    # ------------------------------------------------------------------ reading

    def receive(self) -> str | bytes | None:
        """The next text (str) or binary (bytes) message; None when the connection has ended.

        Pings are answered and close frames handled on the way. Never raises for what the peer does. Only the
        reader calls it.
        """
        if self.closed:
            return None
        try:
            return self._read_message()
        except Breach as breach:
            self._in_step = False
            self.close(breach.code, breach.reason)
        except (_PeerGone, OSError):
            self._ended("network", ABNORMAL, "connection lost")
        return None

    def _read_message(self) -> str | bytes | None:
        """One whole message, or None after a close frame."""
        while True:
            fin, rsv1, opcode, payload = self._read_frame(0)
            if opcode >= CLOSE:
                if not self._on_control(opcode, payload):
                    return None
            elif opcode == CONTINUATION:
                raise Breach(PROTOCOL_ERROR, "continuation of nothing")
            elif rsv1 or not fin:
                return self._read_rest(fin, rsv1, opcode, payload)
            else:  # nearly every OCPP message
                return decode_text(payload) if opcode == TEXT else payload

    def _read_rest(self, fin: bool, rsv1: bool, opcode: int, payload: bytes) -> str | bytes | None:
        """The message whose first frame is given: fragmented, compressed or both."""
        # Text is checked fragment by fragment, so that rubbish is refused before all of it has arrived.
        decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT and not rsv1 else None
        texts: list[str] = []
        parts: list[bytes] = []
        size = fragments = 0
        while True:
            size += len(payload)
            fragments += 1
            if fragments > self._limits.max_fragments:
                raise Breach(TOO_BIG, "too many fragments")
            if decoder is None:
                parts.append(payload)
            else:
                try:
                    texts.append(decoder.decode(payload, fin))
                except UnicodeDecodeError:
                    raise Breach(INVALID_DATA, "invalid UTF-8") from None
            if fin:
                break
            following = self._read_continuation(size)
            if following is None:
                return None
            fin, payload = following
        if decoder is not None:
            return "".join(texts)
        data = b"".join(parts)
        if rsv1:
            data = inflate(data, self._limits.max_message_bytes)
        return decode_text(data) if opcode == TEXT else data

    def _read_continuation(self, size_so_far: int) -> tuple[bool, bytes] | None:
        """The next fragment as (fin, payload), handling control frames between; None after a close frame."""
        while True:
            fin, _, opcode, payload = self._read_frame(size_so_far)
            if opcode == CONTINUATION:
                return fin, payload
            if opcode < CLOSE:
                raise Breach(PROTOCOL_ERROR, "new message inside a fragmented one")
            if not self._on_control(opcode, payload):
                return None

    def _read_frame(self, size_so_far: int) -> tuple[bool, bool, int, bytes]:
        """One frame as (fin, rsv1, opcode, unmasked payload), checked by RFC 6455, 5.2 to 5.5."""
        buffer = self._buffer
        if len(buffer) < 2:
            buffer = self._fill(2)
        first, second = buffer[0], buffer[1]
        opcode = first & 0x0F
        length = second & 0x7F
        if first & RSV2_AND_3 or (first & RSV1 and (self._deflate_bits is None or opcode not in (TEXT, BINARY))):
            raise Breach(PROTOCOL_ERROR, "reserved bits set")
        if not second & 0x80:
            raise Breach(PROTOCOL_ERROR, "frame is not masked")
        if BINARY < opcode < CLOSE or opcode > PONG:
            raise Breach(PROTOCOL_ERROR, "reserved opcode")
        start = 6
        if opcode >= CLOSE:
            if length > 125 or not first & FIN:
                raise Breach(PROTOCOL_ERROR, "control frame is long or fragmented")
        elif length >= 126:
            buffer, start, length = self._read_long_length(buffer, length)
        if opcode < CLOSE and size_so_far + length > self._limits.max_message_bytes:
            raise Breach(TOO_BIG, f"more than {self._limits.max_message_bytes} bytes")
        end = start + length
        if len(buffer) < end:
            buffer = self._fill(end)
        self._buffer = buffer[end:]
        self.last_frame_at = time.monotonic()
        payload = unmask(buffer[start:end], buffer[start - 4 : start]) if length else b""
        return bool(first & FIN), bool(first & RSV1), opcode, payload

    def _read_long_length(self, buffer: bytes, length: int) -> tuple[bytes, int, int]:
        """(buffer, offset of the payload, its length) of a frame whose length is in the extended fields."""
        if length == 126:
            if len(buffer) < 4:
                buffer = self._fill(4)
            return buffer, 8, LENGTH16.unpack_from(buffer, 2)[0]
        if len(buffer) < 10:
            buffer = self._fill(10)
        (long_length,) = LENGTH64.unpack_from(buffer, 2)
        if long_length >> 63:
            raise Breach(PROTOCOL_ERROR, "length with its highest bit set")
        return buffer, 14, long_length

    def _fill(self, wanted: int) -> bytes:
        """Read until the buffer holds `wanted` bytes.

        Waits before it reads: a station that never stops sending cannot keep the others out, and the usual
        case costs one system call less. Between messages no buffer is held at all.
        """
        chunks = [self._buffer] if self._buffer else []
        have = len(self._buffer)
        while have < wanted:
            gsocket.wait(self._read_watcher)
            try:
                chunk = self._sock.recv(max(READ_BYTES, min(wanted - have, _BULK_READ_BYTES)))
            except BlockingIOError:
                continue
            if not chunk:
                raise _PeerGone
            chunks.append(chunk)
            have += len(chunk)
        self._buffer = buffer = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return buffer

    def _on_control(self, opcode: int, payload: bytes) -> bool:
        """Handle a control frame; False when the connection is over."""
        if opcode == PING:
            self._transmit(encode_frame(PONG, payload))
        elif opcode == PONG:
            if self.on_pong is not None:
                self.on_pong(payload)
        else:
            # Remember the station's status and answer with the same (RFC 6455, 5.5.1).
            code, reason = decode_close(payload)
            if not self.closed:
                self._ended("station", code, reason)
                self._send_now(encode_frame(CLOSE, payload[:2]))
        return not self.closed

    # ------------------------------------------------------------------ sending

    def send(self, message: str | bytes, binary: bool | None = None) -> None:
        """Send one message: str as text, bytes as binary unless `binary` is False.

        Waits while another greenlet sends or the station does not read, at most `send_timeout_s` each.

        Raises:
            WebSocketError: the connection has ended, or ends now because the station did not read in time.
        """
        opcode = TEXT if isinstance(message, str) or binary is False else BINARY
        self.send_frame(message.encode() if isinstance(message, str) else message, opcode)

    def send_frame(self, message: bytes, opcode: int) -> None:
        """Send `message` as one frame, compressed when negotiated and worth it. Raises as `send`."""
        if self.closed:
            raise WebSocketError("connection has ended")
        rsv1 = 0
        if self._deflate_bits is not None and len(message) > self._limits.compress_above_bytes:
            message = deflate(message, self._deflate_bits)
            rsv1 = RSV1
        if not self._transmit(encode_frame(opcode | rsv1, message)):
            raise WebSocketError("connection has ended")

    def ping(self, payload: bytes = b"") -> bool:
        """Ask for a pong. Never blocks, never raises.

        False when another greenlet is sending just now, so that nothing was asked. True otherwise, also when
        the socket did not take the frame: then no pong will come, which is the answer.
        """
        if self._send_lock.locked():
            return False
        if not self.closed:
            self._send_now(encode_frame(PING, payload[:125]))
        return True

    def _transmit(self, data: bytes) -> bool:
        """Write a whole frame, alone on the socket; drop the connection when the peer takes too long."""
        deadline = time.monotonic() + self._limits.send_timeout_s
        if not self._send_lock.acquire(timeout=self._limits.send_timeout_s):
            self._drop("send timed out")
            return False
        try:
            sent = 0
            while not self.closed:
                try:
                    sent += self._sock.send(data[sent:] if sent else data)
                    if sent == len(data):
                        return True
                except BlockingIOError:
                    self._wait_until_writable(deadline)
        except TimeoutError:
            self._drop("send timed out")
        except (_PeerGone, OSError):
            self._drop("connection lost")
        finally:
            self._send_lock.release()
        return False

    def _wait_until_writable(self, deadline: float) -> None:
        """Wait for room in the kernel's buffer; raises TimeoutError, or _PeerGone when the connection ends."""
        self._write_watcher = self._sock.hub.loop.io(self._sock.fileno(), 2)
        try:
            gsocket.wait(self._write_watcher, timeout=max(0.0, deadline - time.monotonic()))
        finally:
            self._write_watcher.close()
            self._write_watcher = None

    def _send_now(self, data: bytes) -> None:
        """Write a small frame if that needs no waiting at all, else leave it."""
        if not self._send_lock.acquire(blocking=False):
            return
        try:
            sent = self._sock.send(data)
        except OSError:  # full buffer or dead socket
            return
        finally:
            self._send_lock.release()
        if sent < len(data):  # half a frame cannot be taken back
            self._drop("connection lost")

    # ------------------------------------------------------------------ ending

    def close(self, code: int = NORMAL, message: str | bytes = "") -> None:
        """Say goodbye with a status and end the connection. From any greenlet, without blocking, once.

        The reader wakes and its `receive` returns None; `finish` awaits the station's half of the handshake.
        """
        if self.closed:
            return
        payload = encode_close(code, message if isinstance(message, bytes) else message.encode())
        self._ended("us", code, payload[2:].decode())
        self._send_now(encode_frame(CLOSE, payload))
        self._wake()

    def kick(self, code: int, reason: str) -> None:
        """`close`, under the name that says what it is for: another greenlet throws the station out."""
        self.close(code, reason)

    def abort(self) -> None:
        """End without a goodbye, for a process that is going down."""
        self._drop("aborted")

    def finish(self) -> None:
        """Complete the close handshake, then give the socket back: the reader's last act, once.

        Waits at most `close_timeout_s`. What the station still sends is read and thrown away, because closing
        a TCP socket with unread data resets it and may destroy our close frame on its way.
        """
        self.close(NORMAL)
        try:
            if self.closed_by == "us":
                self._await_goodbye()
        finally:
            with contextlib.suppress(OSError):  # the network may have been faster
                self._sock.shutdown(gsocket.SHUT_RDWR)
            # Senders were woken; they must be out before the number of the file descriptor is free for the
            # next station.
            if self._send_lock.acquire(timeout=1.0):
                self._send_lock.release()
            self._read_watcher.close()
            self._read_watcher = None
            self._sock.close()

    def _await_goodbye(self) -> None:
        """Read on until the station's close frame; until the end of the stream when framing was lost."""
        with gevent.Timeout(self._limits.close_timeout_s, False):
            try:
                while self._in_step:
                    if self._read_frame(0)[2] == CLOSE:
                        return
                self._sock.shutdown(gsocket.SHUT_WR)
                while True:
                    gsocket.wait(self._read_watcher)
                    if not self._sock.recv(_BULK_READ_BYTES):
                        return
            except (Breach, _PeerGone, OSError):
                return

    def _drop(self, reason: str) -> None:
        """The socket is of no more use: mark it ended and wake the reader."""
        self._ended("network", ABNORMAL, reason)
        self._wake()

    def _wake(self) -> None:
        """Let the reader, and a sender that waits for room, see that the connection has ended."""
        gsocket.cancel_wait(self._read_watcher, _PeerGone())
        gsocket.cancel_wait(self._write_watcher, _PeerGone())

    def _ended(self, by: str, code: int, reason: str) -> None:
        """Record how the connection ended; the first cause stays."""
        if not self.closed:
            self.closed = True
            self.closed_by, self.close_code, self.close_reason = by, code, reason
