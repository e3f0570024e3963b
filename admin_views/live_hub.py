"""One Redis subscription per process, told on to every open page without waiting for any of them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import redis
import structlog

from app.core import events
from app.core.redis import connect

log = structlog.get_logger(__name__)

#: the same event of a page comes at most this often
SPACING_S = 0.3
COLLECTIVE_SPACING_S = 1.0
COLLECTIVE = frozenset(
    {"charge_points", "sessions", "actions", "authorizations", "reservations", "transactions", "dashboard"}
)
#: a page that leaves more different events than this unread is dropped; it comes back and catches up
MAX_PENDING = 1000
#: open pages of one admin; the oldest gives way
MAX_PER_ADMIN = 30
POLL_S = 1.0
#: how often it is asked whether the sign-ins of open pages still hold
LOOK_S = 10.0
RETRY_S = (0.5, 1, 2, 5, 10)

_TOPIC = re.compile(r"([a-z_]{1,30})(?:[-:]([0-9]{1,18}))?")
_WITH_ID = ("charge_point", "session", "evse", "action", "user", "reservation", "transaction", "export")


def topic_name(text: str) -> str | None:
    """A topic as its event is called; None for a text that is no topic."""
    match = _TOPIC.fullmatch(text)
    if match is None:
        return None
    kind, number = match.groups()
    if number is None:
        return kind if kind in COLLECTIVE else None
    return f"{kind}-{int(number)}" if kind in _WITH_ID else None


def kind_of(topic: str) -> str:
    """What a topic is about: "charge_point" of "charge_point-5"."""
    return topic.partition("-")[0]


def topics_of(event: dict[str, Any]) -> list[str]:
    """The topics that an event of the product (app.core.events) concerns."""
    name = str(event.get("name", ""))
    thing = name.partition(".")[0]
    ids = {kind: event[f"{kind}_id"] for kind in _WITH_ID if isinstance(event.get(f"{kind}_id"), int)}
    found = [f"{kind}-{number}" for kind, number in ids.items()]
    if thing == "charge_point":
        return [*found, "charge_points", "dashboard"]
    if thing == "session":
        if name == "session.metered":
            # a reading concerns the session; its station's page follows the session
            found = [topic for topic in found if not topic.startswith(("charge_point-", "user-"))]
        return [*found, "sessions", "dashboard"]
    if thing in ("action", "command"):
        return [*found, "actions"]
    if thing == "reservation":
        return [*found, "reservations"]
    if thing == "transaction":
        return [*found, "transactions"]
    if thing == "export":
        return found
    if thing == "authorization":
        return ["authorizations"]
    if thing == "balance":
        return [topic for topic in found if topic.startswith("user-")]
    return []


class Browser:
    """An open page: which events it wants, which it still has to be told, when it was told last."""

    def __init__(
        self,
        *,
        admin_id: int,
        partner_id: int | None,
        kinds: frozenset[str],
        topics: frozenset[str] | None,
        sign_in: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.admin_id = admin_id
        self.sign_in = sign_in
        self.partner_id = partner_id
        self.kinds = kinds
        self.topics = topics
        self.closed = False
        self._clock = clock
        self._pending: dict[str, None] = {}
        self._told_at: dict[str, float] = {}
        self._wake = threading.Condition()

    def wants(self, topic: str) -> bool:
        """Whether the page asked for the topic and its admin may be told."""
        return topic in self.topics if self.topics is not None else kind_of(topic) in self.kinds

    def offer(self, topics: list[str], partner_id: int | None) -> None:
        """Note what happened to rows of a partner. Never waits; an overfull page is closed instead."""
        if self.partner_id is not None and self.partner_id != partner_id:
            return
        wanted = [topic for topic in topics if self.wants(topic)]
        if wanted:
            self._note(wanted)

    def offer_all(self) -> None:
        """Something may have been missed: every topic of the page, or every collective one."""
        topics = self.topics if self.topics is not None else COLLECTIVE & self.kinds
        if topics:
            self._note(sorted(topics))

    def _note(self, topics: list[str]) -> None:
        with self._wake:
            self._pending.update(dict.fromkeys(topics))
            if len(self._pending) > MAX_PENDING:
                self.closed = True
                self._pending.clear()
            self._wake.notify()

    def close(self) -> None:
        """End the stream."""
        with self._wake:
            self.closed = True
            self._wake.notify()

    def take(self, *, timeout_s: float) -> list[str]:
        """The events that are due, waiting for the first of them; empty when none was due in time."""
        ends_at = self._clock() + timeout_s
        with self._wake:
            while not self.closed:
                now = self._clock()
                due = [topic for topic in self._pending if self._due_at(topic) <= now]
                if due:
                    return self._taken(due, now)
                if now >= ends_at:
                    return []
                next_at = min((self._due_at(topic) for topic in self._pending), default=ends_at)
                self._wake.wait(max(0.001, min(next_at, ends_at) - now))
        return []

    def _due_at(self, topic: str) -> float:
        spacing = COLLECTIVE_SPACING_S if topic in COLLECTIVE else SPACING_S
        return self._told_at.get(topic, float("-inf")) + spacing

    def _taken(self, due: list[str], now: float) -> list[str]:
        for topic in due:
            del self._pending[topic]
        if len(self._told_at) > 2 * MAX_PENDING:
            recent = now - COLLECTIVE_SPACING_S
            self._told_at = {topic: at for topic, at in self._told_at.items() if at > recent}
        self._told_at.update(dict.fromkeys(due, now))
        return [*due, "live"]


class Hub:
    """The process's subscription and its open pages. The first page starts it."""

    def __init__(
        self,
        redis_url: str,
        *,
        ended: Callable[[set[int]], set[int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._ended = ended
        self._asked_at = float("-inf")
        self._redis_url = redis_url
        self._browsers: dict[Browser, None] = {}
        self._lock = threading.Lock()
        self._listener: threading.Thread | None = None
        self._ever_subscribed = False
        self._tried = threading.Event()
        self._closed = False

    @property
    def browsers(self) -> int:
        """How many pages are open."""
        return len(self._browsers)

    def add(self, browser: Browser) -> None:
        """Tell a page from now on. Waits a moment for the subscription, so that nothing after it is missed."""
        with self._lock:
            if self._closed:
                browser.close()
                return
            own = [other for other in self._browsers if other.admin_id == browser.admin_id]
            for oldest in own[: max(0, len(own) + 1 - MAX_PER_ADMIN)]:
                oldest.close()
                self._browsers.pop(oldest, None)
            self._browsers[browser] = None
            if self._listener is None or not self._listener.is_alive():
                self._listener = threading.Thread(target=self._listen, name="live", daemon=True)
                self._listener.start()
        self._tried.wait(timeout=2)

    def remove(self, browser: Browser) -> None:
        """Forget a page."""
        with self._lock:
            self._browsers.pop(browser, None)

    def drop_ended(self) -> None:
        """Close the pages of sign-ins that hold no more. Each stream calls it; the database is asked once for all of
        them, at most every ``LOOK_S``.
        """
        if self._ended is None or self.clock() - self._asked_at < LOOK_S:
            return
        self._asked_at = self.clock()
        browsers = self._present()
        over = self._ended({browser.sign_in for browser in browsers if browser.sign_in is not None})
        for browser in browsers:
            if browser.sign_in in over:
                browser.close()

    def close(self) -> None:
        """End every stream, and refuse new ones; for the end of the process."""
        with self._lock:
            self._closed = True
            browsers = list(self._browsers)
        for browser in browsers:
            browser.close()

    def tell(self, event: dict[str, Any]) -> None:
        """Pass an event on to the pages that want it."""
        topics = topics_of(event)
        if not topics:
            return
        partner_id = event.get("partner_id")
        for browser in self._present():
            browser.offer(topics, partner_id)
            if browser.closed:
                self.remove(browser)

    def _present(self) -> list[Browser]:
        with self._lock:
            return list(self._browsers)

    def _listen(self) -> None:
        failures = 0
        while not self._closed:
            try:
                client = connect(self._redis_url, max_connections=2)
                with client.pubsub() as subscription:
                    subscription.subscribe(events.CHANNEL)
                    self._tried.set()
                    failures = 0
                    self._follow(subscription)
            except (redis.exceptions.RedisError, OSError) as error:
                self._tried.set()
                log.warning("live.subscription_lost", error=str(error))
                time.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    def _subscribed(self) -> None:
        """Also when the client took a lost subscription up again by itself: what was told meanwhile, nobody heard."""
        if self._ever_subscribed:
            for browser in self._present():
                browser.offer_all()
        self._ever_subscribed = True

    def _follow(self, subscription: Any) -> None:
        while not self._closed:
            message = subscription.get_message(timeout=POLL_S)
            if message is None:
                continue
            if message["type"] == "subscribe":
                self._subscribed()
                continue
            try:
                event = orjson.loads(message["data"])
            except orjson.JSONDecodeError:
                log.warning("live.unreadable_event")
                continue
            if isinstance(event, dict):
                self.tell(event)
