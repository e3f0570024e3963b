"""The communication log: every frame, written behind the conversation, dropped (and counted) rather than waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg

from app.core.bulk import insert_rows
from app.core.group_commit import Kind

_COLUMNS: dict[str, LiteralString] = {
    "at": "timestamptz",
    "partner_id": "bigint",
    "charge_point_id": "bigint",
    "direction": "varchar",
    "kind": "varchar",
    "message_id": "text",
    "action": "text",
    "payload": "text",
}
_KINDS = {"call": "request", "result": "answer", "error": "error", "invalid": "error"}
MAX_PAYLOAD_CHARS = 64_000


class Entry(NamedTuple):
    """One frame as it was on the wire."""

    at: datetime
    partner_id: int
    charge_point_id: int
    direction: str
    kind: str
    message_id: str
    action: str
    payload: str


def entry(
    at: datetime,
    partner_id: int,
    charge_point_id: int,
    direction: str,
    message_id: str | None,
    action: str | None,
    kind: str,
    text: str,
) -> Entry:
    """A frame as the log keeps it: without NULs, which PostgreSQL refuses, and not without end."""
    return Entry(
        at,
        partner_id,
        charge_point_id,
        direction,
        _KINDS[kind],
        (message_id or "")[:80].replace("\x00", ""),
        (action or "")[:60].replace("\x00", ""),
        text[:MAX_PAYLOAD_CHARS].replace("\x00", ""),
    )


def _write(cursor: psycopg.Cursor[Any], items: Sequence[Entry]) -> None:
    insert_rows(cursor, "communication_log", _COLUMNS, items)


FRAMES: Kind[Entry] = Kind("frames", _write)
