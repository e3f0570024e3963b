"""The timetable as data, and the one scheduler that follows it.

Any number of scheduler processes may run: one holds the lock and ticks, the others wait for it to go. A tick enqueues
a job under its own id, so that two ticks of the same moment are one job. Jobs derive what is due from the database, so
a missed tick is caught up by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import redis
import structlog
from rq import Queue

from jobs import tasks

log = structlog.get_logger(__name__)

LOCK_KEY = "sync:scheduler"
LOCK_MS = 10_000


@dataclass(frozen=True)
class Entry:
    """A job and how often it is due."""

    function: Callable[[], object]
    every: timedelta
    queue: str = "default"
    timeout: timedelta = timedelta(minutes=5)

    @property
    def name(self) -> str:
        """The job's name in ids and logs."""
        return self.function.__name__


TIMETABLE: tuple[Entry, ...] = (
    Entry(tasks.watch_connections, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.watch_sessions, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.stop_by_rules, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.expire_commands, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.watch_reservations, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.run_mock_sessions, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.keep_local_lists, timedelta(seconds=15)),
    Entry(tasks.recover_faults, timedelta(seconds=5), queue="urgent"),
    Entry(tasks.watch_outages, timedelta(seconds=10), queue="urgent"),
    Entry(tasks.bill_finished_sessions, timedelta(seconds=30)),
    Entry(tasks.perform_payments, timedelta(seconds=2)),
    Entry(tasks.expire_payment_methods, timedelta(hours=1)),
    Entry(tasks.tend_payment_methods, timedelta(minutes=5)),
    Entry(tasks.release_holds, timedelta(seconds=30)),
    Entry(tasks.top_up_balances, timedelta(seconds=2)),
    Entry(tasks.expire_vouchers, timedelta(minutes=1)),
    Entry(tasks.tend_receipts, timedelta(seconds=30)),
    Entry(tasks.send_mails, timedelta(seconds=10)),
    Entry(tasks.send_sms, timedelta(seconds=10)),
    Entry(tasks.configure_stations, timedelta(seconds=5)),
    Entry(tasks.watch_transfers, timedelta(seconds=10)),
    Entry(tasks.forget_files, timedelta(hours=1), timeout=timedelta(minutes=30)),
    Entry(tasks.tend_certificates, timedelta(seconds=5)),
    Entry(tasks.renew_certificates, timedelta(hours=1)),
    Entry(tasks.run_tariff_trials, timedelta(seconds=5)),
    Entry(tasks.forget_tariff_trials, timedelta(hours=1), timeout=timedelta(minutes=30)),
    Entry(tasks.keep_roll_ups, timedelta(seconds=3)),
    Entry(tasks.check_roll_ups, timedelta(hours=24)),
    Entry(tasks.forget_sign_ins, timedelta(hours=6)),
    Entry(tasks.run_exports, timedelta(seconds=5)),
    Entry(tasks.expire_exports, timedelta(minutes=5), timeout=timedelta(minutes=30)),
    Entry(tasks.keep_partitions, timedelta(hours=6), timeout=timedelta(minutes=30)),
)


class Scheduler:
    """Ticks once a second while it holds the lock."""

    def __init__(self, connection: redis.Redis, timetable: Sequence[Entry] = TIMETABLE) -> None:
        self._redis = connection
        self._timetable = timetable
        self._lock = connection.lock(LOCK_KEY, timeout=LOCK_MS / 1000, blocking=False)

    def run(self, stopping: Sequence[object]) -> None:
        """Tick until ``stopping`` is not empty. Redis being away is waited for."""
        while not stopping:
            try:
                if self._hold():
                    self.tick(time.time())
            except redis.exceptions.RedisError as error:
                log.warning("scheduler.redis_away", error=str(error))
            time.sleep(1)
        if self._lock.owned():
            self._lock.release()

    def _hold(self) -> bool:
        if self._lock.owned():
            self._lock.reacquire()
            return True
        return bool(self._lock.acquire())

    def tick(self, now_s: float) -> list[str]:
        """Enqueue what is due at ``now_s`` (seconds since 1970) and was not enqueued yet. Returns the job ids."""
        enqueued = []
        for entry in self._timetable:
            period = int(entry.every.total_seconds())
            slot = int(now_s) // period
            marker = f"sync:tick:{entry.name}"
            if self._redis.set(f"{marker}:{slot}", 1, nx=True, ex=max(60, 2 * period)) is None:
                continue
            queue = Queue(entry.queue, connection=self._redis)
            if len(queue) > 1000:  # the workers are away: what is due is still due when they are back
                continue
            job = queue.enqueue_call(
                entry.function,
                timeout=int(entry.timeout.total_seconds()),
                result_ttl=0,
                failure_ttl=86_400,
                ttl=max(60, period),
                job_id=f"{entry.name}-{slot}",
            )
            enqueued.append(job.id)
        return enqueued
