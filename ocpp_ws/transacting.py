"""Transactions of a gateway: done again when the database undid them for no fault of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

T = TypeVar("T")
ATTEMPTS = 4


def transact(engine: Engine, work: Callable[[Session], T]) -> T:
    """Run ``work`` in a transaction; again when a deadlock or a lost connection undid it. Raises DBAPIError."""
    for attempt in range(ATTEMPTS):
        with Session(engine, expire_on_commit=False) as session:
            try:
                result = work(session)
                session.commit()
                return result
            except DBAPIError as error:
                session.rollback()
                if attempt == ATTEMPTS - 1 or not _passing(error):
                    raise
        gevent.sleep(0.02 * 2**attempt)
    raise AssertionError("unreachable")


def _passing(error: DBAPIError) -> bool:
    """Whether trying again may help: deadlocks, serialization, unique races, lost connections."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        state.startswith(("40", "08", "57P"))
        or state == "23505"
        or (isinstance(error, OperationalError) and bool(error.connection_invalidated))
    )
