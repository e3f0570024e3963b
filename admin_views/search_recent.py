"""The records an admin has opened last, for the search box while nothing is typed.

Kept in Redis, a few per admin: writing them costs a page nothing to speak of, and losing them costs nobody anything.
They are shown through their pages, as results are: what an admin may no longer see is not there any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
from flask import Response, request
from flask_login import current_user

from admin_views.dashboard.links import page_of
from admin_views.widgets.keys import decode_key, has_key
from app.core import redis as redis_clients

KEPT = 8
#: what was opened so long ago is no longer recent
_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Recent:
    """A record opened before."""

    url: str
    title: str
    kind: str
    icon: str


def _key() -> str:
    return f"sync:recent:{current_user.id}"


def note(response: Response) -> Response:
    """Remember the record whose page was shown."""
    endpoint, _, view = (request.endpoint or "").rpartition(".")
    record = request.args.get("id", "")
    if view != "details_view" or response.status_code != 200 or not 0 < len(record) <= 40:
        return response
    if request.method != "GET" or not current_user.is_authenticated:
        return response
    entry = f"{endpoint}:{record}"
    try:
        with redis_clients.client().pipeline(transaction=False) as pipe:
            pipe.lrem(_key(), 0, entry).lpush(_key(), entry).ltrim(_key(), 0, KEPT - 1).expire(_key(), _SECONDS)
            pipe.execute()
    except redis.RedisError:
        pass  # nobody waits for it
    return response


def recent() -> list[Recent]:
    """What the current admin opened last and may still see, the latest first."""
    try:
        entries = [str(each, "utf-8") for each in redis_clients.client().lrange(_key(), 0, KEPT - 1)]  # type: ignore[union-attr]
    except redis.RedisError:
        return []
    return [shown for entry in entries if (shown := _shown(entry)) is not None]


def _shown(entry: str) -> Recent | None:
    endpoint, _, record = entry.partition(":")
    page = page_of(endpoint)
    model: Any = getattr(page, "model", None)
    if page is None or model is None or not page.can_view_details:
        return None
    key = decode_key(model, record)
    row = page.get_query().filter(has_key(model, key)).one_or_none() if key is not None else None
    if row is None:
        return None
    return Recent(page.get_url(f"{endpoint}.details_view", id=record), str(row), page.singular, page.icon)
