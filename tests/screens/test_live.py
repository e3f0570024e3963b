"""Live events: who is told what, how often, and that nobody waits for a slow page."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from admin_views import live, live_hub
from admin_views.live_hub import Browser, Hub, topic_name, topics_of
from app.core import events
from app.core.db import db
from tests.support.factories_dashboard import PASSWORD, Visitor, make_admin, make_partner, signed_in, visitor
from tests.support.product import product

ALL = frozenset(live.NEEDS)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def page(
    *topics: str, clock: Any = time.monotonic, partner_id: int | None = None, kinds: frozenset[str] = ALL
) -> Browser:
    return Browser(admin_id=1, partner_id=partner_id, kinds=kinds, topics=frozenset(topics) or None, clock=clock)


# --- what an event concerns


@pytest.mark.parametrize(
    "event, topics",
    [
        ({"name": "charge_point.connection", "charge_point_id": 5}, "charge_point-5 charge_points dashboard"),
        ({"name": "charge_point.hardware", "charge_point_id": 5}, "charge_point-5 charge_points dashboard"),
        (
            {"name": "charge_point.changed", "charge_point_id": 5, "evse_id": 7},
            "charge_point-5 evse-7 charge_points dashboard",
        ),
        (
            {"name": "session.started", "charge_point_id": 5, "session_id": 9, "evse_id": 7, "user_id": 3},
            "charge_point-5 session-9 evse-7 user-3 sessions dashboard",
        ),
        (
            {"name": "session.metered", "charge_point_id": 5, "session_id": 9, "evse_id": 7, "user_id": 3},
            "session-9 evse-7 sessions dashboard",
        ),
        ({"name": "session.billed", "session_id": 9, "charge_point_id": None}, "session-9 sessions dashboard"),
        ({"name": "authorization.recorded", "authorization_id": 4, "charge_point_id": 5}, "authorizations"),
        ({"name": "action.changed", "action_id": 8, "charge_point_id": 5}, "charge_point-5 action-8 actions"),
        ({"name": "command.requested", "action_id": 8, "charge_point_id": 5}, "charge_point-5 action-8 actions"),
        ({"name": "balance.settled", "user_id": 3, "currency": "EUR"}, "user-3"),
        ({"name": "something.else", "charge_point_id": 5}, ""),
        ({}, ""),
        ({"name": "session.changed", "session_id": "9; DROP"}, "sessions dashboard"),
    ],
)
def test_an_event_concerns_topics(event: dict[str, Any], topics: str) -> None:
    assert topics_of(event) == topics.split()


@pytest.mark.parametrize(
    "text, topic",
    [
        ("charge_point-5", "charge_point-5"),
        ("charge_point:5", "charge_point-5"),
        ("session-007", "session-7"),
        ("dashboard", "dashboard"),
        ("dashboard-5", None),
        ("charge_point", None),
        ("charge_point-", None),
        ("charge_point-5\nevent: x", None),
        ("partner-5", None),
        ("", None),
    ],
)
def test_a_topic_is_taken_strictly(text: str, topic: str | None) -> None:
    assert topic_name(text) == topic


# --- one page


def test_the_first_event_comes_at_once_and_a_burst_becomes_one_more() -> None:
    clock = Clock()
    browser = page("charge_point-5", clock=clock)
    browser.offer(["charge_point-5"], 1)
    assert browser.take(timeout_s=0) == ["charge_point-5", "live"]
    for _ in range(50):
        browser.offer(["charge_point-5"], 1)
    clock.now += live_hub.SPACING_S - 0.01
    assert browser.take(timeout_s=0) == []
    clock.now += 0.02
    assert browser.take(timeout_s=0) == ["charge_point-5", "live"]
    clock.now += 10
    assert browser.take(timeout_s=0) == []


def test_collective_events_come_once_a_second() -> None:
    clock = Clock()
    browser = page("sessions", "session-9", clock=clock)
    browser.offer(["sessions", "session-9"], 1)
    assert browser.take(timeout_s=0) == ["sessions", "session-9", "live"]
    browser.offer(["sessions", "session-9"], 1)
    clock.now += 0.5
    assert browser.take(timeout_s=0) == ["session-9", "live"]
    clock.now += 0.6
    assert browser.take(timeout_s=0) == ["sessions", "live"]


def test_a_page_gets_only_what_it_asked_for_and_may_see() -> None:
    narrow = page("charge_point-5")
    narrow.offer(["charge_point-6", "charge_points"], 1)
    assert narrow.take(timeout_s=0) == []
    analyst = page(kinds=frozenset({"session", "sessions"}))
    analyst.offer(["charge_point-5", "session-9", "sessions"], 1)
    assert analyst.take(timeout_s=0) == ["session-9", "sessions", "live"]


def test_partners_are_told_of_their_own_rows_only() -> None:
    browser = page(partner_id=2)
    browser.offer(["session-9"], 1)
    browser.offer(["session-8"], None)
    assert browser.take(timeout_s=0) == []
    browser.offer(["session-7"], 2)
    assert browser.take(timeout_s=0) == ["session-7", "live"]


def test_a_page_that_reads_nothing_is_dropped_and_nobody_waits() -> None:
    hub = Hub("redis://127.0.0.1:1")
    slow, quick = page(), page("session-1")
    hub.add(slow)
    hub.add(quick)
    started = time.monotonic()
    for number in range(live_hub.MAX_PENDING + 10):
        hub.tell({"name": "session.changed", "session_id": number, "partner_id": 1})
    assert time.monotonic() - started < 1
    assert slow.closed
    assert slow.take(timeout_s=1) == []
    assert hub.browsers == 1
    assert quick.take(timeout_s=0) == ["session-1", "live"]
    hub.close()


def test_an_admin_has_so_many_pages_and_the_oldest_gives_way() -> None:
    hub = Hub("redis://127.0.0.1:1")
    pages = [page() for _ in range(live_hub.MAX_PER_ADMIN + 2)]
    for browser in pages:
        hub.add(browser)
    assert [browser.closed for browser in pages[:3]] == [True, True, False]
    assert hub.browsers == live_hub.MAX_PER_ADMIN
    hub.close()
    assert all(browser.closed for browser in pages)
    late = page()
    hub.add(late)
    assert late.closed


# --- over HTTP


@pytest.fixture
def hub(clean: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of the test's own, ended with it."""
    own = Hub(clean.config["REDIS_URL"])
    monkeypatch.setitem(clean.extensions, "live", own)
    yield own
    own.close()


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """The application on werkzeug's threaded server; gives the port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(5)


class Listener:
    """A browser's connection to /live."""

    def __init__(self, port: int, cookie: str, path: str = "/live", **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.connection.request("GET", path, headers={"Cookie": cookie, **headers})
        self.response = self.connection.getresponse()

    def line(self) -> str:
        return self.response.readline().decode().rstrip("\n")

    def event(self) -> str:
        """The name of the next event."""
        while True:
            line = self.line()
            if line.startswith("event: "):
                assert self.line() == "data: ."
                return line.removeprefix("event: ")

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def cookie_of(client: Visitor) -> str:
    found = client.get_cookie("sync_session")
    assert found is not None
    return f"sync_session={found.value}"


def opened(port: int, client: Visitor, path: str = "/live", **headers: str) -> Listener:
    listener = Listener(port, cookie_of(client), path, **headers)
    assert listener.response.status == 200
    while not listener.line().startswith("id:"):
        pass
    return listener


def wait_for(condition: Any, timeout_s: float = 8) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_strangers_and_the_unentitled_get_no_stream(session: Session, clean: Flask, hub: Hub) -> None:
    assert visitor(clean).get("/live").status_code == 401
    assert visitor(clean).get("/live", headers={"HX-Request": "true"}).status_code == 401
    analyst = signed_in(clean, make_admin(session, role="Analyst"))
    assert analyst.get("/live?topic=charge_point-5").status_code == 403
    assert analyst.get("/live?topic=nonsense").status_code == 403


def test_an_open_page_is_told_within_two_seconds(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    with served(clean) as port:
        listener = opened(port, client, "/live?topic=charge_point:5&topic=sessions")
        assert listener.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert listener.response.headers["X-Accel-Buffering"] == "no"
        told_at, told = time.monotonic(), set()
        events.announce(session, "session.started", partner_id=1, session_id=9, charge_point_id=4)
        events.announce(session, "charge_point.hardware", partner_id=1, charge_point_id=5)
        session.commit()
        while not told >= {"sessions", "charge_point-5", "live"}:
            told.add(listener.event())
        assert time.monotonic() - told_at < 2
        assert told == {"sessions", "charge_point-5", "live"}
        listener.close()


def test_a_rollback_tells_nobody(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    with served(clean) as port:
        listener = opened(port, client)
        events.announce(session, "session.started", partner_id=1, session_id=9)
        session.rollback()
        events.announce(session, "authorization.recorded", partner_id=1, authorization_id=1)
        session.commit()
        assert listener.event() == "authorizations"
        listener.close()


def test_a_partners_admin_hears_nothing_of_others(session: Session, clean: Flask, hub: Hub) -> None:
    partner = make_partner(session)
    client = signed_in(clean, make_admin(session, role="Partner Owner", partner_id=partner.id))
    with served(clean) as port:
        listener = opened(port, client)
        events.publish([{"name": "session.started", "partner_id": 1, "session_id": 9}])
        events.publish([{"name": "session.started", "partner_id": partner.id, "session_id": 10}])
        assert listener.event() == "session-10"
        listener.close()


def test_a_page_that_comes_back_is_told_everything_it_shows(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    with served(clean) as port:
        listener = opened(port, client, "/live?topic=charge_point-5&topic=sessions", **{"Last-Event-ID": "1"})
        assert [listener.event(), listener.event(), listener.event()] == ["charge_point-5", "sessions", "live"]
        listener.close()


def test_a_lost_subscription_is_taken_up_again_and_pages_catch_up(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    redis_client = clean.extensions["sync_redis"]
    with served(clean) as port:
        listener = opened(port, client, "/live?topic=session-9")
        assert redis_client.client_kill_filter(_type="pubsub") >= 1
        assert listener.event() == "session-9"
        listener.close()


def test_streams_hold_no_database_connection(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    session.rollback()
    with served(clean) as port:
        before = db.engine.pool.checkedout()
        listeners = [opened(port, client, "/live?topic=dashboard") for _ in range(12)]
        assert hub.browsers == 12
        assert db.engine.pool.checkedout() == before
        for listener in listeners:
            listener.close()


def test_a_stream_breathes_ends_in_time_and_is_forgotten(
    session: Session, clean: Flask, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(live, "LIFETIME_S", 1.0)
    client = signed_in(clean, make_admin(session))
    with served(clean) as port:
        gone, whole = opened(port, client), opened(port, client)
        assert hub.browsers == 2
        gone.close()
        rest = whole.response.read().decode()
        assert rest.count(": still here") >= 3
        wait_for(lambda: hub.browsers == 0)


def test_ending_the_process_ends_the_streams(session: Session, clean: Flask, hub: Hub) -> None:
    client = signed_in(clean, make_admin(session))
    with served(clean) as port:
        listener = opened(port, client)
        hub.close()
        assert listener.response.read() == b"\n"
        listener.close()


@pytest.mark.slow
def test_the_real_server_serves_many_streams_at_once(tmp_path: Path) -> None:
    """On gevent, as in production: 25 open pages, one event each, and pages are still served beside them."""
    with product(tmp_path) as running:
        running.start("web")
        made = running.flask("create-admin", "--email", "olga@example.com", stdin=f"{PASSWORD}\n")
        assert made.returncode == 0, made.stderr
        door = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        door.request("GET", "/login")
        answer = door.getresponse()
        html = answer.read().decode()
        token = html.split('name="csrf_token" value="')[1].split('"')[0]
        first = (answer.headers["Set-Cookie"] or "").split(";")[0]
        body = f"email=olga@example.com&password={PASSWORD.replace(' ', '+')}&csrf_token={token}"
        form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": first}
        door.request("POST", "/login", body=body, headers=form)
        answer = door.getresponse()
        answer.read()
        assert answer.status == 303
        cookie = (answer.headers["Set-Cookie"] or "").split(";")[0]
        listeners = [Listener(running.port, cookie, "/live?topic=authorizations") for _ in range(25)]
        assert {listener.response.status for listener in listeners} == {200}
        for listener in listeners:
            while not listener.line().startswith("id:"):
                pass
        told = running.flask("shell", stdin=TELL)
        assert told.returncode == 0, told.stderr
        assert {listener.event() for listener in listeners} == {"authorizations"}
        door.request("GET", "/readyz")
        assert door.getresponse().status == 200
        for listener in listeners:
            listener.close()


TELL = """from app.core import events
events.publish([{"name": "authorization.recorded", "partner_id": 1}])
"""
