"""Events: told once what they tell of is on disk, forgotten with what was rolled back, never in the way."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
import redis
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core import events


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was published, in order."""
    names: list[str] = []
    monkeypatch.setattr(events, "publish", lambda items: names.extend(item["name"] for item in items))
    return names


def _announce(session: Session, name: str) -> None:
    session.execute(text("SELECT 1"))
    events.announce(session, name, partner_id=1)


def test_news_waits_for_the_commit_and_is_told_once(session: Session, told: list[str]) -> None:
    _announce(session, "a.b")
    assert told == []
    session.commit()
    session.commit()
    assert told == ["a.b"]


def test_a_rollback_forgets(session: Session, told: list[str]) -> None:
    _announce(session, "a.b")
    session.rollback()
    session.commit()
    assert told == []


def test_a_released_savepoint_is_no_commit(session: Session, told: list[str]) -> None:
    with session.begin_nested():
        _announce(session, "inner.done")
    assert told == [], "a command must not be sent before its row is on disk"
    _announce(session, "outer.done")
    session.commit()
    assert told == ["inner.done", "outer.done"]


def test_a_savepoint_takes_only_its_own_news_with_it(session: Session, told: list[str]) -> None:
    _announce(session, "before.done")
    outer = session.begin_nested()
    _announce(session, "outer.undone")
    with session.begin_nested():
        _announce(session, "inner.undone")
    outer.rollback()
    _announce(session, "after.done")
    session.commit()
    assert told == ["before.done", "after.done"]


def test_a_failing_listener_does_not_fail_what_was_committed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    def fail(event: dict[str, Any]) -> None:
        heard.append(event["number"])
        raise RuntimeError("the listener is broken")

    monkeypatch.setitem(events._listeners, "thing.done", fail)
    session.execute(text("SELECT 1"))
    for number in (1, 2):
        events.announce(session, "thing.done", partner_id=1, number=number)
    session.commit()
    assert heard == [1, 2]


def test_a_commit_waits_for_redis_only_where_it_may(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the gateway a station waits for the commit; a Redis that hangs must not make it wait."""

    class Hanging:
        def pipeline(self, **_options: Any) -> Any:
            time.sleep(0.2)
            raise redis.exceptions.TimeoutError("no answer")

    monkeypatch.setattr(events, "_client", Hanging())
    monkeypatch.setattr(events, "_in_background", True)
    _announce(session, "a.b")
    began = time.monotonic()
    session.commit()
    assert time.monotonic() - began < 0.1


def test_background_news_reaches_redis(clean: Flask, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    client: redis.Redis = clean.extensions["sync_redis"]
    monkeypatch.setattr(events, "_client", client)
    monkeypatch.setattr(events, "_in_background", True)
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(events.CHANNEL)
        channel.get_message(timeout=1)
        _announce(session, "background.done")
        _announce(session, "background.done")
        session.commit()
        got = []
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not got:
            message = channel.get_message(timeout=0.2)
            heard = orjson.loads(message["data"]) if message is not None else {}
            got += [heard] if heard.get("name") == "background.done" else []
    assert got == [{"name": "background.done", "partner_id": 1}]
