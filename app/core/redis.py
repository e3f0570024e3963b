"""Clients of Redis with time-outs, and where the process keeps its own."""

from __future__ import annotations

from typing import cast

import redis
from flask import current_app
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, *, socket_timeout_s: float | None = 5.0, max_connections: int = 64) -> redis.Redis:
    """A client that waits for a free connection instead of failing, and never hangs on a dead server."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=10,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=5,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),  # a dead server costs a commit no seconds of waiting
    )
    return redis.Redis(connection_pool=pool)


def client() -> redis.Redis:
    """The application's client."""
    return cast(redis.Redis, current_app.extensions["sync_redis"])
