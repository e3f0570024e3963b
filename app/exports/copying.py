"""PostgreSQL's COPY … TO STDOUT as chunks of bytes, at the speed of the wire and in constant memory.

psycopg's own reader asks once for each row, which takes longer than PostgreSQL takes to write it; libpq's buffer is
emptied here instead. Waiting goes through ``selectors``, which gevent makes cooperative, and after each chunk others
have their turn: a download must not hold up the stations of the same process.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Generator, Iterator
from typing import Any

import psycopg
from psycopg import pq

#: small pieces of PostgreSQL, one for each row, are sent on in bigger ones
CHUNK_BYTES = 64 * 1024
#: who waits for the first row is told this soon that there is none yet
PATIENCE_S = 0.15


def copy_out(connection: psycopg.Connection[Any], statement: str) -> Generator[bytes, None, int]:
    """What a COPY … TO STDOUT gives; in the end, how many rows. The first step, ``b""``, says that it has begun.

    Another ``b""`` says that the first rows take their time.
    Raises psycopg.Error, also half-way. Closed half-way it cancels the statement and leaves the connection usable (its
    transaction is to be rolled back).
    """
    server = connection.pgconn
    with selectors.DefaultSelector() as selector:
        selector.register(server.socket, selectors.EVENT_READ)
        over = False
        try:
            server.send_query(statement.encode())
            _flush(server)
            _begun(connection, _result(server, selector))
            yield b""
            for chunk in _chunks(server, selector):
                yield chunk
                # a fast reader over a fast line would never let anybody else run
                time.sleep(0)
            over = True
            ended = _result(server, selector)
            if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
                raise _error(connection, ended)
            return int(ended.command_tuples or 0)
        finally:
            if not over and connection.info.transaction_status == pq.TransactionStatus.ACTIVE:
                connection.cancel_safe()
            _drain(server, selector)


def _flush(server: pq.abc.PGconn) -> None:
    """Send the statement: a connection that does not take a few kilobytes at once is asked until it does."""
    while server.flush():
        time.sleep(0.001)


def _result(server: pq.abc.PGconn, selector: selectors.BaseSelector) -> Any:
    while True:
        server.consume_input()
        if not server.is_busy():
            return server.get_result()
        selector.select()


def _begun(connection: psycopg.Connection[Any], result: Any) -> None:
    if result is None or result.status != pq.ExecStatus.COPY_OUT:
        raise _error(connection, result)


def _error(connection: psycopg.Connection[Any], result: Any) -> psycopg.Error:
    if result is None:
        return psycopg.OperationalError("the connection to the database was lost")
    return psycopg.errors.error_from_result(result, encoding=connection.info.encoding)


def _chunks(server: pq.abc.PGconn, selector: selectors.BaseSelector) -> Iterator[bytes]:
    """The data in pieces of about ``CHUNK_BYTES``; less as soon as PostgreSQL makes us wait for more."""
    pending: list[bytes | memoryview] = []
    size = 0
    patience_s: float | None = PATIENCE_S
    read = server.get_copy_data
    while True:
        length, piece = read(1)
        if length > 0:
            pending.append(piece)
            size += length
            if size < CHUNK_BYTES:
                continue
        elif length < 0:
            break
        elif size < CHUNK_BYTES:
            if selector.select(patience_s):
                server.consume_input()
            else:
                patience_s = None
                yield b""
            continue
        yield b"".join(pending)
        pending, size, patience_s = [], 0, None
    if pending:
        yield b"".join(pending)


def _drain(server: pq.abc.PGconn, selector: selectors.BaseSelector) -> None:
    """Take what is left of the answer, so that the connection can be asked again."""
    with contextlib.suppress(psycopg.OperationalError):  # there is no connection any more: the pool will notice
        while (result := _result(server, selector)) is not None:
            if result.status != pq.ExecStatus.COPY_OUT:
                continue
            while (length := server.get_copy_data(1)[0]) >= 0:
                if length == 0:
                    selector.select()
                    server.consume_input()
