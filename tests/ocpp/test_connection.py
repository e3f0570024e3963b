"""A conversation over a real socket: dispatch, correlation, one call at a time, late replies, repetitions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ocpp_ws.pinger import Pinger
from tests.ocpp.wire import BINARY, TEXT, Gateway, RawStation, wait_until

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-01-02T03:04:05Z"}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A server that answers InternalError where its own answer would break the schema."""
    running = Gateway(strict_out=True)
    yield running
    assert running.stop() == ""


def ask(station: RawStation, message_id: str, action: str, payload: Any) -> list[Any]:
    """One CALL of the station and the answer to it."""
    station.send(TEXT, json.dumps([2, message_id, action, payload]).encode())
    answer: list[Any] = json.loads(station.read_text())
    return answer


class Asking(threading.Thread):
    """A call of the server's to a station, under way in a thread of the test."""

    def __init__(self, gateway: Gateway, station_id: str, action: str, payload: Any, timeout_s: float = 5) -> None:
        super().__init__()
        self._arguments = (gateway, station_id, action, payload, timeout_s)
        self.outcome: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        gateway, *arguments = self._arguments
        self.outcome = gateway.call(*arguments)

    def wait(self) -> dict[str, Any]:
        """Its outcome."""
        self.join(10)
        return self.outcome


# ---------------------------------------------------------------------- the station's calls


def test_a_call_is_dispatched_and_answered_in_compact_json(gateway: Gateway) -> None:
    with gateway.station("CP-dispatch") as station:
        station.send(TEXT, b'[2, "1", "DataTransfer", {"vendorId": "V"}]')
        assert station.read_text() == '[3,"1",{"status":"Accepted","data":"V"}]'
        answer = ask(station, "2", "StartTransaction", START)
        assert answer == [3, "2", {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}]


def test_several_calls_may_be_outstanding_and_are_answered_in_order(gateway: Gateway) -> None:
    with gateway.station("CP-pipeline") as station:
        slow = json.dumps([2, "a", "DataTransfer", {"vendorId": "slow", "data": "0.1"}])
        station.send(TEXT, slow.encode())
        for number in range(5):
            station.send(TEXT, json.dumps([2, str(number), "Heartbeat", {}]).encode())
        assert [json.loads(station.read_text())[1] for _ in range(6)] == ["a", "0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('[2,"1","SelfDestruct",{}]', [4, "1", "NotImplemented", "SelfDestruct is not handled here", {}]),
        ('[2,"1","Reset",{"type":"Soft"}]', [4, "1", "NotSupported", "Reset is not handled here", {}]),
        ('[2,"1","Heartbeat",[]]', [4, "1", "FormationViolation", "the payload is not a JSON object", {}]),
        ('[2,"1",7,{}]', [4, "1", "FormationViolation", "the action is not a string", {}]),
        ("nonsense", [4, "-1", "FormationViolation", "not JSON", {}]),
        ("{}", [4, "-1", "FormationViolation", "a frame is a JSON list", {}]),
        ('[2,"1","DataTransfer",{"vendorId":"crash"}]', [4, "1", "InternalError", "internal error", {}]),
        ('[2,"1","DataTransfer",{"vendorId":"refuse"}]', [4, "1", "SecurityError", "not for you", {}]),
        ('[2,"1","DataTransfer",{"vendorId":"invalid-answer"}]', [4, "1", "InternalError", "internal error", {}]),
        ('[2,"1","DataTransfer",{"vendorId":"call"}]', [4, "1", "InternalError", "internal error", {}]),
        (
            '[2,"1","StartTransaction",{"connectorId":1,"idTag":"T"}]',
            [4, "1", "OccurenceConstraintViolation", "meterStart is required", {}],
        ),
    ],
)
def test_what_cannot_be_handled_is_answered_and_survived(gateway: Gateway, text: str, answer: list[Any]) -> None:
    with gateway.station("CP-errors") as station:
        station.send(TEXT, text.encode())
        assert json.loads(station.read_text()) == answer
        assert ask(station, "2", "Heartbeat", None)[0] == 3


def test_soft_faults_are_answered_normally_and_reported(gateway: Gateway) -> None:
    with gateway.station("CP-soft") as station:
        sloppy = START | {"connectorId": "1", "meterStart": None, "meter_start": 5}
        assert ask(station, "1", "StartTransaction", sloppy)[0] == 3
        assert ask(station, "2", "Heartbeat", None)[0] == 3
    found = [one[1:4] for one in gateway.seen()["deviations"] if one[0] == "CP-soft"]
    assert ["StartTransaction", "string_for_number", "connectorId"] in found
    assert ["Heartbeat", "payload_null", ""] in found


def test_an_unknown_message_type_is_ignored_in_1_6(gateway: Gateway) -> None:
    with gateway.station("CP-type") as station:
        station.send(TEXT, b'[7,"x",{}]')
        assert ask(station, "1", "Heartbeat", {})[1] == "1"


def test_binary_frames_with_text_are_understood(gateway: Gateway) -> None:
    with gateway.station("CP-binary") as station:
        station.send(BINARY, b'[2,"1","Heartbeat",{}]')
        assert station.read_text().startswith('[3,"1",')
        station.send(BINARY, b"\xff\xfe")
        assert station.read_close() == (1003, b"text expected")


def test_somebody_who_speaks_no_ocpp_is_thrown_out(gateway: Gateway) -> None:
    with gateway.station("CP-stranger") as station:
        for _ in range(50):
            station.send(TEXT, b"HELO")
            station.read_text()
        assert station.read_close() == (1008, b"no OCPP")


def test_good_frames_between_forgive_the_bad_ones(gateway: Gateway) -> None:
    with gateway.station("CP-stutter") as station:
        for number in range(120):
            station.send(TEXT, b"HELO" if number % 3 else b'[2,"1","Heartbeat",{}]')
            station.read_text()
        assert ask(station, "1", "Heartbeat", {})[0] == 3


# ---------------------------------------------------------------------- repetitions


def test_a_repeated_message_gets_the_same_answer_and_is_handled_once(gateway: Gateway) -> None:
    with gateway.station("CP-repeat") as station:
        first = ask(station, "same", "StartTransaction", START)
        assert ask(station, "same", "StartTransaction", START) == first
        assert gateway.seen()["calls"]["CP-repeat/StartTransaction"] == 1


def test_an_id_used_again_for_other_content_is_another_message(gateway: Gateway) -> None:
    """Firmware exists that numbers all its messages alike; its meter values must not be lost."""
    with gateway.station("CP-constant") as station:
        first = ask(station, "1", "StartTransaction", START)
        second = ask(station, "1", "StartTransaction", START | {"meterStart": 5})
        assert (first[2]["transactionId"], second[2]["transactionId"]) == (1, 2)
        before = ask(station, "1", "Heartbeat", {})
        time.sleep(0.01)
        assert ask(station, "1", "Heartbeat", {}) != before  # the time is not an old one


def test_ids_are_remembered_within_one_connection_only(gateway: Gateway) -> None:
    for transaction_id in (1, 2):
        with gateway.station("CP-again") as station:
            assert ask(station, "same", "StartTransaction", START)[2]["transactionId"] == transaction_id


def test_only_the_last_answers_are_remembered(gateway: Gateway) -> None:
    with gateway.station("CP-forget") as station:
        for number in range(5):
            ask(station, f"id{number}", "StartTransaction", START | {"meterStart": number})
        assert ask(station, "id4", "StartTransaction", START | {"meterStart": 4})[2]["transactionId"] == 5
        assert ask(station, "id0", "StartTransaction", START | {"meterStart": 0})[2]["transactionId"] == 6


# ---------------------------------------------------------------------- our calls


def test_a_call_of_ours_is_answered(gateway: Gateway) -> None:
    with gateway.station("CP-call") as station:
        asking = Asking(gateway, "CP-call", "Reset", {"type": "Soft"})
        kind, message_id, action, payload = json.loads(station.read_text())
        assert (kind, action, payload) == (2, "Reset", {"type": "Soft"})
        assert 0 < len(message_id) <= 36
        station.send(TEXT, json.dumps([3, message_id, {"status": "Accepted"}]).encode())
        assert asking.wait() == {"result": {"status": "Accepted"}}


def test_the_station_may_ask_before_it_answers(gateway: Gateway) -> None:
    """A strictly serial reader would deadlock here (stations.md, seen on the wire)."""
    with gateway.station("CP-nested") as station:
        asking = Asking(gateway, "CP-nested", "UnlockConnector", {"connectorId": 1})
        message_id = json.loads(station.read_text())[1]
        assert ask(station, message_id, "StartTransaction", START)[0] == 3  # even with the same id
        station.send(TEXT, json.dumps([3, message_id, {"status": "Unlocked"}]).encode())
        assert asking.wait() == {"result": {"status": "Unlocked"}}


def test_never_two_calls_in_flight(gateway: Gateway) -> None:
    with gateway.station("CP-serial") as station:
        asking = [Asking(gateway, "CP-serial", "ClearCache", {}) for _ in range(3)]
        ids = set()
        for _ in asking:
            message_id = json.loads(station.read_text())[1]
            ids.add(message_id)
            station.sock.settimeout(0.15)
            with pytest.raises(TimeoutError):  # the next is not sent before this one is answered
                station.read(1)
            station.sock.settimeout(10)
            station.send(TEXT, json.dumps([3, message_id, {"status": "Accepted"}]).encode())
        assert [one.wait() for one in asking] == [{"result": {"status": "Accepted"}}] * 3
        assert len(ids) == 3


def test_waiting_in_line_counts_against_the_time_out(gateway: Gateway) -> None:
    with gateway.station("CP-line") as station:
        first = Asking(gateway, "CP-line", "ClearCache", {}, timeout_s=0.6)
        station.read_text()
        second = gateway.call("CP-line", "ClearCache", {}, timeout_s=0.2)
        assert second == {"error": "CallTimedOut", "sent": False}
        assert first.wait() == {"error": "CallTimedOut", "sent": True}
        station.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            station.read(1)


def test_a_late_reply_is_recorded_and_does_not_answer_another_call(gateway: Gateway) -> None:
    with gateway.station("CP-late") as station:
        assert gateway.call("CP-late", "Reset", {"type": "Soft"}, timeout_s=0.1) == {
            "error": "CallTimedOut",
            "sent": True,
        }
        late_id = json.loads(station.read_text())[1]
        asking = Asking(gateway, "CP-late", "ClearCache", {})
        message_id = json.loads(station.read_text())[1]
        station.send(TEXT, json.dumps([3, late_id, {"status": "Rejected"}]).encode())
        station.send(TEXT, b'[3,"never-asked",{}]')
        station.send(TEXT, json.dumps([3, message_id, {"status": "Accepted"}]).encode())
        assert asking.wait() == {"result": {"status": "Accepted"}}
    late = [one[1:] for one in gateway.seen()["late"] if one[0] == "CP-late"]
    assert late == [[late_id, "Reset"], ["never-asked", None]]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ('[4,"{id}","NotSupported","not here",{{}}]', {"code": "NotSupported", "description": "not here"}),
        ('[4,"{id}",null]', {"code": "GenericError", "description": ""}),
        ('[4,"-1","FormationViolation",""]', {"code": "FormationViolation", "description": ""}),
        ('[3,"{id}",["Accepted"]]', {"code": "FormationViolation", "description": "the payload is not a JSON object"}),
    ],
)
def test_an_error_reply_is_surfaced(gateway: Gateway, reply: str, outcome: dict[str, Any]) -> None:
    with gateway.station("CP-refuses") as station:
        asking = Asking(gateway, "CP-refuses", "ClearCache", {})
        message_id = json.loads(station.read_text())[1]
        station.send(TEXT, reply.format(id=message_id).encode())
        assert asking.wait() == {"error": "StationCallError"} | outcome


def test_answers_are_normalised_and_an_unusable_one_is_shown_as_it_is(gateway: Gateway) -> None:
    with gateway.station("CP-sloppy") as station:
        for sent, shown in (({"status": "accepted"}, {"status": "Accepted"}), ({"status": "Maybe"},) * 2):
            asking = Asking(gateway, "CP-sloppy", "ClearCache", {})
            message_id = json.loads(station.read_text())[1]
            station.send(TEXT, json.dumps([3, message_id, sent]).encode())
            assert asking.wait() == {"result": shown}
    found = [one[1:4] for one in gateway.seen()["deviations"] if one[0] == "CP-sloppy"]
    assert found == [["ClearCache", "enum_misspelt", "status"], ["ClearCache", "answer_unusable", "status"]]


def test_what_breaks_the_schema_is_not_sent(gateway: Gateway) -> None:
    with gateway.station("CP-strict") as station:
        outcome = gateway.call("CP-strict", "Reset", {"type": "Gentle"})
        assert outcome["error"] == "InvalidPayload" and outcome["text"].startswith("Reset: type: ")
        assert ask(station, "1", "Heartbeat", {})[0] == 3  # nothing came before this


def test_a_call_to_nobody_says_so_at_once(gateway: Gateway) -> None:
    assert gateway.call("CP-nobody", "ClearCache", {}) == {"error": "NotConnected"}


def test_the_end_of_the_connection_ends_waiting_calls(gateway: Gateway) -> None:
    with gateway.station("CP-leaves") as station:
        asking = [Asking(gateway, "CP-leaves", "ClearCache", {}) for _ in range(2)]
        station.read_text()
        time.sleep(0.1)
        started = time.monotonic()
    for one in asking:
        assert one.wait()["error"] == "NotConnected"
    assert time.monotonic() - started < 1.0


def test_a_kick_ends_waiting_calls(gateway: Gateway) -> None:
    with gateway.station("CP-replaced") as station:
        asking = Asking(gateway, "CP-replaced", "ClearCache", {})
        station.read_text()
        gateway.control("kick", id="CP-replaced", code=1000, reason="newer socket")
        assert asking.wait()["error"] == "NotConnected"
        assert station.read_close() == (1000, b"newer socket")


def test_a_slow_handler_holds_up_only_its_own_station(gateway: Gateway) -> None:
    with gateway.station("CP-slow") as slow, gateway.station("CP-quick") as quick:
        slow.send(TEXT, b'[2,"1","DataTransfer",{"vendorId":"slow","data":"0.5"}]')
        started = time.monotonic()
        assert ask(quick, "1", "Heartbeat", {})[0] == 3
        assert time.monotonic() - started < 0.3
        assert json.loads(slow.read_text())[0] == 3


# ---------------------------------------------------------------------- the log


def test_every_frame_is_offered_to_the_log(gateway: Gateway) -> None:
    with gateway.station("CP-logged") as station:
        ask(station, "1", "Heartbeat", {})
        station.send(TEXT, b"nonsense")
        station.read_text()
        asking = Asking(gateway, "CP-logged", "ClearCache", {})
        text = station.read_text()
        message_id = json.loads(text)[1]
        reply = json.dumps([3, message_id, {"status": "Accepted"}])
        station.send(TEXT, reply.encode())
        asking.wait()
    frames = [one[1:] for one in gateway.seen()["frames"] if one[0] == "CP-logged"]
    assert [frame[:4] for frame in frames] == [
        ["in", "1", "Heartbeat", "call"],
        ["out", "1", "Heartbeat", "result"],
        ["in", None, None, "invalid"],
        ["out", None, None, "error"],
        ["out", message_id, "ClearCache", "call"],
        ["in", message_id, "ClearCache", "result"],
    ]
    assert frames[0][4] == '[2, "1", "Heartbeat", {}]' and frames[4][4] == text and frames[5][4] == reply


def test_a_broken_log_does_not_hurt_the_conversation(gateway: Gateway) -> None:
    with gateway.station("CP-broken-log") as station:
        assert ask(station, "break-the-log", "Heartbeat", {})[0] == 3
        assert ask(station, "2", "Heartbeat", {})[0] == 3


def test_a_handlers_failure_is_logged_with_its_reason_and_shown_without() -> None:
    gateway = Gateway()
    with gateway.station("CP-crash") as station:
        assert ask(station, "1", "DataTransfer", {"vendorId": "crash"})[3] == "internal error"
        # Not strict: a slip in an answer of ours is logged and sent.
        assert ask(station, "2", "DataTransfer", {"vendorId": "invalid-answer"})[2] == {"status": "Perhaps"}
    gateway.stop()
    assert "secret detail" in gateway.log and "our answer breaks the schema" in gateway.log


def test_connections_leave_nothing_behind(gateway: Gateway) -> None:
    for number in range(20):
        with gateway.station(f"CP-brief-{number}"):
            pass
    wait_until(lambda: not gateway.seen()["open"])
    assert gateway.seen()["watched"] == 0


# ---------------------------------------------------------------------- pinger, by itself


class QuietSocket:
    """What the pinger needs of a socket."""

    def __init__(self) -> None:
        self.last_frame_at = 0.0
        self.pings = 0
        self.is_sending = False
        self.kicked: tuple[int, str] | None = None

    def ping(self) -> bool:
        if self.is_sending:
            return False
        self.pings += 1
        return True

    def kick(self, code: int, reason: str) -> None:
        self.kicked = (code, reason)


def test_the_pinger_asks_the_quiet_and_closes_the_silent() -> None:
    now = 0.0
    pinger = Pinger(interval_s=60, pong_timeout_s=20, clock=lambda: now)
    socket: Any = QuietSocket()
    pinger.add(socket)
    pinger.tick()
    assert socket.pings == 0
    now = 59.9
    pinger.tick()
    assert socket.pings == 0
    now = 60.0
    socket.is_sending = True
    pinger.tick()
    socket.is_sending = False
    pinger.tick()
    assert socket.pings == 1
    now = 79.9
    pinger.tick()
    assert (socket.pings, socket.kicked) == (1, None)
    socket.last_frame_at = 79.95  # the pong
    now = 80.0
    pinger.tick()
    assert socket.kicked is None
    now = 140.0
    pinger.tick()
    assert socket.pings == 2
    now = 160.0
    pinger.tick()
    assert socket.kicked == (1011, "no pong") and len(pinger) == 0


@pytest.mark.parametrize("interval_s", [0, -1, 60.1])
def test_the_ping_interval_is_at_most_a_minute(interval_s: float) -> None:
    with pytest.raises(ValueError):
        Pinger(interval_s=interval_s)
