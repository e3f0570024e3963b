"""What happened, told to whoever listens: screens through Redis, rules in this process after the commit.

Events carry ids, never data: a listener reads what it may see. They may be lost; nothing depends on them
being delivered (docs/adr/0004-state-and-events.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import redis
import structlog
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

log = structlog.get_logger(__name__)

CHANNEL = "sync:events"
_PENDING = "sync_pending_events"

_client: redis.Redis | None = None
_listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
_in_background = False


@dataclass
class _Announced:
    """An event that waits for its commit, and the savepoint it was announced in."""

    item: dict[str, Any]
    savepoint: SessionTransaction | None


def init(client: redis.Redis) -> None:
    """Give the process its Redis."""
    global _client
    _client = client


def publish_in_background() -> None:
    """From now on commits of this process do not wait for Redis: a station's answer must not hang on the news."""
    global _in_background
    _in_background = True


def replace_listener(name: str, function: Callable[[dict[str, Any]], None]) -> None:
    """Call ``function(event)`` in this process after each commit that announced ``name``; one function per name."""
    _listeners[name] = function


def announce(session: Session, name: str, *, partner_id: int, **ids: Any) -> None:
    """Tell of something once the session commits; a rollback, also of a savepoint around it, forgets it.

    ``name`` is ``thing.verb`` ("session.finished"); ``ids`` are numbers and short words.
    """
    if isinstance(session, scoped_session):  # a screen may hand over the request's registry
        session = session()
    item = {"name": name, "partner_id": partner_id, **ids}
    session.info.setdefault(_PENDING, []).append(_Announced(item, session.get_nested_transaction()))


def publish(events: list[dict[str, Any]]) -> None:
    """Tell of things already committed. A listener's failure or Redis being away costs the news, never the work."""
    _call_listeners(events)
    _tell_redis(events)


def _call_listeners(events: list[dict[str, Any]]) -> None:
    for item in events:
        function = _listeners.get(item["name"])
        if function is None:
            continue
        try:
            function(item)
        except Exception:  # what was committed is done: whoever committed must not be told that it failed
            log.exception("events.listener_failed", name=item["name"])


def _tell_redis(events: list[dict[str, Any]]) -> None:
    if _client is None or not events:
        return
    try:
        pipeline = _client.pipeline(transaction=False)
        for item in events:
            pipeline.publish(CHANNEL, orjson.dumps(item))
        pipeline.execute()
    except redis.exceptions.RedisError as error:
        log.warning("events.lost", count=len(events), error=str(error))


_soon: dict[bytes, dict[str, Any]] = {}
_soon_lock = threading.Lock()
_soon_wake = threading.Event()
_soon_thread: threading.Thread | None = None
COALESCE_S = 0.1


def publish_soon(item: dict[str, Any]) -> None:
    """Tell screens of something already committed, within a tenth of a second; equal news in between is told once.

    For the gateway, where thousands of readings a second would be thousands of calls to Redis. No listener is called.
    """
    global _soon_thread
    with _soon_lock:
        _soon[orjson.dumps(item)] = item
        if _soon_thread is None or not _soon_thread.is_alive():
            _soon_thread = threading.Thread(target=_flush_soon, name="events", daemon=True)
            _soon_thread.start()
    _soon_wake.set()


def _flush_soon() -> None:
    while True:
        _soon_wake.wait()
        _soon_wake.clear()
        time.sleep(COALESCE_S)
        with _soon_lock:
            items = list(_soon.values())
            _soon.clear()
        _tell_redis(items)


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    pending: list[_Announced] = session.info.get(_PENDING, [])
    if not pending:
        return
    savepoint = session.get_nested_transaction()
    if savepoint is not None:  # nothing is on disk yet: its news becomes that of the transaction around it
        around = savepoint.parent if savepoint.parent is not None and savepoint.parent.nested else None
        for announced in pending:
            if announced.savepoint is savepoint:
                announced.savepoint = around
        return
    del session.info[_PENDING]
    items = [announced.item for announced in pending]
    if not _in_background:
        publish(items)
        return
    _call_listeners(items)
    for item in items:
        publish_soon(item)


@event.listens_for(Session, "after_rollback")
def _after_rollback(session: Session) -> None:
    savepoint = session.get_nested_transaction()
    if savepoint is None:
        session.info.pop(_PENDING, None)
    elif _PENDING in session.info:
        session.info[_PENDING] = [one for one in session.info[_PENDING] if one.savepoint is not savepoint]
