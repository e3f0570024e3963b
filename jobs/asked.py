"""Jobs that somebody asked for and waits for: enqueued when the commit is done, not at the next tick.

If Redis is away at that moment, the timetable has them done all the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask
from rq import Queue

from app.charging.trials.asking import ASKED
from app.core import events
from jobs import tasks

_TIMEOUT = timedelta(minutes=5)


def init_app(app: Flask) -> None:
    """Listen in this process. Idempotent per application: the newest one is served."""
    events.replace_listener(ASKED, lambda event: _run_trial(app, event))


def _run_trial(app: Flask, event: dict[str, Any]) -> None:
    trial_id = int(event["trial_id"])
    Queue("default", connection=app.extensions["sync_redis"]).enqueue_call(
        tasks.run_tariff_trial,
        args=(trial_id,),
        timeout=int(_TIMEOUT.total_seconds()),
        result_ttl=0,
        failure_ttl=86_400,
        job_id=f"{tasks.run_tariff_trial.__name__}-{trial_id}",
    )
