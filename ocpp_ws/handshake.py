"""What a station says before it is let in: its path, subprotocols, key, password and extensions.

Pure functions over header values, without a socket or a database, so every oddity of a charge point's
first request has a table test. Rules: RFC 6455 chapter 4, RFC 7617, RFC 7692 chapter 7, OCPP-J 1.6 chapter 3
and OCPP 2.0.1 part 4 chapter 3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ocpp_ws.presented import ClientCertificate

STATION_PATH_PREFIX = "/ocpp/"
MAX_STATION_ID_CHARS = 255

_ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_ABSOLUTE_FORM = re.compile(r"^(?:http|https|ws|wss)://[^/]*", re.IGNORECASE)
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_WINDOW_BITS = re.compile(r"[0-9]{1,2}")


class BadHandshake(ValueError):
    """The request cannot be a station's; `status` is the HTTP status to answer (400 or 404)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """What came in `Authorization: Basic`. The password is bytes: some stations send binary keys."""

    username: str
    password: bytes = field(repr=False)
    username_matches: bool
    """Whether the user name is the station id of the path, compared without case."""

    @property
    def candidates(self) -> tuple[bytes, ...]:
        """Every form in which the operator may have stored this password: see `password_candidates`."""
        return password_candidates(self.password)


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A well-formed upgrade that waits for `admit`; nothing has been answered yet."""

    station_id: str
    path: str
    offered: tuple[str, ...]
    """Subprotocols as the station listed them."""
    protocol: str | None
    """The one that would be answered, in the station's own spelling; None when there is none in common."""
    credentials: BasicCredentials | None
    remote_addr: str
    """Of who really asks, where a proxy of ours says so."""
    remote_port: int
    forwarded_for: str | None
    """`X-Forwarded-For` as received, from anybody."""
    user_agent: str
    secure: bool = False
    """Whether it came by TLS, ended here or in a proxy of ours."""
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """`admit` says yes. `station` is handed to `on_connect` untouched."""

    station: object = None
    protocol: str | None = None
    """Overrides the choice: one of the offered subprotocols, or any when the station offered none at all."""
    terms: object = None
    """What the station was let in on, for `on_connect`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`admit` says no: answered as plain HTTP before the upgrade, then the connection is closed."""

    status: int
    text: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """A permessage-deflate offer we can honour (RFC 7692); no context is taken over in either direction."""

    server_window_bits: int
    response: str
    """Value of `Sec-WebSocket-Extensions` in the answer."""


def is_station_path(raw_path: str) -> bool:
    """Whether a request target (as on the wire, not decoded) lies under `/ocpp/`."""
    return _ABSOLUTE_FORM.sub("", raw_path).startswith(STATION_PATH_PREFIX)


def station_id_from_path(raw_path: str) -> str:
    """The charge point's identity: the last, percent-encoded part of the URL (OCPP-J 1.6, 3.1.1).

    `raw_path` is the request target as received, its bytes as Latin-1. Doubled and trailing slashes and
    blanks round the id are configuration slips and ignored; the id's case is kept.

    Raises:
        BadHandshake: 404 when there is no id or more than one path segment, 400 when the id is longer than
            255 characters or has control characters (PostgreSQL cannot store NUL).
    """
    target = _ABSOLUTE_FORM.sub("", raw_path).split("?", 1)[0].split("#", 1)[0]
    segment = target.removeprefix(STATION_PATH_PREFIX).strip("/")
    if not target.startswith(STATION_PATH_PREFIX) or not segment:
        raise BadHandshake(404, "No charge point id in the path: connect to /ocpp/<ChargePointID>")
    if "/" in segment:
        raise BadHandshake(404, "One path segment is expected after /ocpp/: the charge point id")
    data = unquote_to_bytes(segment.encode("latin-1", "replace"))
    try:
        station_id = data.decode("utf-8").strip()
    except UnicodeDecodeError:  # firmware that puts Latin-1 straight into the URL
        station_id = data.decode("latin-1").strip()
    if not station_id:
        raise BadHandshake(404, "No charge point id in the path: connect to /ocpp/<ChargePointID>")
    if len(station_id) > MAX_STATION_ID_CHARS:
        raise BadHandshake(400, f"The charge point id is longer than {MAX_STATION_ID_CHARS} characters")
    if any(not char.isprintable() for char in station_id):
        raise BadHandshake(400, "The charge point id has characters that cannot be printed")
    return station_id


def has_token(values: Iterable[str], token: str) -> bool:
    """Whether a comma-separated header (in one or several lines) lists `token`, compared without case."""
    return any(part.strip().lower() == token for value in values for part in value.split(","))


def parse_subprotocols(values: Iterable[str]) -> tuple[str, ...]:
    """All subprotocols of `Sec-WebSocket-Protocol`, from one header or several, in order, without repeats."""
    found: dict[str, None] = {}
    for value in values:
        for part in value.split(","):
            name = part.strip()
            if name:
                found.setdefault(name)
    return tuple(found)


def choose_subprotocol(offered: Iterable[str], supported: tuple[str, ...]) -> str | None:
    """The first of `supported` (best first) that the station offers, in the station's own spelling.

    Stations list versions in no meaningful order, so ours decides. Case is ignored but answered as offered,
    because a client compares the answer with what it sent (RFC 6455, 4.1). None when nothing is in common.
    """
    by_lower_case = {name.lower(): name for name in reversed(tuple(offered))}
    for name in supported:
        if name.lower() in by_lower_case:
            return by_lower_case[name.lower()]
    return None


def is_valid_key(key: str | None) -> bool:
    """Whether `Sec-WebSocket-Key` is the base64 of exactly 16 bytes (RFC 6455, 4.2.1)."""
    return key is not None and _KEY.fullmatch(key.strip()) is not None


def accept_token(key: str) -> str:
    """`Sec-WebSocket-Accept` for a valid key (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1((key.strip() + _ACCEPT_GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def parse_basic(header: str | None, station_id: str) -> BasicCredentials | None:
    """Credentials of an `Authorization` header (RFC 7617); None when absent, malformed or not Basic.

    OCPP allows ":" in a station id, which RFC 7617 forbids in a user name; therefore the id of the path is
    tried first as the user name. Missing base64 padding is forgiven.
    """
    scheme, _, encoded = (header or "").strip().partition(" ")
    encoded = encoded.strip()
    if scheme.lower() != "basic" or not encoded:
        return None
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if b":" not in decoded:
        return None
    own_name = station_id.encode("utf-8")
    if decoded[: len(own_name) + 1].lower() == own_name.lower() + b":":
        return BasicCredentials(station_id, decoded[len(own_name) + 1 :], True)
    name, _, password = decoded.partition(b":")
    try:
        username = name.decode("utf-8")
    except UnicodeDecodeError:
        username = name.decode("latin-1")
    return BasicCredentials(username, password, username.casefold() == station_id.casefold())


def password_candidates(password: bytes) -> tuple[bytes, ...]:
    """The forms a received password may have been stored in, the literal one first.

    An AuthorizationKey is configured as hex (OCPP 1.6 security whitepaper); some stations send the bytes it
    stands for, others the hex text itself, in either case. Compare each with what is stored in constant time.
    """
    forms = {password: None, password.hex().encode(): None, password.hex().upper().encode(): None}
    if _HEX.fullmatch(password):
        forms |= {password.lower(): None, password.upper(): None, bytes.fromhex(password.decode()): None}
    forms.pop(b"", None)
    return tuple(forms) or (b"",)


def negotiate_deflate(values: Iterable[str]) -> DeflateParameters | None:
    """The first permessage-deflate offer that can be honoured (RFC 7692, 5 and 7.1), or None.

    An offer with an unknown, repeated or ill-valued parameter is declined, as the RFC demands, and the next
    one is looked at. A window of 2^8 bytes is declined too: zlib cannot make one for raw deflate.
    """
    for value in values:
        for offer in value.split(","):
            name, *parameters = (part.strip() for part in offer.split(";"))
            if name.lower() == "permessage-deflate":
                accepted = _accept_deflate_offer(parameters)
                if accepted is not None:
                    return accepted
    return None


def _accept_deflate_offer(parameters: list[str]) -> DeflateParameters | None:
    """The answer to one offer's parameters, or None to decline it."""
    seen: set[str] = set()
    window_bits = 15
    answered = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    for parameter in parameters:
        name, has_value, value = (part.strip() for part in parameter.partition("="))
        value = value.strip('"')
        if name in seen:
            return None
        seen.add(name)
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if has_value:
                return None
        elif name == "client_max_window_bits":
            if has_value and not (_WINDOW_BITS.fullmatch(value) and 8 <= int(value) <= 15):
                return None
        elif name == "server_max_window_bits":
            if not (_WINDOW_BITS.fullmatch(value) and 9 <= int(value) <= 15):
                return None
            window_bits = int(value)
            answered += f"; server_max_window_bits={window_bits}"
        else:
            return None
    return DeflateParameters(window_bits, answered)
