"""The two processes of the clockwork: workers that do jobs, and the scheduler that says when."""

from __future__ import annotations

import logging
import signal
from types import FrameType

from flask import Flask
from rq import Queue, SimpleWorker

from app.core import redis as redis_clients
from jobs import schedule

QUEUES = ("urgent", "default")


def run(app: Flask, role: str) -> int:
    """Run one role until SIGTERM or Ctrl-C. Returns the exit status."""
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    return _work(app) if role == "worker" else _schedule(app)


def _work(app: Flask) -> int:
    connection = redis_clients.connect(app.config["REDIS_URL"], socket_timeout_s=None)
    with app.app_context():
        queues = [Queue(name, connection=connection) for name in QUEUES]
        SimpleWorker(queues, connection=connection).work(logging_level="WARNING")
    return 0


def _schedule(app: Flask) -> int:
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    connection = redis_clients.connect(app.config["REDIS_URL"])
    schedule.Scheduler(connection).run(stopping)
    return 0
