"""From a list to bytes, straight from PostgreSQL's COPY: constant memory, whatever the list's length.

The header is sent before the first row is found, so that a download begins at once.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, cast
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import Connection, Select
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import Session

from app.core import settings
from app.core.clock import zone
from app.exports.columns import ExportList, world_of
from app.exports.copying import copy_out
from app.exports.lists import LISTS

BOM = b"\xef\xbb\xbf"
#: an export may take longer than a screen's statement; a forgotten download ends some day
TIMEOUT_MS = 15 * 60 * 1000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
#: compiling begins before there is a row to send; several processors write a long list faster than one
_PLANNING = {"jit": "off", "parallel_setup_cost": "100", "parallel_tuple_cost": "0.002"}


class UnknownList(LookupError):
    """There is no such list to export."""


class NoTime(ValueError):
    """The list is of things that have no time to choose them by."""


def parse_moment(raw: str, in_zone: ZoneInfo) -> datetime:
    """A time given in ISO 8601; a date is its midnight, a time without offset is of ``in_zone``.

    Raises ValueError with what is expected.
    """
    try:
        if _DATE.fullmatch(raw.strip()):
            return datetime.combine(date.fromisoformat(raw.strip()), time(), in_zone)
        moment = datetime.fromisoformat(raw.strip())
    except ValueError:
        raise ValueError(f"a date or time such as 2026-11-01 or 2026-11-01T08:00 is expected, not {raw!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=in_zone)


def system_zone(session: Session) -> ZoneInfo:
    """The zone of exports. Manual, "Timezone"."""
    return zone(settings.get_text(session, "system.timezone"))


def stream_csv(
    bind: Session | Connection,
    list_name: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    bom: bool = False,
    columns: Sequence[str] | None = None,
) -> Iterator[bytes]:
    """The list as CSV in UTF-8, header first, in chunks; of the rows whose main time is in [start, end).

    ``columns`` are some of the list's, in the list's order. It runs on the bind's own connection and in its
    transaction, whose time zone and time-out it sets back when done. Raises UnknownList, UnknownColumn and NoTime, at
    once.
    """
    if list_name not in LISTS:
        wrong = f"there is no list {list_name!r}" if list_name else "name a list"
        raise UnknownList(f"{wrong}; lists are {', '.join(sorted(LISTS))}")
    session = bind if isinstance(bind, Session) else Session(bind=bind)
    export = LISTS[list_name]
    names = export.chosen(columns)
    query = _of_time(export, list_name, export.narrowed(None, world_of(session), names), start, end)
    in_zone = str(system_zone(session))
    return _on_own_connection(session, copy_statement(query), names, in_zone, bom)


def _of_time(
    export: ExportList, list_name: str, query: Select[Any], start: datetime | None, end: datetime | None
) -> Select[Any]:
    at = export.time_of()
    if at is None and (start is not None or end is not None):
        raise NoTime(f"the list {list_name!r} has no time to choose rows by")
    if start is not None and at is not None:
        query = query.where(at >= start)
    if end is not None and at is not None:
        query = query.where(at < end)
    return query


class _Literals(PGCompiler_psycopg):
    """Writes values into the statement; texts also where SQLAlchemy knows no literal form of their type."""

    def render_literal_value(self, value: Any, type_: Any) -> str:
        """A value as SQL, its percent signs doubled as in all that is written here."""
        try:
            return str(super().render_literal_value(value, type_))  # type: ignore[no-untyped-call]
        except CompileError:
            if not isinstance(value, str):
                raise
            return "'" + value.replace("'", "''").replace("%", "%%") + "'"


def literal_sql(query: Any) -> str:
    """A query with its values in it, quoted by their types. Raises CompileError for what has no literal form."""
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    dialect.statement_compiler = _Literals
    dialect._backslash_escapes = False  # standard_conforming_strings has been on since PostgreSQL 9.1
    compiled = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return str(compiled).replace("%%", "%")


def copy_statement(query: Any) -> str:
    """COPY of a query's rows as CSV without header: COPY takes no parameters. Raises CompileError."""
    return f"COPY ({literal_sql(query)}) TO STDOUT WITH (FORMAT csv)"


def header_line(names: Sequence[str], *, bom: bool) -> bytes:
    """The first line, after a byte order mark where one is wanted."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return (BOM if bom else b"") + line.getvalue().encode()


def csv_rows(
    connection: psycopg.Connection[Any], statement: str, names: Sequence[str], in_zone: str, *, bom: bool
) -> Generator[bytes, None, int]:
    """A COPY with its header, in the transaction of a connection; in the end, how many rows. Raises psycopg.Error.

    ``b""`` among the chunks says that the first rows take their time.
    """
    _set(connection, {"TimeZone": in_zone, "statement_timeout": str(TIMEOUT_MS), **_PLANNING})
    rows = copy_out(connection, statement)
    next(rows)  # begun: an error from here on breaks the download off
    yield header_line(names, bom=bom)
    return (yield from rows)


def _on_own_connection(
    session: Session, statement: str, names: Sequence[str], in_zone: str, bom: bool
) -> Iterator[bytes]:
    connection = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    before = _current(connection, ("TimeZone", "statement_timeout", *_PLANNING))
    yield from filter(None, csv_rows(connection, statement, names, in_zone, bom=bom))
    # not when the reader left half-way: then the transaction is over, and with it what was set
    _set(connection, before)


def _current(connection: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, str]:
    row = connection.execute(f"SELECT {', '.join(['current_setting(%s)'] * len(names))}", tuple(names)).fetchone()
    assert row is not None
    return dict(zip(names, row, strict=True))


def _set(connection: psycopg.Connection[Any], values: Mapping[str, str]) -> None:
    """Set for this transaction only."""
    calls = ", ".join(["set_config(%s, %s, true)"] * len(values))
    connection.execute(f"SELECT {calls}", [part for pair in values.items() for part in pair])
