"""Bytes of WebSocket frames: masks, headers, close statuses, compression. Pure; limits are arguments."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1, RSV2_AND_3 = 0x80, 0x40, 0x30

# Close statuses (RFC 6455, 7.4.1, and the IANA registry)
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED_DATA = 1000, 1001, 1002, 1003
NO_STATUS, ABNORMAL = 1005, 1006
INVALID_DATA, POLICY_VIOLATION, TOO_BIG, INTERNAL_ERROR, SERVICE_RESTART = 1007, 1008, 1009, 1011, 1012

LENGTH16: Final = struct.Struct("!H")
LENGTH64: Final = struct.Struct("!Q")
_HEADER16: Final = struct.Struct("!BBH")
_HEADER64: Final = struct.Struct("!BBQ")
_DEFLATE_TAIL: Final = b"\x00\x00\xff\xff"
_MAX_REASON_BYTES: Final = 123


class Breach(Exception):
    """The peer broke the protocol or a limit; carries the close status to answer."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def xor_mask(data: bytes, mask: bytes) -> bytes:
    """Apply a 4-byte mask as one xor of two big integers: the way without a compiled helper."""
    size = len(data)
    if not size:
        return b""
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")


unmask: Callable[[bytes, bytes], bytes]
try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which there is no wheel with the C helper
    unmask = xor_mask
else:
    unmask = apply_mask


def decode_text(data: bytes) -> str:
    """UTF-8 to str.

    Raises:
        Breach: 1007 when it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Breach(INVALID_DATA, "invalid UTF-8") from None


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """A final, unmasked frame as a server sends it; `opcode` may carry RSV1."""
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, size)) + payload
    if size < 65536:
        return _HEADER16.pack(FIN | opcode, 126, size) + payload
    return _HEADER64.pack(FIN | opcode, 127, size) + payload


def is_valid_close_code(code: int) -> bool:
    """Whether a close frame may carry this status (RFC 6455, 7.4, and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def encode_close(code: int, reason: bytes) -> bytes:
    """Payload of a close frame; a reason that is too long is cut between characters."""
    cut = reason[:_MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return LENGTH16.pack(code) + cut


def decode_close(payload: bytes) -> tuple[int, str]:
    """Status and reason of a received close frame; 1005 when it carries none (RFC 6455, 5.5.1).

    Raises:
        Breach: 1002 for a status that must not be sent, 1007 for a reason that is not UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise Breach(PROTOCOL_ERROR, "half a close status")
    (code,) = LENGTH16.unpack_from(payload)
    if not is_valid_close_code(code):
        raise Breach(PROTOCOL_ERROR, "invalid close status")
    return code, decode_text(payload[2:])


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Decompress one whole message (RFC 7692, 7.2.2), never to more than `max_bytes`.

    Raises:
        Breach: 1009 when it would be longer, 1007 when it is not deflate.
    """
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(data + _DEFLATE_TAIL, max_bytes + 1)
    except zlib.error:
        raise Breach(INVALID_DATA, "cannot be inflated") from None
    if len(plain) > max_bytes:
        raise Breach(TOO_BIG, f"more than {max_bytes} bytes")
    return plain


def deflate(data: bytes, window_bits: int) -> bytes:
    """Compress one message by itself (RFC 7692, 7.2.1), with a window of 2^`window_bits` bytes (9 to 15)."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -window_bits, 6)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_DEFLATE_TAIL)
