"""RFC 6455 on the wire: the cases of the Autobahn suite by hand, limits, and what a dead peer looks like."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import zlib
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from ocpp_ws import framing
from tests.ocpp.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Gateway,
    RawStation,
    close_payload,
    encode,
    upgrade_request,
    xor,
)

MAX_BYTES = 64 * 1024
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A server with small limits, so that they can be reached; it must not write to standard error."""
    running = Gateway(
        limits={
            "max_message_bytes": MAX_BYTES,
            "max_fragments": 64,
            "send_timeout_s": 1.0,
            "close_timeout_s": 1.5,
        }
    )
    yield running
    assert running.stop() == ""


def deflated(data: bytes) -> bytes:
    """A message compressed as permessage-deflate has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


# ---------------------------------------------------------------------- 1 messages


@pytest.mark.parametrize("size", [0, 1, 4, 125, 126, 127, 128, 2047, 2048, 65535, MAX_BYTES])
def test_text_and_binary_of_every_length_class_come_back(gateway: Gateway, size: int) -> None:
    with gateway.station("echo-sizes") as station:
        text = ("*" * size).encode()
        station.send(TEXT, text)
        assert station.read_frame() == (True, 0, TEXT, text)
        data = os.urandom(size)
        station.send(BINARY, data)
        assert station.read_frame() == (True, 0, BINARY, data)


@pytest.mark.parametrize("chop", [1, 7, 997])
def test_frames_may_arrive_in_any_pieces(gateway: Gateway, chop: int) -> None:
    with gateway.station("echo-chopped") as station:
        wire = encode(TEXT, b"a" * 70) + encode(PING, b"p") + encode(TEXT, b"b" * 2000)
        for start in range(0, len(wire), chop):
            station.write(wire[start : start + chop])
        assert station.read_text() == "a" * 70
        assert station.read_frame() == (True, 0, PONG, b"p")
        assert station.read_text() == "b" * 2000


def test_a_frame_sent_with_the_request_is_not_lost(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        station.write(upgrade_request("/ocpp/echo-eager") + encode(TEXT, b"early") + encode(TEXT, b"bird" * 600))
        assert " 101 " in station.read_head()
        assert station.read_text() == "early"
        assert station.read_text() == "bird" * 600


def test_an_overlong_length_field_is_understood(gateway: Gateway) -> None:
    with gateway.station("echo-long-length") as station:
        station.write(b"\x81\xff" + (2).to_bytes(8, "big") + b"\x00\x00\x00\x00hi")
        assert station.read_text() == "hi"


# ---------------------------------------------------------------------- 2 ping and pong


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
def test_ping_is_answered_with_its_payload(gateway: Gateway, payload: bytes) -> None:
    with gateway.station("echo-ping") as station:
        station.send(PING, payload)
        assert station.read_frame() == (True, 0, PONG, payload)


def test_ten_pings_get_ten_pongs_in_order_and_unasked_pongs_nothing(gateway: Gateway) -> None:
    with gateway.station("echo-pings") as station:
        station.send(PONG, b"unasked")
        for number in range(10):
            station.send(PING, b"%d" % number)
        assert [station.read_frame().payload for _ in range(10)] == [b"%d" % number for number in range(10)]


# ---------------------------------------------------------------------- 3, 4 reserved bits and opcodes


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits_are_refused(gateway: Gateway, rsv: int, opcode: int) -> None:
    with gateway.station("echo-rsv") as station:
        station.send(opcode, rsv=rsv)
        assert station.read_close()[0] == 1002
        station.assert_ended()


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_are_refused(gateway: Gateway, opcode: int) -> None:
    with gateway.station("echo-opcode") as station:
        station.send(TEXT, b"before")
        station.send(opcode, b"x")
        assert station.read_text() == "before"
        assert station.read_close()[0] == 1002
        station.assert_ended()


def test_unmasked_frames_are_refused(gateway: Gateway) -> None:
    with gateway.station("echo-unmasked") as station:
        station.send(TEXT, b"naked", masked=False)
        assert station.read_close() == (1002, b"frame is not masked")
        station.assert_ended()
    assert gateway.ended("echo-unmasked") == ("us", 1002, "frame is not masked")


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_are_short_and_whole(gateway: Gateway, opcode: int) -> None:
    for how in ({"payload": b"x" * 126}, {"payload": b"", "fin": False}):
        with gateway.station("echo-control") as station:
            station.send(opcode, **how)  # type: ignore[arg-type]
            assert station.read_close()[0] == 1002
            station.assert_ended()


# ---------------------------------------------------------------------- 5 fragmentation


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_are_joined_round_control_frames(gateway: Gateway, opcode: int) -> None:
    with gateway.station("echo-fragments") as station:
        station.send(opcode, b"one ", fin=False)
        station.send(PING, b"1")
        station.send(CONTINUATION, b"", fin=False)
        station.send(CONTINUATION, b"two ", fin=False)
        station.send(PING, b"2")
        station.send(PONG, b"0")
        station.send(CONTINUATION, b"three")
        assert [station.read_frame() for _ in range(3)] == [
            (True, 0, PONG, b"1"),
            (True, 0, PONG, b"2"),
            (True, 0, opcode, b"one two three"),
        ]


def test_text_cut_inside_a_character_is_joined(gateway: Gateway) -> None:
    text = "κόσμε €".encode()
    with gateway.station("echo-utf8-fragments") as station:
        for index in range(len(text)):
            station.send(TEXT if index == 0 else CONTINUATION, text[index : index + 1], fin=index == len(text) - 1)
        assert station.read_text() == "κόσμε €"


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([encode(CONTINUATION, b"x")], "continuation of nothing"),
        ([encode(CONTINUATION, b"x", fin=False)], "continuation of nothing"),
        ([encode(TEXT, b"a", fin=False), encode(TEXT, b"b")], "new message inside a fragmented one"),
        ([encode(TEXT, b"a", fin=False), encode(BINARY, b"b", fin=False)], "new message inside a fragmented one"),
    ],
)
def test_misplaced_fragments_are_refused(gateway: Gateway, frames: list[bytes], why: str) -> None:
    with gateway.station("echo-misplaced") as station:
        station.write(b"".join(frames))
        assert station.read_close() == (1002, why.encode())
        station.assert_ended()


# ---------------------------------------------------------------------- 6 UTF-8


INVALID_UTF8 = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # a surrogate
    b"\xf4\x90\x80\x80",  # beyond the last code point
    b"\xc0\x80",  # overlong NUL
    b"\xe0\x80\xaf",
    b"\xff",
    b"\x80",
    b"\xce\xba\xe1",  # cut short
]


@pytest.mark.parametrize("data", INVALID_UTF8)
def test_text_that_is_not_utf8_is_refused(gateway: Gateway, data: bytes) -> None:
    with gateway.station("echo-utf8") as station:
        station.send(TEXT, data)
        assert station.read_close() == (1007, b"invalid UTF-8")
        station.assert_ended()
    with gateway.station("echo-utf8-parts") as station:
        station.send(TEXT, b"fine", fin=False)
        station.send(CONTINUATION, data)
        assert station.read_close()[0] == 1007
        station.assert_ended()


def test_invalid_text_is_refused_before_its_last_fragment(gateway: Gateway) -> None:
    with gateway.station("echo-utf8-early") as station:
        station.send(TEXT, b"\xce\xba\xf4\x90", fin=False)
        assert station.read_close()[0] == 1007


@pytest.mark.parametrize("text", ["\x00", "\x7f", "\ud7ff", "\ue000", "�", "\uffff", "\U0010ffff", "Hello-µ@ßöä"])
def test_every_valid_character_passes(gateway: Gateway, text: str) -> None:
    with gateway.station("echo-utf8-good") as station:
        station.send(TEXT, text.encode())
        assert station.read_text() == text


# ---------------------------------------------------------------------- 7 close


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_a_valid_close_is_echoed(gateway: Gateway, code: int) -> None:
    with gateway.station(f"echo-close-{code}") as station:
        station.send(CLOSE, close_payload(code, "bye €".encode()))
        assert station.read_close()[0] == code
        station.assert_ended()
    assert gateway.ended(f"echo-close-{code}") == ("station", code, "bye €")


def test_a_close_without_status_is_answered_without_one(gateway: Gateway) -> None:
    with gateway.station("echo-close-empty") as station:
        station.send(CLOSE)
        assert station.read_close() == (None, b"")
        station.assert_ended()
    assert gateway.ended("echo-close-empty") == ("station", 1005, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_an_invalid_close_status_is_answered_by_1002(gateway: Gateway, code: int) -> None:
    with gateway.station("echo-close-bad") as station:
        station.send(CLOSE, close_payload(code))
        assert station.read_close() == (1002, b"invalid close status")
        station.assert_ended()


def test_half_a_status_and_a_garbled_reason_are_refused(gateway: Gateway) -> None:
    for payload, answer in ((b"\x03", 1002), (close_payload(1000, b"\xff\xfe"), 1007)):
        with gateway.station("echo-close-garbled") as station:
            station.send(CLOSE, payload)
            assert station.read_close()[0] == answer
            station.assert_ended()


def test_nothing_is_answered_after_a_close(gateway: Gateway) -> None:
    with gateway.station("echo-after-close") as station:
        station.write(encode(CLOSE, close_payload(1000)) + encode(PING, b"still there?") + encode(TEXT, b"hello"))
        assert station.read_close()[0] == 1000
        station.assert_ended()


def test_a_station_that_just_vanishes_is_told_apart(gateway: Gateway) -> None:
    with gateway.station("echo-vanish") as station:
        station.send(TEXT, b"half a message", fin=False)
    assert gateway.ended("echo-vanish") == ("network", 1006, "connection lost")


def test_a_crash_behind_the_socket_closes_with_1011_and_says_nothing() -> None:
    gateway = Gateway()
    with gateway.station("crash") as station:
        assert station.read_close() == (1011, b"internal error")
    with gateway.station("echo-next") as station:
        station.send(TEXT, b"alive")
        assert station.read_text() == "alive"
    assert gateway.stop() == ""
    assert "connection failed" in gateway.log and "secret detail" in gateway.log


# ---------------------------------------------------------------------- 9 limits


def test_a_message_over_the_limit_is_refused_by_its_header(gateway: Gateway) -> None:
    with gateway.station("echo-big") as station:
        station.write(b"\x81\xff" + (MAX_BYTES + 1).to_bytes(8, "big"))
        assert station.read_close() == (1009, b"more than 65536 bytes")
    with gateway.station("echo-huge") as station:
        station.write(b"\x82\xff" + (1 << 62).to_bytes(8, "big"))
        assert station.read_close()[0] == 1009
    with gateway.station("echo-negative") as station:
        station.write(b"\x82\xff" + (1 << 63).to_bytes(8, "big"))
        assert station.read_close()[0] == 1002


def test_fragments_count_together(gateway: Gateway) -> None:
    with gateway.station("echo-sum") as station:
        station.send(TEXT, b"x" * MAX_BYTES, fin=False)
        station.send(CONTINUATION, b"x")
        assert station.read_close()[0] == 1009
    with gateway.station("echo-many") as station:
        station.write(encode(TEXT, b"", fin=False) + encode(CONTINUATION, b"", fin=False) * 64)
        assert station.read_close() == (1009, b"too many fragments")


def test_a_flood_in_flight_does_not_hide_the_reason(gateway: Gateway) -> None:
    """A peer in the middle of a 16 MiB frame still reads our close frame, and nobody else waits for it."""
    with gateway.station("echo-flood") as flood, gateway.station("echo-other") as other:
        flood.write(b"\x82\xff" + (16 << 20).to_bytes(8, "big"))
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                flood.write(bytes(65536))
        started = time.monotonic()
        other.send(TEXT, b"quick")
        assert other.read_text() == "quick"
        assert time.monotonic() - started < 1.0
        assert flood.read_close()[0] == 1009


def test_a_station_that_never_stops_sending_keeps_nobody_out(gateway: Gateway) -> None:
    with gateway.station("echo-chatter") as chatter, gateway.station("echo-patient") as patient:
        chatter.sock.setblocking(False)
        wire = encode(PONG) * 10_000
        deadline = time.monotonic() + 1.0
        worst = 0.0
        patient.sock.settimeout(5)
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                chatter.sock.send(wire)
            started = time.monotonic()
            patient.send(TEXT, b"me too")
            assert patient.read_text() == "me too"
            worst = max(worst, time.monotonic() - started)
        assert worst < 1.0


def test_a_station_that_does_not_read_is_dropped_and_blocks_nobody(gateway: Gateway) -> None:
    with gateway.station("echo-deaf") as deaf, gateway.station("echo-hearing") as hearing:
        started = time.monotonic()
        results = gateway.control("send", id="echo-deaf", count=3, bytes=16 << 20)
        assert results == ["connection has ended"] * 3
        assert time.monotonic() - started < 5
        hearing.send(TEXT, b"still here")
        assert hearing.read_text() == "still here"
        assert gateway.ended("echo-deaf") == ("network", 1006, "send timed out")
        deaf.sock.close()


def test_many_greenlets_may_send_at_once_and_nothing_is_torn(gateway: Gateway) -> None:
    with gateway.station("echo-busy") as station:
        results: list[str] = []
        sender = threading.Thread(
            target=lambda: results.extend(gateway.control("send", id="echo-busy", count=40, bytes=50_000))
        )
        sender.start()
        texts = [station.read_text() for _ in range(40)]
        sender.join()
        assert results == ["sent"] * 40
        assert all(len(text) == 50_000 and len(set(text)) == 1 for text in texts)
        assert sorted(text[0] for text in texts) == sorted(str(number % 10) for number in range(40))


# ---------------------------------------------------------------------- 12, 13 compression


def test_deflate_is_negotiated_without_context_in_both_directions(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/echo-deflate", headers=(f"{DEFLATE}; client_max_window_bits",))
        assert (
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
            in head
        )
        for _ in range(2):  # twice: the second message must not depend on the first
            station.send(TEXT, deflated(b"short"), rsv=4)
            assert station.read_text() == "short"  # not worth compressing
            text = b"meter value " * 500
            station.send(TEXT, deflated(text), rsv=4)
            frame = station.read_frame()
            assert (frame.fin, frame.rsv, frame.opcode) == (True, 4, TEXT)
            assert len(frame.payload) < 200
            assert zlib.decompressobj(-15).decompress(frame.payload + b"\x00\x00\xff\xff") == text
        station.send(TEXT, b"plain is allowed too")
        assert station.read_text() == "plain is allowed too"


def test_compressed_fragments_and_a_final_block_are_understood(gateway: Gateway) -> None:
    with gateway.station("echo-deflate-parts", headers=(DEFLATE,)) as station:
        data = deflated("zerteilt ü".encode())
        station.send(TEXT, data[:3], rsv=4, fin=False)
        station.send(PING, b"between")
        station.send(CONTINUATION, data[3:])
        assert station.read_frame().opcode == PONG
        assert station.read_text() == "zerteilt ü"
        station.send(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4)  # RFC 7692, 7.2.3.4
        assert station.read_text() == "Hello"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode(TEXT, b"\xff\xff\xff\xff", rsv=4), 1007),
        (encode(TEXT, deflated(b"\xff\xfe"), rsv=4), 1007),
        (encode(TEXT, b"a", fin=False) + encode(CONTINUATION, b"b", rsv=4), 1002),
        (encode(PING, b"a", rsv=4), 1002),
        (encode(TEXT, b"a", rsv=6), 1002),
        (encode(TEXT, deflated(bytes(MAX_BYTES + 1)), rsv=4), 1009),
        (encode(TEXT, deflated(bytes(100 << 20)), rsv=4), 1009),
    ],
    ids=["garbage", "not utf-8", "rsv1 on continuation", "rsv1 on ping", "rsv2 too", "a byte too much", "bomb"],
)
def test_bad_compression_is_refused(gateway: Gateway, frame: bytes, code: int) -> None:
    with gateway.station("echo-deflate-bad", headers=(DEFLATE,)) as station:
        station.write(frame)
        assert station.read_close()[0] == code
        station.assert_ended()


def test_a_full_message_may_inflate_to_exactly_the_limit(gateway: Gateway) -> None:
    with gateway.station("echo-deflate-limit", headers=(DEFLATE,)) as station:
        station.send(BINARY, deflated(bytes(MAX_BYTES)), rsv=4)
        frame = station.read_frame()
        assert zlib.decompressobj(-15).decompress(frame.payload + b"\x00\x00\xff\xff") == bytes(MAX_BYTES)


def test_a_small_window_asked_for_is_kept(gateway: Gateway) -> None:
    with RawStation(gateway.port) as station:
        head = station.upgrade("/ocpp/echo-window", headers=(f"{DEFLATE}; server_max_window_bits=9",))
        assert "; server_max_window_bits=9\r\n" in head
        data = os.urandom(600) * 4  # repeats beyond 512 bytes: only a larger window could refer back to them
        station.send(BINARY, data)
        payload = station.read_frame().payload
        assert len(payload) > 2000
        assert zlib.decompressobj(-9).decompress(payload + b"\x00\x00\xff\xff") == data


def test_a_library_client_agrees(gateway: Gateway) -> None:
    with connect(gateway.url("/ocpp/echo-library"), subprotocols=["ocpp1.6"]) as client:  # type: ignore[list-item]
        for message in ("", "short", "x" * 5000, b"\x00" * 5000, "ü" * 30_000):
            client.send(message)
            assert client.recv() == message
        client.send(["in ", "three ", "parts"])
        assert client.recv() == "in three parts"
        assert client.ping().wait(5)
    assert gateway.ended("echo-library")[:2] == ("station", 1000)


# ---------------------------------------------------------------------- kick, half-open, stop


def test_kick_from_another_greenlet_wakes_the_reader(gateway: Gateway) -> None:
    with gateway.station("echo-kicked") as station:
        station.send(TEXT, b"x")
        station.read_text()
        started = time.monotonic()
        gateway.control("kick", id="echo-kicked", code=4001, reason="a newer connection of this station")
        assert station.read_close() == (4001, b"a newer connection of this station")
        assert gateway.ended("echo-kicked") == ("us", 4001, "a newer connection of this station")
        station.send(TEXT, b"already too late")
        station.send(CLOSE, close_payload(4001))
        station.assert_ended()
        assert time.monotonic() - started < 1.2  # did not wait for the close time-out


def test_a_kicked_station_that_does_not_answer_is_cut_off(gateway: Gateway) -> None:
    with gateway.station("echo-mute") as station:
        gateway.control("kick", id="echo-mute", code=1000, reason="r" * 200)
        code, reason = station.read_close()
        assert (code, len(reason)) == (1000, 123)
        started = time.monotonic()
        station.assert_ended(within_s=5)
        assert time.monotonic() - started > 1.0


def test_a_kick_inside_a_frame_still_ends_with_a_handshake(gateway: Gateway) -> None:
    with gateway.station("echo-inside") as station:
        text = encode(TEXT, b"m" * 300)
        station.write(text[:100])
        time.sleep(0.1)
        gateway.control("kick", id="echo-inside", code=4002, reason="now")
        assert station.read_close() == (4002, b"now")
        started = time.monotonic()
        station.write(text[100:] + encode(CLOSE, close_payload(4002)))
        station.assert_ended()
        assert time.monotonic() - started < 1.2  # the close time-out was not needed


def test_kick_frees_a_sender_that_waits_for_a_deaf_station() -> None:
    gateway = Gateway(limits={"send_timeout_s": 30.0, "close_timeout_s": 0.2})
    with gateway.station("echo-stuck") as station:
        results: list[str] = []
        sender = threading.Thread(
            target=lambda: results.extend(gateway.control("send", id="echo-stuck", count=2, bytes=8 << 20))
        )
        sender.start()
        time.sleep(0.3)
        station.send(TEXT, b"the reader waits for its turn to send, too")
        time.sleep(0.1)
        started = time.monotonic()
        gateway.control("kick", id="echo-stuck", code=1000, reason="newer socket")
        assert gateway.ended("echo-stuck") == ("us", 1000, "newer socket")
        sender.join(5)
        assert results == ["connection has ended"] * 2
        assert time.monotonic() - started < 2.0
    assert gateway.stop() == ""


def test_all_of_it_works_in_a_patched_process_too() -> None:
    """wsgi.py patches the process before it imports the gateway."""
    gateway = Gateway(patched=True, ping_interval_s=0.2, pong_timeout_s=0.3)
    url = gateway.url("/ocpp/echo-patched")
    with connect(url, subprotocols=["ocpp1.6"]) as client, gateway.station("echo-dead") as dead:  # type: ignore[list-item]
        client.send("x" * 5000)
        assert client.recv() == "x" * 5000
        assert dead.read_frame().opcode == PING
        assert dead.read_close() == (1011, b"no pong")
        gateway.control("kick", id="echo-patched", code=4000, reason="go")
        assert gateway.ended("echo-patched") == ("us", 4000, "go")
    assert gateway.call("echo-patched", "ClearCache", {}) == {"error": "NotConnected"}
    assert gateway.stop() == ""


def test_a_close_reason_is_not_cut_inside_a_character() -> None:
    payload = framing.encode_close(1000, ("€" * 50).encode())
    assert len(payload) == 2 + 123 and payload[2:].decode() == "€" * 41
    payload = framing.encode_close(1000, ("x" + "€" * 50).encode())
    assert payload[2:].decode() == "x" + "€" * 40


def test_a_half_open_socket_is_found_by_ping() -> None:
    gateway = Gateway(ping_interval_s=0.2, pong_timeout_s=0.3, limits={"close_timeout_s": 0.2})
    alive_url = gateway.url("/ocpp/echo-alive")
    with gateway.station("echo-dead") as dead, connect(alive_url, subprotocols=["ocpp1.6"]) as alive:  # type: ignore[list-item]
        started = time.monotonic()
        assert dead.read_frame().opcode == PING
        assert dead.read_close() == (1011, b"no pong")
        assert 0.4 < time.monotonic() - started < 4.0
        assert gateway.ended("echo-dead") == ("us", 1011, "no pong")
        time.sleep(0.6)
        alive.send("its library answers pings")
        assert alive.recv() == "its library answers pings"
        assert gateway.seen()["watched"] == 1
    gateway.stop()


def test_any_frame_counts_as_life() -> None:
    gateway = Gateway(ping_interval_s=0.8, pong_timeout_s=0.8)
    with gateway.station("echo-chatty") as station:
        for _ in range(12):
            station.send(TEXT, b"busy")
            assert station.read_text() == "busy"  # no ping comes between
            time.sleep(0.1)
        assert station.read_frame().opcode == PING  # quiet now
        station.send(PING, b"I am here")  # not a pong, but a frame
        assert station.read_frame() == (True, 0, PONG, b"I am here")
        assert station.read_frame().opcode == PING
    gateway.stop()


def test_a_stopping_gateway_says_goodbye() -> None:
    gateway = Gateway()
    with gateway.station("echo-goodbye") as station:
        gateway.stop()
        assert station.read_close() == (1012, b"service restart")


# ---------------------------------------------------------------------- pure parts


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 1000, 4099])
def test_both_ways_of_unmasking_agree_with_the_rfc(size: int) -> None:
    data = os.urandom(size)
    mask = os.urandom(4)
    assert framing.xor_mask(data, mask) == framing.unmask(data, mask) == xor(data, mask)


def test_the_compiled_helper_is_in_use() -> None:
    assert framing.unmask is not framing.xor_mask


def test_modules_do_not_patch_the_process() -> None:
    """Monkey patching belongs to wsgi.py; importing the gateway must leave this process as it is."""
    import socket

    import ocpp_ws.connection
    import ocpp_ws.server  # noqa: F401

    assert socket.socket.__module__ == "socket"
    assert threading.Thread.start.__module__ == "threading"
    assert asyncio.run(asyncio.sleep(0, "asyncio works")) == "asyncio works"
