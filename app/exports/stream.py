"""From a list to bytes, straight from PostgreSQL's COPY: constant memory, whatever the list's length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, cast
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import Connection, Select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.clock import zone
from app.exports.lists import LISTS

BOM = b"\xef\xbb\xbf"
#: an export may take longer than a screen's statement; a forgotten download ends some day
TIMEOUT_MS = 15 * 60 * 1000
#: small pieces of PostgreSQL are sent on in bigger ones
_CHUNK_BYTES = 64 * 1024
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class UnknownList(LookupError):
    """There is no such list to export."""


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
    matching: Select[Any] | None = None,
) -> Iterator[bytes]:
    """The list as CSV in UTF-8, header first, in chunks; of the rows whose main time is in [start, end).

    ``matching`` is a query of ids, for a screen's filtered list. It runs on the bind's own connection and in its
    transaction, whose time zone and time-out it sets back when done. Raises UnknownList, at once.
    """
    if list_name not in LISTS:
        wrong = f"there is no list {list_name!r}" if list_name else "name a list"
        raise UnknownList(f"{wrong}; lists are {', '.join(LISTS)}")
    session = bind if isinstance(bind, Session) else Session(bind=bind)
    statement = _statement(session, list_name, start, end, matching)
    return _copy(session, statement, bom)


def _statement(
    session: Session, list_name: str, start: datetime | None, end: datetime | None, matching: Select[Any] | None
) -> str:
    export = LISTS[list_name]
    query = export.query(settings.get_text(session, "system.currency"))
    if start is not None:
        query = query.where(export.time >= start)
    if end is not None:
        query = query.where(export.time < end)
    if matching is not None:
        query = query.where(export.id.in_(matching))
    # values stand in the statement, quoted by their types: COPY takes no parameters
    compiled = query.order_by(export.id).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
    return f"COPY ({compiled}) TO STDOUT WITH (FORMAT csv, HEADER)"


def _copy(session: Session, statement: str, bom: bool) -> Iterator[bytes]:
    in_zone = system_zone(session)
    connection = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    with connection.cursor() as cursor:
        before = _set(cursor, str(in_zone), str(TIMEOUT_MS))
        pending = bytearray(BOM if bom else b"")
        # all values are in the statement; a percent sign is doubled in it, which the empty tuple undoes
        with cursor.copy(statement, ()) as copy:
            for piece in copy:
                pending += piece
                if len(pending) >= _CHUNK_BYTES:
                    yield bytes(pending)
                    pending.clear()
        # not when the reader left half-way: then the transaction is over, and with it what was set
        _set(cursor, *before)
        yield bytes(pending)


def _set(cursor: psycopg.Cursor[Any], in_zone: str, timeout: str) -> tuple[str, str]:
    """Set zone and time-out for this transaction; returns what they were."""
    row = cursor.execute("SELECT current_setting('TimeZone'), current_setting('statement_timeout')").fetchone()
    cursor.execute(
        "SELECT set_config('TimeZone', %s, true), set_config('statement_timeout', %s, true)", (in_zone, timeout)
    )
    assert row is not None
    return row[0], row[1]
