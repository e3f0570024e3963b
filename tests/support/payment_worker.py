"""A worker that asks payment processors about what is due, and stands still at a step, so that a test can kill it.

    python -m tests.support.payment_worker STEP

Its environment names the servers. It says "reached" on standard output when it is at the step, and waits for its end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from app.billing.payments import asking, perform
from app.billing.payments.asking import Question, Reply
from app.core.config import load
from app.core.db import transaction
from app.factory import build

#: the three moments at which the process may die: nobody asked yet, answered and not written down, not committed
STEPS = ("said that it asks", "answered", "written down")


def stopping_at(step: str, stop: Callable[[], None]) -> perform.Transact:
    """Have ``stop`` called at the step; returns what opens the database transactions of ``perform``."""
    ask = asking.ask
    answered: list[Reply] = []

    def asked(question: Question) -> Reply:
        if step == STEPS[0]:
            stop()
        answered.append(ask(question))
        if step == STEPS[1]:
            stop()
        return answered[-1]

    asking.ask = asked

    @contextmanager
    def transact() -> Iterator[Session]:
        with transaction() as session:
            yield session
            session.flush()
            if step == STEPS[2] and answered:
                stop()

    return transact


def _wait() -> None:
    sys.stdout.write("reached\n")
    sys.stdout.flush()
    time.sleep(60)


def main() -> None:
    """See above."""
    config = load({"SYNC_DATA_DIR": str(Path(os.environ["SYNC_DATA_DIR"])), "SYNC_DEMO": "0"})
    url = os.environ["WORKER_DATABASE_URL"]
    app = build(config, database_url=url, migration_url=url, redis_url=os.environ["WORKER_REDIS_URL"])
    now = datetime.fromisoformat(os.environ["WORKER_NOW"])
    with app.app_context():
        perform.perform_due(stopping_at(sys.argv[1], _wait), clock=lambda: now)


if __name__ == "__main__":
    main()
