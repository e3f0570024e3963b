"""Many rows in one statement. Not COPY: PostgreSQL refuses it on tables with row-level security."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, LiteralString

import psycopg
from psycopg import sql

#: rows a statement; their values are in memory several times over
BATCH_ROWS = 2_000


@lru_cache(maxsize=64)
def _statement(table: str, columns: tuple[tuple[str, LiteralString], ...]) -> sql.Composed:
    """Arrays travel as JSON: ``unnest`` would take them apart."""
    values: list[sql.Composable] = []
    given: list[sql.Composable] = []
    for name, kind in columns:
        column = sql.Identifier(name)
        if kind.endswith("[]"):
            text = sql.SQL("ARRAY(SELECT jsonb_array_elements_text({}::jsonb))::").format(column) + sql.SQL(kind)
            values.append(sql.SQL("CASE WHEN {} IS NOT NULL THEN ").format(column) + text + sql.SQL(" END"))
            given.append(sql.SQL("%s::text[]"))
        else:
            values.append(column)
            given.append(sql.SQL("%s::") + sql.SQL(kind) + sql.SQL("[]"))
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS given ({})").format(
        sql.Identifier(table), names, sql.SQL(", ").join(values), sql.SQL(", ").join(given), names
    )


def insert_rows(
    cursor: psycopg.Cursor[Any], table: str, columns: Mapping[str, LiteralString], rows: Iterable[Sequence[Any]]
) -> int:
    """Insert rows of plain values. ``columns``: name → PostgreSQL type. Returns how many.

    JSON and values of array columns are given as JSON text. Table and types are the caller's own words, never input.
    """
    statement = _statement(table, tuple(columns.items()))
    count = 0
    left = iter(rows)
    while batch := list(islice(left, BATCH_ROWS)):
        cursor.execute(statement, [list(values) for values in zip(*batch, strict=True)])
        count += len(batch)
    return count
