"""Doing something to each of many rows, when one that fails must not keep the others from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

log = structlog.get_logger(__name__)
Row = TypeVar("Row")


def do_each(session: Session, rows: Iterable[Row], do: Callable[[Row], Any]) -> int:
    """Do it to each row in a savepoint of its own. Returns to how many; failures are logged, for the next tick."""
    done = 0
    for row in rows:
        what, number = type(row).__name__, getattr(row, "id", None)
        try:
            with session.begin_nested():
                do(row)
            done += 1
        except Exception:  # it is told, and tried again with the next tick
            log.exception("row.failed", row=what, id=number)
    return done
