"""What operators and the clockwork change while stations are connected, as this gateway hears of it over Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import orjson
import redis
import structlog

from app.charging import station as stations
from app.core import events, settings
from ocpp_ws.directory import Directory
from ocpp_ws.served import Served

log = structlog.get_logger("ocpp_ws.gateway")

RELOAD_AFTER_S = 0.1
FINISHED = "session.finished"
_CHANGED = stations.CHANGED.encode()
_SETTING = settings.CHANGED.encode()
_FINISHED = FINISHED.encode()


class Changes:
    """Follows the news and brings the directory, the settings and those who are connected up to date."""

    def __init__(
        self,
        client: redis.Redis,
        directory: Directory,
        connections: Mapping[int, Served],
        *,
        take_up: Callable[[Served, stations.Station | None], None],
        load_settings: Callable[[], None],
    ) -> None:
        self._redis = client
        self._directory = directory
        self._connections = connections
        self._take_up = take_up
        self._load_settings = load_settings

    def follow(self) -> None:
        """Load a station anew when an operator changes it; a new password or "not managed" ends its connection."""
        while True:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=False) as channel:  # type: ignore[no-untyped-call]
                    channel.subscribe(events.CHANNEL)
                    self._listen(channel)
            except redis.exceptions.RedisError as error:
                log.warning("gateway.events_away", error=str(error))
                gevent.sleep(1.0)
            except Exception:  # an odd event must not end the loop
                log.exception("gateway.event_failed")

    def _listen(self, channel: Any) -> None:
        """Gather what changed for a moment, so that a provisioned fleet is one query, and warm before it connects."""
        changed: set[int] = set()
        reload_at = 0.0
        while True:
            message = channel.get_message(timeout=RELOAD_AFTER_S if changed else 2.0)
            if message is not None and message["type"] == "subscribe":
                # Also when the client subscribed again after a lost connection: what was told meanwhile, nobody heard.
                self._directory.forget()
                changed |= set(self._connections)
            elif message is not None and _CHANGED in message["data"]:  # a look at the text: most news is none of ours
                changed |= self._changed_by(orjson.loads(message["data"]))
            elif message is not None and _SETTING in message["data"]:
                settings.forget()
                self._load_settings()
            elif message is not None and _FINISHED in message["data"]:
                self._forget_meters(orjson.loads(message["data"]))
            if changed and not reload_at:
                reload_at = time.monotonic() + RELOAD_AFTER_S
            if changed and time.monotonic() >= reload_at:
                self._reload(changed)
                changed, reload_at = set(), 0.0

    def _changed_by(self, event: dict[str, Any]) -> set[int]:
        if event.get("name") != stations.CHANGED:
            return set()
        charge_point_id = int(event.get("charge_point_id") or 0)
        self._directory.forget(charge_point_id)
        return {charge_point_id}

    def _forget_meters(self, event: dict[str, Any]) -> None:
        """A session was finished, perhaps by the clockwork: its meter must not be remembered as running."""
        of = self._connections.get(int(event.get("charge_point_id") or 0))
        if of is not None and event.get("name") == FINISHED:
            of.meters.clear()

    def _reload(self, charge_point_ids: set[int]) -> None:
        found = self._directory.reload(charge_point_ids)
        for charge_point_id in charge_point_ids:
            of = self._connections.get(charge_point_id)
            if of is not None:
                self._take_up(of, found.get(charge_point_id))
