"""The door: path, subprotocol, key, password and extensions, as pure functions and over a real socket."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from ocpp_ws import handshake
from ocpp_ws.handshake import BadHandshake
from tests.ocpp.wire import ACCEPT, KEY, TEXT, Gateway, RawStation, upgrade_request

SUPPORTED = ("ocpp2.0.1", "ocpp1.6")


def basic(name: bytes, password: bytes) -> str:
    """An Authorization header's value."""
    return "Basic " + base64.b64encode(name + b":" + password).decode()


# ---------------------------------------------------------------------- path


@pytest.mark.parametrize(
    ("path", "station_id"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/ocpp/CP1/", "CP1"),
        ("/ocpp//CP1//", "CP1"),
        ("/ocpp/cp1?token=x", "cp1"),
        ("/ocpp/CP%201", "CP 1"),
        ("/ocpp/%20CP1%20", "CP1"),
        ("/ocpp/DE%2A8AC%2AE1%3A2", "DE*8AC*E1:2"),
        ("/ocpp/RDAM%7C123", "RDAM|123"),
        ("/ocpp/a%2Fb", "a/b"),
        ("/ocpp/a+b", "a+b"),
        ("/ocpp/S%C3%A4ule", "Säule"),
        ("/ocpp/S\xc3\xa4ule", "Säule"),  # UTF-8 bytes put straight into the request line
        ("/ocpp/S%E4ule", "Säule"),  # Latin-1
        ("/ocpp/100%", "100%"),
        ("ws://gateway:8000/ocpp/CP1", "CP1"),  # absolute form
        ("HTTP://gateway/ocpp/CP1/", "CP1"),
        ("/ocpp/" + "x" * 255, "x" * 255),
    ],
)
def test_station_id_is_read_from_the_path(path: str, station_id: str) -> None:
    assert handshake.is_station_path(path)
    assert handshake.station_id_from_path(path) == station_id


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ocpp/", 404),
        ("/ocpp//", 404),
        ("/ocpp/%20", 404),
        ("/ocpp/?CP1", 404),
        ("/ocpp/a/b", 404),
        ("/other/CP1", 404),
        ("/ocpp/" + "x" * 256, 400),
        ("/ocpp/CP%00", 400),
        ("/ocpp/CP%0D%0ASet-Cookie:x", 400),
    ],
)
def test_paths_without_a_usable_id_say_so(path: str, status: int) -> None:
    with pytest.raises(BadHandshake) as refused:
        handshake.station_id_from_path(path)
    assert refused.value.status == status


def test_only_paths_under_ocpp_are_stations() -> None:
    assert not any(map(handshake.is_station_path, ("/", "/ocpp", "/ocppx/1", "/OCPP/1", "/admin/ocpp/1", "*")))


# ---------------------------------------------------------------------- subprotocols and tokens


@pytest.mark.parametrize(
    ("headers", "chosen"),
    [
        (["ocpp1.6"], "ocpp1.6"),
        (["ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp1.6,ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp2.0.1, ocpp1.6"], "ocpp2.0.1"),
        (["ocpp1.6", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp1.5 , soap,ocpp1.6,, mqtt"], "ocpp1.6"),
        (["OCPP1.6"], "OCPP1.6"),
        (["ocpp1.6j"], None),
        (["ocpp2.0"], None),
        (["xocpp1.6"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_best_common_subprotocol_is_chosen_whole(headers: list[str], chosen: str | None) -> None:
    assert handshake.choose_subprotocol(handshake.parse_subprotocols(headers), SUPPORTED) == chosen


def test_offers_keep_their_order_without_repeats() -> None:
    assert handshake.parse_subprotocols(["b, a", "a", " c,"]) == ("b", "a", "c")


def test_header_tokens_are_found_in_lists() -> None:
    assert handshake.has_token(["keep-alive, Upgrade"], "upgrade")
    assert handshake.has_token(["keep-alive", "UPGRADE"], "upgrade")
    assert not handshake.has_token(["no-upgrade"], "upgrade")
    assert not handshake.has_token([], "upgrade")


# ---------------------------------------------------------------------- key


def test_the_accept_token_is_that_of_the_rfc() -> None:
    assert handshake.accept_token(KEY) == ACCEPT


@pytest.mark.parametrize(
    "key",
    [None, "", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", KEY + KEY, "!" * 22 + "==", "ü" * 24],
)
def test_a_key_that_is_not_16_bytes_is_invalid(key: str | None) -> None:
    assert not handshake.is_valid_key(key)
    assert handshake.is_valid_key(f" {KEY} ")


# ---------------------------------------------------------------------- password


def test_basic_credentials_are_read() -> None:
    found = handshake.parse_basic(basic(b"CP1", b"pass:word"), "CP1")
    assert found is not None
    assert (found.username, found.password, found.username_matches) == ("CP1", b"pass:word", True)
    assert "pass" not in repr(found)


@pytest.mark.parametrize(
    ("name", "station_id", "matches"),
    [
        (b"cp1", "CP1", True),
        (b"CP1", "cp1", True),
        ("SÄULE".encode(), "Säule", True),
        ("Säule".encode("latin-1"), "Säule", True),
        (b"CP2", "CP1", False),
        (b"", "CP1", False),
    ],
)
def test_the_user_name_is_compared_without_case(name: bytes, station_id: str, matches: bool) -> None:
    found = handshake.parse_basic(basic(name, b"p"), station_id)
    assert found is not None and found.username_matches is matches and found.password == b"p"


def test_a_colon_in_the_station_id_does_not_cut_the_name() -> None:
    found = handshake.parse_basic(basic(b"DE:CP:1", b"pw"), "de:cp:1")
    assert found is not None and (found.username_matches, found.password) == (True, b"pw")


@pytest.mark.parametrize("header", [None, "", "Basic", "Basic ", "Bearer abc", "Basic ***", "Basic Q1Ax", "basic =="])
def test_no_or_malformed_credentials_are_none(header: str | None) -> None:
    assert handshake.parse_basic(header, "CP1") is None


def test_scheme_case_and_missing_padding_are_forgiven() -> None:
    encoded = base64.b64encode(b"CP1:abcd").decode()
    assert encoded.endswith("=")
    found = handshake.parse_basic(f"bAsIc   {encoded.rstrip('=')}", "CP1")
    assert found is not None and found.password == b"abcd"


def test_a_hex_key_is_accepted_as_bytes_and_as_text_in_either_case() -> None:
    key = bytes(range(200, 220))
    for sent in (key, key.hex().encode(), key.hex().upper().encode()):
        candidates = handshake.password_candidates(sent)
        assert candidates[0] == sent
        assert {key.hex().encode(), key.hex().upper().encode()} <= set(candidates)


def test_a_plain_password_is_its_own_first_candidate_and_an_empty_one_stays_empty() -> None:
    assert handshake.password_candidates(b"hello world")[0] == b"hello world"
    assert handshake.password_candidates(b"") == (b"",)


# ---------------------------------------------------------------------- deflate


@pytest.mark.parametrize(
    ("offer", "bits"),
    [
        ("permessage-deflate", 15),
        ("permessage-deflate; client_max_window_bits", 15),
        ('permessage-deflate; client_max_window_bits="10"; server_no_context_takeover', 15),
        ("permessage-deflate;server_max_window_bits=10;client_no_context_takeover", 10),
        ("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=12", 12),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", 15),
        ("permessage-deflate; unknown=1, permessage-deflate; server_max_window_bits=9", 9),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-bzip2", None),
        ("", None),
    ],
)
def test_deflate_offers(offer: str, bits: int | None) -> None:
    accepted = handshake.negotiate_deflate([offer])
    assert (accepted.server_window_bits if accepted else None) == bits
    if accepted:
        assert "server_no_context_takeover; client_no_context_takeover" in accepted.response
        assert ("server_max_window_bits" in accepted.response) == (bits != 15)


# ---------------------------------------------------------------------- over the wire


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A server with a short deadline for requests; it must not write to standard error."""
    running = Gateway(head_timeout_s=0.6)
    yield running
    assert running.stop() == ""


def refusal(gateway: Gateway, request: bytes) -> tuple[int, str, str]:
    """(status, head, body) of an answer that is not an upgrade, after which the server closes."""
    with RawStation(gateway.port) as station:
        station.write(request)
        head = station.read_head()
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = station.read(size).decode()
        assert "Connection: close\r\n" in head and "Content-Type: text/plain" in head
        station.assert_ended()
        return int(head.split(" ")[1]), head, body


def test_the_upgrade_answers_what_the_rfc_wants(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/CP%201/", protocols="ocpp1.6", headers=("User-Agent: box/7",))
        assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n" in head
        assert "Sec-WebSocket-Protocol: ocpp1.6\r\n" in head
        assert "Sec-WebSocket-Extensions" not in head
    asked = gateway.seen()["requests"][-1]
    assert asked == {
        "station_id": "CP 1",
        "offered": ["ocpp1.6"],
        "protocol": "ocpp1.6",
        "username": None,
        "user_agent": "box/7",
    }


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        (("Sec-WebSocket-Protocol: ocpp1.6,ocpp2.0.1",), "ocpp2.0.1"),
        (("Sec-WebSocket-Protocol: ocpp1.6", "Sec-WebSocket-Protocol: ocpp2.0.1"), "ocpp2.0.1"),
        (("Sec-WebSocket-Protocol: soap", "sec-websocket-protocol: OCPP1.6"), "OCPP1.6"),
    ],
)
def test_subprotocols_in_one_or_several_headers(gateway: Gateway, headers: tuple[str, ...], answer: str) -> None:
    with RawStation(gateway.port) as station:
        assert f"Sec-WebSocket-Protocol: {answer}\r\n" in station.upgrade("/ocpp/CP1", protocols=None, headers=headers)


@pytest.mark.parametrize("protocols", [None, "ocpp1.5", "ocpp1.6j, soap"])
def test_without_a_common_subprotocol_the_socket_opens_and_closes_at_once(
    gateway: Gateway, protocols: str | None
) -> None:
    """OCPP-J 1.6, 3.1.2: complete the handshake without the header, then close."""
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/CP1", protocols=protocols)
        assert head.startswith("HTTP/1.1 101 ") and "Sec-WebSocket-Protocol" not in head
        assert station.read_close() == (1002, b"no common subprotocol")


def test_admit_may_choose_for_a_station_that_offers_nothing(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/pinned", protocols=None)
        assert head.startswith("HTTP/1.1 101 ") and "Sec-WebSocket-Protocol" not in head
        station.send(TEXT, b'[2,"1","Heartbeat",{}]')
        assert station.read_text().startswith('[3,"1",')
    with RawStation(gateway.port) as station:  # both offered: the pinned one wins
        assert "Sec-WebSocket-Protocol: ocpp1.6\r\n" in station.upgrade("/ocpp/pinned", protocols="ocpp2.0.1,ocpp1.6")
    with RawStation(gateway.port) as station:  # but nothing is answered that was not offered
        assert "Sec-WebSocket-Protocol" not in station.upgrade("/ocpp/pinned", protocols="ocpp2.0.1")
        assert station.read_close()[0] == 1002


def test_a_subprotocol_in_capitals_is_answered_alike_and_understood(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/pinned", protocols="OCPP2.0.1, OCPP1.6")
        assert "Sec-WebSocket-Protocol: OCPP1.6\r\n" in head
        station.send(TEXT, b'[2,"1","Heartbeat",{}]')
        assert station.read_text().startswith('[3,"1",')


def test_passwords_are_checked_before_the_upgrade(gateway: Gateway) -> None:
    for headers in ((), ("Authorization: " + basic(b"secret1", b"wrong"),), ("Authorization: Basic ???",)):
        status, head, body = refusal(gateway, upgrade_request("/ocpp/secret1", headers=headers))
        assert (status, body) == (401, "Wrong or missing password\n")
        assert 'WWW-Authenticate: Basic realm="ocpp"' in head
    for name, password in ((b"secret1", b"secret"), (b"SECRET1", b"736563726574")):
        with RawStation(gateway.port) as station:
            headers = ("Authorization: " + basic(name, password),)
            assert " 101 " in station.upgrade("/ocpp/secret1", headers=headers)


def test_unknown_and_blocked_stations_are_refused_in_plain_words(gateway: Gateway) -> None:
    assert refusal(gateway, upgrade_request("/ocpp/unknown1"))[::2] == (404, "This charge point is not known here\n")
    assert refusal(gateway, upgrade_request("/ocpp/blocked1"))[::2] == (403, "This charge point is switched off\n")


def test_a_failing_admit_is_a_503_without_details(gateway: Gateway) -> None:
    status, head, body = refusal(gateway, upgrade_request("/ocpp/broken"))
    assert (status, body) == (503, "Try again later\n")
    assert "Retry-After: 30\r\n" in head


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"Version: 13", b"Version: 8"), 426),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        ((KEY.encode(), b"nonsense"), 400),
        ((f"Sec-WebSocket-Key: {KEY}\r\n".encode(), b""), 400),
        ((b"Host:", f"Sec-WebSocket-Key: {KEY}\r\nHost:".encode()), 400),
        ((b"HTTP/1.1", b"HTTP/1.0"), 400),
        ((b"Host:", b"Content-Length: 5\r\nHost:"), 400),
        ((b"Host:", b"Transfer-Encoding: chunked\r\nHost:"), 400),
        ((b"GET /ocpp/CP1", b"GET /ocpp/"), 404),
        ((b"GET /ocpp/CP1", b"GET /ocpp/" + b"x" * 256), 400),
        ((b"GET /ocpp/CP1", b"GET /elsewhere/CP1"), 404),
        ((b"GET /ocpp/CP1", b"GET /ocpp"), 404),
        ((b"GET", b"POST"), 405),
        ((b"Upgrade: websocket\r\n", b""), 426),
        ((b"Connection: Upgrade\r\n", b"Connection: keep-alive\r\n"), 426),
    ],
)
def test_what_is_no_station_gets_a_status_and_a_sentence(
    gateway: Gateway, change: tuple[bytes, bytes], status: int
) -> None:
    asked = len(gateway.seen()["requests"])
    answered, head, body = refusal(gateway, upgrade_request("/ocpp/CP1").replace(*change))
    assert answered == status and body.strip()
    assert ("Sec-WebSocket-Version: 13" in head) == (status == 426)
    assert len(gateway.seen()["requests"]) == asked  # admit was not bothered


def test_a_browser_is_told_what_the_address_is_for(gateway: Gateway) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{gateway.port}/ocpp/CP1", timeout=5)
    assert refused.value.code == 426
    assert "subprotocol ocpp2.0.1 or ocpp1.6" in refused.value.read().decode()


def test_the_same_port_serves_the_application(gateway: Gateway) -> None:
    base = f"http://127.0.0.1:{gateway.port}"
    with urllib.request.urlopen(f"{base}/ocpp", timeout=5) as answer:  # not below /ocpp/
        assert json.load(answer)["path"] == "/ocpp"
    with urllib.request.urlopen(f"{base}/upload", b"x" * 300_000, timeout=5) as answer:
        assert json.load(answer) == {"path": "/upload", "method": "POST", "length": 300_000}


def test_server_sent_events_flow_while_the_connection_is_kept_open(gateway: Gateway) -> None:
    with RawStation(gateway.port) as browser:
        for _ in range(2):  # kept alive between the two
            browser.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "text/event-stream" in browser.read_head()
            started = time.monotonic()
            assert browser.read(14) == b"9\r\ndata: 0\n\n\r\n"
            assert time.monotonic() - started < 0.3  # the first event does not wait for the last
            assert browser.read(33) == b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"


def test_a_slow_request_head_is_cut_off(gateway: Gateway) -> None:
    with RawStation(gateway.port) as loris:
        started = time.monotonic()
        loris.write(b"GET /ocpp/CP1 HTTP/1.1\r\n")
        loris.sock.settimeout(0.1)
        ended = False
        while not ended and time.monotonic() - started < 5:
            try:
                loris.write(b"X-Drip: 1\r\n")
                ended = loris.sock.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended and 0.5 < time.monotonic() - started < 4.0


def test_a_silent_connection_is_cut_off_too(gateway: Gateway) -> None:
    with RawStation(gateway.port) as silent:
        started = time.monotonic()
        silent.assert_ended(within_s=5)
        assert 0.5 < time.monotonic() - started < 4.0


def test_the_deadline_is_for_the_head_only(gateway: Gateway) -> None:
    with gateway.station("echo-later") as station:
        time.sleep(1.0)
        station.send(TEXT, b"still there")
        assert station.read_text() == "still there"
    with RawStation(gateway.port) as browser:  # nor does it strike between kept-alive requests
        for _ in range(2):
            browser.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert " 200 " in browser.read_head()
            browser.read(len(b'{"path": "/x", "method": "GET", "length": 0}'))
            time.sleep(0.8)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /ocpp/CP1 HTTP/1.1\r\n" + b"X-Long: y\r\n" * 101 + b"\r\n",
        b"GET /ocpp/CP1 HTTP/1.1\r\nX-Long: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET /ocpp/CP1 HTTP/1.1\r\n" + (b"X-Long: " + b"y" * 40_000 + b"\r\n") * 2 + b"\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /ocpp/CP1 HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS on the plain port
    ],
    ids=["101 headers", "long line", "long head", "nonsense", "version", "tls"],
)
def test_malformed_heads_are_400_and_print_nothing(gateway: Gateway, request_head: bytes) -> None:
    with RawStation(gateway.port) as station:
        station.write(request_head)
        assert station.read_head().startswith("HTTP/1.1 400 ")


def test_the_pool_bounds_open_connections() -> None:
    gateway = Gateway(pool_size=2)
    with gateway.station("echo-1") as first, gateway.station("echo-2"), RawStation(gateway.port) as third:
        third.write(upgrade_request("/ocpp/echo-3"))
        third.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            third.read(1)
        first.sock.close()
        third.sock.settimeout(5)
        assert third.read_head().startswith("HTTP/1.1 101 ")
    gateway.stop()


def test_the_socket_is_tuned(gateway: Gateway) -> None:
    """Small answers leave at once: 50 round trips with Nagle and delayed ACKs would take two seconds."""
    with connect(gateway.url("/ocpp/echo-nagle"), subprotocols=["ocpp1.6"]) as client:  # type: ignore[list-item]
        started = time.monotonic()
        for _ in range(50):
            client.send("a")
            client.send("b")
            assert (client.recv(), client.recv()) == ("a", "b")
        assert time.monotonic() - started < 1.8
