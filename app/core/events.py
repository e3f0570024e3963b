"""What happened, told to whoever listens: screens through Redis, rules in this process after the commit.

Events carry ids, never data: a listener reads what it may see. They may be lost; nothing depends on them
being delivered (docs/adr/0004-state-and-events.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import redis
import structlog
from sqlalchemy import event
from sqlalchemy.orm import Session

log = structlog.get_logger(__name__)

CHANNEL = "sync:events"
_PENDING = "sync_pending_events"

_client: redis.Redis | None = None
_listeners: dict[str, Callable[[dict[str, Any]], None]] = {}


def init(client: redis.Redis) -> None:
    """Give the process its Redis."""
    global _client
    _client = client


def replace_listener(name: str, function: Callable[[dict[str, Any]], None]) -> None:
    """Call ``function(event)`` in this process after each commit that announced ``name``; one function per name."""
    _listeners[name] = function


def announce(session: Session, name: str, *, partner_id: int, **ids: Any) -> None:
    """Tell of something once the session commits; a rollback forgets it.

    ``name`` is ``thing.verb`` ("session.finished"); ``ids`` are numbers and short words.
    """
    session.info.setdefault(_PENDING, []).append({"name": name, "partner_id": partner_id, **ids})


def publish(events: list[dict[str, Any]]) -> None:
    """Tell of things already committed. Redis being away costs the news, never the work."""
    for item in events:
        function = _listeners.get(item["name"])
        if function is not None:
            function(item)
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
    """Tell of something already committed, within a tenth of a second; equal news in between is told once.

    For the gateway, where thousands of readings a second would be thousands of calls to Redis.
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
        publish(items)


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    pending = session.info.pop(_PENDING, None)
    if pending:
        publish(pending)


@event.listens_for(Session, "after_rollback")
def _after_rollback(session: Session) -> None:
    session.info.pop(_PENDING, None)
