"""From bytes to messages: the reading half of a station's socket, RFC 6455, 5.2 to 5.6, with limits."""

from __future__ import annotations

import codecs
import time
from dataclasses import dataclass
from typing import Any, Final

from gevent import socket as gsocket
from geventwebsocket.websocket import WebSocket

from ocpp_ws.framing import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    INVALID_DATA,
    LENGTH16,
    LENGTH64,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    RSV2_AND_3,
    TEXT,
    TOO_BIG,
    Breach,
    decode_text,
    inflate,
    unmask,
)

READ_BYTES: Final = 2048
BULK_READ_BYTES: Final = 65536


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


class PeerGone(Exception):
    """End of stream, or another greenlet ended the connection."""


class MessageReader(WebSocket):  # type: ignore[misc]  # geventwebsocket has no types
    """Reads whole messages from a non-blocking gevent socket; the subclass sends, and handles control frames.

    The base class's own __init__ is left out: it builds a UTF-8 automaton in Python for every connection.
    """

    __slots__ = (
        "_buffer",
        "_can_inflate",
        "_in_step",
        "_limits",
        "_pending",
        "_read_watcher",
        "_sock",
        "closed",
        "last_frame_at",
    )

    # The base class keeps the WSGI environment and its handler per connection: kilobytes nobody reads.
    environ = None
    handler = None

    def __init__(self, sock: Any, limits: SocketLimits, *, received: bytes, can_inflate: bool) -> None:
        sock.settimeout(0.0)
        self._sock = sock
        #: TLS may hold bytes that the kernel has given it already: nobody would wake us for those
        self._pending = getattr(sock, "pending", None)
        self._read_watcher = sock.hub.loop.io(sock.fileno(), 1)
        self._limits = limits
        self._buffer = received
        self._can_inflate = can_inflate
        self._in_step = True  # whether the next byte to read begins a frame
        self.closed = False
        self.last_frame_at = time.monotonic()

    def __del__(self) -> None:
        """Nothing: a collected socket must never send frames, as the base class does."""

    def _on_control(self, opcode: int, payload: bytes) -> bool:
        """Handle a control frame; False when the connection is over."""
        raise NotImplementedError

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
        if first & RSV2_AND_3 or (first & RSV1 and (not self._can_inflate or opcode not in (TEXT, BINARY))):
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
        try:
            while have < wanted:
                if self._pending is None or not self._pending():
                    gsocket.wait(self._read_watcher)
                try:
                    chunk = self._sock.recv(max(READ_BYTES, min(wanted - have, BULK_READ_BYTES)))
                except BlockingIOError:
                    continue
                if not chunk:
                    raise PeerGone
                chunks.append(chunk)
                have += len(chunk)
        finally:  # also after a kick in the middle of a frame: the close handshake reads on from here
            self._buffer = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._buffer
