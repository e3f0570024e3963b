"""What a check is: a title and the differences it finds, each a sentence that names the rows.

Most are one SQL statement over whole tables, whose rows are read through a cursor: as many differences as there may
be, no more than a few hundred are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

#: columns whose values are words of ours
_STATES = frozenset({"type", "status", "payment_status", "expected", "operation", "state", "ended_by"})
#: rows fetched at once
BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Period:
    """What is audited: from ``start`` on, before ``end``; without them, everything. ``now`` tells what is overdue."""

    now: datetime
    start: datetime | None = None
    end: datetime | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """For SQL: :start and :end are always times, infinity where nothing is said."""
        return {
            "now": self.now.isoformat(),
            "start": self.start.isoformat() if self.start else "-infinity",
            "end": self.end.isoformat() if self.end else "infinity",
        }


Finder = Callable[[Session, Period], Iterator[str]]


@dataclass(frozen=True)
class Check:
    """One question to the books."""

    title: str
    find: Finder


def within(moment: str) -> str:
    """SQL: whether a time is in the period."""
    return f"{moment} >= CAST(:start AS timestamptz) AND {moment} < CAST(:end AS timestamptz)"


#: SQL: the moment of the audit
NOW = "CAST(:now AS timestamptz)"


def sql_check(title: str, statement: str, words: str) -> Check:
    """A check whose differences are the rows of ``statement``; ``words`` names its columns in braces."""

    def find(session: Session, period: Period) -> Iterator[str]:
        # whole tables are joined: where statistics are stale, row by row would take hours
        session.execute(text("SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true)"))
        wanted = {key: value for key, value in period.parameters.items() if f":{key}" in statement}
        rows = session.execute(text(statement), wanted, execution_options={"yield_per": BATCH})
        for row in rows.mappings():
            yield words.format_map({key: in_words(key, value) for key, value in row.items()})
        session.execute(text("SELECT set_config('enable_nestloop', 'on', true)"))

    return Check(title, find)


def in_words(name: str, value: Any) -> str:
    """A column's value as a sentence has it: amounts with two decimals or more, states without underscores."""
    if value is None:
        return "nothing"
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return str(value).replace("_", " ") if name in _STATES else str(value)


def amount(value: Decimal) -> str:
    """An amount with its decimals, but no padding beyond two."""
    exact = value.normalize()
    decimals = max(2, -int(exact.as_tuple().exponent))
    return f"{exact:.{decimals}f}"
