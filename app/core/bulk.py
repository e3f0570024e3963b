"""Many rows in one statement. Not COPY: PostgreSQL refuses it on tables with row-level security."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, LiteralString

import psycopg
from psycopg import sql

#: rows a statement; their values are in memory several times over
BATCH_ROWS = 2_000
_WIDE = Context(prec=100)


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


def _digits(kind: str) -> Decimal | None:
    """The last digit that a type like numeric(16,3) keeps; None for any other."""
    scale = re.fullmatch(r"numeric\(\d+,(\d+)\)", kind)
    return Decimal(1).scaleb(-int(scale[1])) if scale else None


def _rounded(value: Any, to: Decimal | None) -> Any:
    """As the column will have it: a station may say a number of more digits than PostgreSQL takes as a parameter."""
    if to is None or not isinstance(value, Decimal) or not value.is_finite():
        return value
    try:
        return value.quantize(to, ROUND_HALF_UP, _WIDE)
    except InvalidOperation:
        return value  # too large for any column: the database says so


def insert_rows(
    cursor: psycopg.Cursor[Any], table: str, columns: Mapping[str, LiteralString], rows: Iterable[Sequence[Any]]
) -> int:
    """Insert rows of plain values. ``columns``: name → PostgreSQL type. Returns how many.

    JSON and values of array columns are given as JSON text. Table and types are the caller's own words, never input.
    """
    statement = _statement(table, tuple(columns.items()))
    count = 0
    digits = [_digits(kind) for kind in columns.values()]
    left = iter(rows)
    while batch := list(islice(left, BATCH_ROWS)):
        arrays = zip(digits, zip(*batch, strict=True), strict=True)
        cursor.execute(statement, [[_rounded(each, to) for each in values] for to, values in arrays])
        count += len(batch)
    return count
