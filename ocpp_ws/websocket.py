"""The WebSocket of one station: RFC 6455 with limits, on a non-blocking gevent socket.

gevent-websocket's own class decodes in pure Python, has no limits, sends close frames without a status, loses
messages when two greenlets send, and cannot be closed from another greenlet. `StationSocket` keeps its
interface (`receive`, `send`, `close`, `closed`) and replaces everything behind it.

One greenlet, the reader, calls `receive` in a loop and `finish` at the end. Any greenlet may `send`, `ping`
or `kick`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket as gsocket
from gevent.lock import Semaphore
from geventwebsocket.exceptions import WebSocketError

from ocpp_ws.framing import (
    ABNORMAL,
    BINARY,
    CLOSE,
    NORMAL,
    PING,
    PONG,
    RSV1,
    TEXT,
    Breach,
    decode_close,
    deflate,
    encode_close,
    encode_frame,
)
from ocpp_ws.reading import BULK_READ_BYTES, DEFAULT_LIMITS, READ_BYTES, MessageReader, PeerGone, SocketLimits

__all__ = ["DEFAULT_LIMITS", "READ_BYTES", "SocketLimits", "StationSocket"]


class StationSocket(MessageReader):
    """One accepted connection.

    `last_frame_at` is `time.monotonic()` of the last whole frame of any kind, pong included: the only proof
    of life. Once `closed` is true, `closed_by` is "us", "station" or "network", and `close_code` and
    `close_reason` say why (1005: a close frame without status, 1006: none at all).
    """

    __slots__ = (
        "_deflate_bits",
        "_send_lock",
        "_write_watcher",
        "close_code",
        "close_reason",
        "closed_by",
        "on_pong",
        "protocol",
        "remote_addr",
        "station_id",
    )

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
        we send (9 to 15), None without permessage-deflate.
        """
        super().__init__(sock, limits, received=received, can_inflate=deflate_window_bits is not None)
        self._write_watcher: Any = None  # only while a sender waits
        self._send_lock = Semaphore(1)
        self._deflate_bits = deflate_window_bits
        self.station_id = station_id
        self.protocol = protocol
        self.remote_addr = remote_addr
        self.closed_by = ""
        self.close_code = 0
        self.close_reason = ""
        self.on_pong: Callable[[bytes], None] | None = None

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
        except (PeerGone, OSError):
            self._ended("network", ABNORMAL, "connection lost")
        return None

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
        except (PeerGone, OSError):
            self._drop("connection lost")
        finally:
            self._send_lock.release()
        return False

    def _wait_until_writable(self, deadline: float) -> None:
        """Wait for room in the kernel's buffer; raises TimeoutError, or PeerGone when the connection ends."""
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
                    if not self._sock.recv(BULK_READ_BYTES):
                        return
            except (Breach, PeerGone, OSError):
                return

    def _drop(self, reason: str) -> None:
        """The socket is of no more use: mark it ended and wake the reader."""
        self._ended("network", ABNORMAL, reason)
        self._wake()

    def _wake(self) -> None:
        """Let the reader, and a sender that waits for room, see that the connection has ended."""
        gsocket.cancel_wait(self._read_watcher, PeerGone())
        gsocket.cancel_wait(self._write_watcher, PeerGone())

    def _ended(self, by: str, code: int, reason: str) -> None:
        """Record how the connection ended; the first cause stays."""
        if not self.closed:
            self.closed = True
            self.closed_by, self.close_code, self.close_reason = by, code, reason
