"""Jobs that somebody asked for and waits for: enqueued when the commit is done, not at the next tick.

If Redis is away at that moment, the timetable has them done all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from rq import Queue

from app.charging.trials.asking import ASKED
from app.core import events
from app.exports import background as exports
from jobs import tasks

_TIMEOUT = timedelta(minutes=5)


def init_app(app: Flask) -> None:
    """Listen in this process. Idempotent per application: the newest one is served."""
    events.replace_listener(ASKED, lambda event: _run(app, tasks.run_tariff_trial, int(event["trial_id"])))
    events.replace_listener(exports.ASKED, lambda event: _run(app, tasks.run_export, int(event["export_id"])))


def _run(app: Flask, job: Callable[[int], object], number: int) -> None:
    Queue("default", connection=app.extensions["sync_redis"]).enqueue_call(
        job,
        args=(number,),
        timeout=int(_TIMEOUT.total_seconds()),
        result_ttl=0,
        failure_ttl=86_400,
        job_id=f"{job.__name__}-{number}",
    )
