"""Group commit: what was acknowledged is on disk, whatever happens to a neighbour, a connection or the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from app.core.db import connect_raw
from app.core.group_commit import GroupCommit, Kind, QueueFull, WriteFailed
from tests.support.gateway import eventually

Connect = Callable[[], psycopg.Connection[Any]]


def _write_numbers(cursor: psycopg.Cursor[Any], items: Sequence[int]) -> None:
    with cursor.copy("COPY number_kept (value) FROM STDIN") as copy:
        for item in items:
            copy.write_row((item,))


NUMBER: Kind[int] = Kind("number", _write_numbers)


@pytest.fixture
def table(admin_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A table that refuses numbers below zero, and a connection that sees what is committed."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE number_kept (value int CHECK (value >= 0))")
        connection.execute("GRANT ALL ON number_kept TO sync_staff")
        yield connection
        connection.execute("DROP TABLE number_kept")


@pytest.fixture
def writer(table: psycopg.Connection[Any], database_url: str) -> Iterator[GroupCommit]:
    """A writer at work."""
    running = GroupCommit("test", lambda: connect_raw(database_url)).start()
    yield running
    running.stop()


def kept(table: psycopg.Connection[Any]) -> list[int]:
    """What is on disk."""
    return [value for (value,) in table.execute("SELECT value FROM number_kept ORDER BY value")]


def test_what_was_written_is_committed_when_write_returns(writer: GroupCommit, table: psycopg.Connection[Any]) -> None:
    for number in range(3):
        writer.write(NUMBER, number)
        assert kept(table)[-1] == number


def test_a_refused_row_fails_alone_and_tells_its_own_writer(table: psycopg.Connection[Any], database_url: str) -> None:
    writer = GroupCommit("test", lambda: connect_raw(database_url), linger_s=0.5).start()  # all of them in one batch
    with ThreadPoolExecutor(12) as pool:
        outcomes = [pool.submit(writer.write, NUMBER, number) for number in (*range(10), -1, 10)]
    failed = [number for number, outcome in zip((*range(10), -1, 10), outcomes, strict=True) if outcome.exception()]
    writer.stop()
    assert failed == [-1]
    assert isinstance(outcomes[10].exception(), WriteFailed)
    assert kept(table) == list(range(11))


def test_refused_rows_cost_no_connection_each(table: psycopg.Connection[Any], database_url: str) -> None:
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(connect_raw(database_url))
        return opened[-1]

    writer = GroupCommit("test", connect, linger_s=0.2).start()
    for number in (*range(-40, 0), 1, 2):
        assert writer.offer(NUMBER, number)
    eventually(lambda: kept(table) == [1, 2], why="the good rows were not written")
    writer.stop()
    assert len(opened) == 1


def _kill_the_writer(table: psycopg.Connection[Any]) -> None:
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'COPY number_kept%' AND pid <> pg_backend_pid()"
    )
    eventually(lambda: table.execute(query).fetchone() != (0,), why="the writer's backend was not found")


def test_backends_that_are_killed_under_load_lose_nothing_acknowledged(
    writer: GroupCommit, table: psycopg.Connection[Any]
) -> None:
    acknowledged: list[int] = []
    stop = threading.Event()

    def work(first: int) -> None:
        number = first
        while not stop.is_set():
            writer.write(NUMBER, number)
            acknowledged.append(number)
            number += 8

    with ThreadPoolExecutor(8) as pool:
        try:
            for first in range(8):
                pool.submit(work, first)
            for killed in range(6):
                wanted = len(acknowledged) + 20
                eventually(lambda wanted=wanted: len(acknowledged) > wanted, why=f"no progress after {killed}")  # type: ignore[misc]
                _kill_the_writer(table)
        finally:
            stop.set()
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(kept(table)), "an acknowledged row is not on disk"


def test_a_connection_lost_while_rows_are_tried_singly_fails_none_of_them(
    table: psycopg.Connection[Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad row sends the batch through one by one; that the database restarts just then is no fault of theirs."""
    writer = GroupCommit("test", lambda: connect_raw(database_url), linger_s=0.5).start()
    write, tried = writer._write_together, []

    def restarting(items: Sequence[tuple[Kind[Any], Any]]) -> None:
        tried.append(len(items))
        if len(tried) == 3:
            raise psycopg.OperationalError("the database is starting up")
        write(items)

    monkeypatch.setattr(writer, "_write_together", restarting)
    with ThreadPoolExecutor(4) as pool:
        outcomes = [pool.submit(writer.write, NUMBER, number) for number in (1, -1, 2)]
    writer.stop()
    assert [type(outcome.exception()) for outcome in outcomes] == [type(None), WriteFailed, type(None)]
    assert kept(table) == [1, 2]
    assert tried == [3, 1, 1, 1, 1]


def test_a_full_queue_makes_writers_wait_and_logs_drop(table: psycopg.Connection[Any], database_url: str) -> None:
    held = threading.Event()

    def connect() -> psycopg.Connection[Any]:
        held.wait(5)
        return connect_raw(database_url)

    writer = GroupCommit("test", connect, max_pending=2).start()
    assert writer.offer(NUMBER, 1)
    eventually(lambda: not writer._batch.items, why="the writer did not take the first batch")
    assert writer.offer(NUMBER, 2)
    assert writer.offer(NUMBER, 3)
    assert not writer.offer(NUMBER, 4), "a log does not wait"
    with pytest.raises(QueueFull):
        writer.write(NUMBER, 5, timeout_s=0.05)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(writer.write, NUMBER, 6)
        held.set()
        waiting.result(5)
    writer.stop()
    assert kept(table) == [1, 2, 3, 6]


def test_stop_writes_what_is_queued_and_then_refuses_at_once(
    writer: GroupCommit, table: psycopg.Connection[Any]
) -> None:
    for number in range(50):
        assert writer.offer(NUMBER, number)
    writer.stop()
    assert kept(table) == list(range(50))
    began = time.monotonic()
    with pytest.raises(WriteFailed):
        writer.write(NUMBER, 99)
    assert time.monotonic() - began < 1, "a station must not wait half a minute for a writer that has ended"
    assert not writer.offer(NUMBER, 99)


def test_a_database_that_stays_away_is_told(table: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.group_commit.RECONNECT_FOR_S", 0.05)

    def connect() -> psycopg.Connection[Any]:
        raise psycopg.OperationalError("connection refused")

    writer = GroupCommit("test", connect).start()
    with pytest.raises(WriteFailed, match="connection refused"):
        writer.write(NUMBER, 1)
    writer.stop()
    assert kept(table) == []
