"""The Communication Logs tab of a charge point: requests with their answers, the last 24 hours first.

Manual, "Communication Logs"; stations.md, line 24.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from flask import request

from app.assets.models import ChargePoint
from app.charging import queries
from app.core.clock import utcnow

PER_PAGE = 50
MAX_HOURS = 24 * 90
MAX_PAGES = 1000
SPANS = {1: "Last hour", 24: "Last 24 hours", 168: "Last 7 days", 720: "Last 30 days"}


def communication_context(session: Any, charge_point: ChargePoint) -> dict[str, Any]:
    """What ``assets/_communication.html`` draws, by the arguments ``hours``, ``action`` and ``page``."""
    hours = max(1, min(request.args.get("hours", 24, type=int), MAX_HOURS))
    action = request.args.get("action", "").replace("\x00", "")[:60]
    page = max(0, min(request.args.get("page", 0, type=int), MAX_PAGES))
    now = utcnow()
    since = now - timedelta(hours=hours)
    found = queries.communication(
        session,
        charge_point_id=charge_point.id,
        since=since,
        until=now + timedelta(minutes=1),
        action=action,
        offset=page * PER_PAGE,
        limit=PER_PAGE + 1,
    )
    return {
        "exchanges": found[:PER_PAGE],
        "more": len(found) > PER_PAGE,
        "page": page,
        "hours": hours,
        "action": action,
        "heard": queries.actions_heard(session, charge_point_id=charge_point.id, since=since),
        "spans": SPANS,
        "pretty": pretty,
    }


def pretty(payload: str) -> str:
    """A frame indented for reading; what is no JSON as it was."""
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False, indent=2)
    except ValueError:
        return payload
