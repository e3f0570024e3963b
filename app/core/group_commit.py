"""Many small writes, one commit: what arrives while one batch commits is the next batch.

There is no timer: an idle writer commits at once, a busy one commits more rows at a time. ``write`` returns
only after the COMMIT that holds its row, so that a station is answered with what is on disk (stations.md, "Group
commit"). A row the database refuses is retried alone and fails alone. A connection lost while it commits leaves open
whether it did: the batch is written again, so a row may be there twice, but never not at all. Works on threads and,
when the process is monkey-patched, on greenlets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import psycopg
import structlog
from prometheus_client import Counter, Histogram
from psycopg.pq import PipelineStatus, TransactionStatus

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH_ROWS = Histogram(
    "sync_group_commit_rows", "Rows per group commit", ["writer"], buckets=(1, 2, 5, 10, 50, 200, 1000, 5000)
)
LOST = Counter("sync_group_commit_dropped_total", "Rows dropped because the queue was full", ["writer"])

#: how long a lost database connection is retried before the waiting writes fail
RECONNECT_FOR_S = 20.0


class WriteFailed(Exception):
    """The row could not be stored; it is not in the database."""


class QueueFull(WriteFailed):
    """The database is too far behind; nothing was queued."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A sort of row and how a list of them is written on one cursor, in one transaction.

    ``pipelined``: its statements need no answer of each other, and none is COPY; they share one round trip.
    """

    name: str
    write: Callable[[psycopg.Cursor[Any], Sequence[T]], None]
    pipelined: bool = False


@dataclass
class _Batch:
    items: list[tuple[Kind[Any], Any]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    errors: dict[int, Exception] = field(default_factory=dict)


class GroupCommit:
    """One writer on one connection. ``linger_s`` > 0 trades delay for bigger batches (logs)."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], psycopg.Connection[Any]],
        *,
        max_pending: int = 20_000,
        linger_s: float = 0.0,
    ) -> None:
        self.name = name
        self._connect = connect
        self._max_pending = max_pending
        self._linger_s = linger_s
        self._connection: psycopg.Connection[Any] | None = None
        self._batch = _Batch()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._room = threading.Condition(self._lock)
        self._stopping = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"group-commit-{name}", daemon=True)
        self._rows = BATCH_ROWS.labels(name)
        self._dropped = LOST.labels(name)

    def start(self) -> GroupCommit:
        """Begin writing. Returns itself."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 10.0) -> None:
        """Write what is queued, then end."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        if self._connection is not None:
            self._connection.close()

    def write(self, kind: Kind[T], item: T, *, timeout_s: float = 30.0) -> None:
        """Store an item and return once it is committed. Blocks while the queue is full.

        Raises WriteFailed when the database refuses it or does not answer in time.
        """
        self.write_all([(kind, item)], timeout_s=timeout_s)

    def write_all(self, items: Sequence[tuple[Kind[Any], Any]], *, timeout_s: float = 30.0) -> None:
        """Store several items in the same transaction (unless one of them is refused)."""
        deadline = time.monotonic() + timeout_s
        with self._room:
            while len(self._batch.items) >= self._max_pending:
                if not self._room.wait(max(0.0, deadline - time.monotonic())):
                    raise QueueFull("the database is too far behind")
            if self._ended:
                raise WriteFailed("the process is stopping")
            batch = self._batch
            first = len(batch.items)
            batch.items.extend(items)
        self._wake.set()
        if not batch.done.wait(max(0.0, deadline - time.monotonic())):
            raise WriteFailed("the database did not answer in time")
        for index in range(first, first + len(items)):
            if index in batch.errors:
                raise WriteFailed(str(batch.errors[index])) from batch.errors[index]

    def offer(self, kind: Kind[T], item: T) -> bool:
        """Queue an item without waiting; False (and counted) when the queue is full. For logs only."""
        with self._lock:
            if self._ended or len(self._batch.items) >= self._max_pending:
                self._dropped.inc()
                return False
            self._batch.items.append((kind, item))
        self._wake.set()
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._linger_s and not self._stopping:
                time.sleep(self._linger_s)
            self._wake.clear()
            with self._room:
                batch, self._batch = self._batch, _Batch()
                self._ended = self._stopping and not batch.items
                self._room.notify_all()
            if self._ended:
                return
            if batch.items:
                self._commit(batch)
            if self._stopping:
                self._wake.set()

    def _commit(self, batch: _Batch) -> None:
        self._rows.observe(len(batch.items))
        give_up_at = time.monotonic() + RECONNECT_FOR_S
        try:
            self._write_patiently(batch.items, give_up_at)
        except psycopg.OperationalError as error:
            log.error("group_commit.database_away", writer=self.name, rows=len(batch.items), error=str(error))
            batch.errors = {i: cast(Exception, error) for i in range(len(batch.items))}
        except Exception as error:  # a bad row: its neighbours must not fail with it
            self._drop_connection(if_unusable=True)
            log.warning("group_commit.retrying_singly", writer=self.name, error=str(error))
            self._write_singly(batch, give_up_at)
        batch.done.set()

    def _write_patiently(self, items: Sequence[tuple[Kind[Any], Any]], give_up_at: float) -> None:
        """Write, again when the connection was lost or a deadlock undid it, until ``give_up_at`` (monotonic)."""
        pause_s = 0.02
        while True:
            try:
                self._write_together(items)
                return
            except psycopg.OperationalError:
                self._drop_connection()
                if time.monotonic() > give_up_at or self._stopping:
                    raise
                time.sleep(pause_s)
                pause_s = min(0.5, pause_s * 2)

    def _write_together(self, items: Sequence[tuple[Kind[Any], Any]]) -> None:
        connection = self._open()
        by_kind: dict[str, tuple[Kind[Any], list[Any]]] = {}
        for kind, item in items:
            by_kind.setdefault(kind.name, (kind, []))[1].append(item)
        # A pipeline is one round trip, and one transaction: on a connection in autocommit all up to its end is one.
        pipelined = all(kind.pipelined for kind, _ in by_kind.values())
        with connection.pipeline() if pipelined else connection.transaction(), connection.cursor() as cursor:
            for kind, rows in by_kind.values():
                kind.write(cursor, rows)

    def _write_singly(self, batch: _Batch, give_up_at: float) -> None:
        for index, entry in enumerate(batch.items):
            try:
                self._write_patiently([entry], give_up_at)
            except Exception as error:  # whatever is wrong with this row, it is told to its own writer
                self._drop_connection(if_unusable=True)
                log.error("group_commit.row_refused", writer=self.name, kind=entry[0].name, error=str(error))
                batch.errors[index] = error

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._connection.autocommit = True
        return self._connection

    def _drop_connection(self, *, if_unusable: bool = False) -> None:
        """Connect anew next time. A refused row alone leaves the connection usable, and hundreds may be refused."""
        if if_unusable and self._connection is not None and _is_at_rest(self._connection):
            return
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                log.debug("group_commit.close_failed", writer=self.name)


def _is_at_rest(connection: psycopg.Connection[Any]) -> bool:
    """Whether nothing is under way on an open connection."""
    return (
        not connection.closed
        and connection.info.transaction_status == TransactionStatus.IDLE
        and connection.pgconn.pipeline_status == PipelineStatus.OFF
    )
