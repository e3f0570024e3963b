"""Many rows at once: numbers reserved from a table's sequence, rows written by COPY, in the session's transaction.

By way of a temporary table: PostgreSQL refuses COPY into tables with row-level security.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any, cast

import orjson
import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session


def reserve_ids(session: Session, table: str, count: int) -> list[int]:
    """The next ``count`` numbers of a table's identity column, ascending; nobody else gets them."""
    rows = session.scalars(
        text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)"),
        {"table": table, "count": count},
    )
    return sorted(rows)


def copy_rows(session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows by COPY, after what the session has pending. Returns how many."""
    session.flush()
    connection = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    made = sql.SQL("CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
    count = 0
    with connection.cursor() as cursor:
        cursor.execute(made.format(names, sql.Identifier(table)))
        with cursor.copy("COPY incoming FROM STDIN") as copy:
            for row in rows:
                copy.write_row([value.value if isinstance(value, enum.Enum) else value for value in row])
                count += 1
        # a plan by which foreign keys were checked when the tables were empty reads all of them for every row
        cursor.execute("DISCARD PLANS")
        moved = sql.SQL("INSERT INTO {} ({}) SELECT * FROM incoming")
        cursor.execute(moved.format(sql.Identifier(table), names))
        cursor.execute("DROP TABLE incoming")
    return count


def json_text(value: Any) -> str:
    """A value for a JSONB column."""
    return orjson.dumps(value).decode()
