"""Connection of charge points: sockets that open and close, signs of life, and the ladder of silence.

Manual, "Charge Point details", Connection; product.md, "Three separate truths about a charge point".
The rows are written by the gateway's group commit, thousands at once after an outage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core import events, settings
from app.core.group_commit import GroupCommit, Kind

CONNECTION_CHANGED = "charge_point.connection"


@dataclass(frozen=True, slots=True)
class Connected:
    """A station's socket was opened (or closed) at ``at``. ``ref`` identifies the connection everywhere."""

    charge_point_id: int
    partner_id: int
    ref: str
    at: datetime
    protocol: str = ""
    remote_address: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The last sign of life of a connected station, by its connection ``ref``."""

    charge_point_id: int
    ref: str
    at: datetime


#: Greenlets may reach the writer in another order than their sockets came in: of one gateway the higher number is the
#: newer socket, and an older one never takes its place (stations.md, line 2).
_CONNECT = """
WITH given AS (
  SELECT * FROM json_to_recordset(%s::json) AS g(charge_point_id bigint, ref text, at timestamptz, protocol text,
    remote_address text)
), was AS (
  SELECT s.charge_point_id, s.partner_id, s.connection FROM charge_point_state s JOIN given g
    ON g.charge_point_id = s.charge_point_id ORDER BY s.charge_point_id FOR NO KEY UPDATE OF s
), done AS (
  UPDATE charge_point_state s SET connected = true, connection_ref = g.ref, connection = 'available',
    last_seen_at = g.at, protocol = g.protocol, remote_address = g.remote_address,
    connection_changed_at = CASE WHEN was.connection = 'available' THEN s.connection_changed_at ELSE g.at END
  FROM given g, was WHERE s.charge_point_id = g.charge_point_id AND was.charge_point_id = g.charge_point_id
    AND NOT (s.connected AND split_part(s.connection_ref, ':', 1) = split_part(g.ref, ':', 1)
      AND coalesce(substring(s.connection_ref FROM ':([0-9]+)$')::bigint > substring(g.ref FROM ':([0-9]+)$')::bigint,
                   false))
  RETURNING s.charge_point_id, s.partner_id, g.at, was.connection AS before, g.remote_address AS remote
)
INSERT INTO network_status_log (at, partner_id, charge_point_id, status, detail)
SELECT at, partner_id, charge_point_id, 'available', 'connected from ' || coalesce(remote, 'unknown') FROM done
WHERE before <> 'available'
"""

_DISCONNECT = """
UPDATE charge_point_state s SET connected = false, connection_ref = NULL, last_seen_at = greatest(s.last_seen_at, g.at)
FROM json_to_recordset(%s::json) AS g(charge_point_id bigint, ref text, at timestamptz)
WHERE s.charge_point_id = g.charge_point_id AND s.connection_ref = g.ref
"""

#: A newer sign of life also takes back that the station's gateway was thought dead (``forget_gateway``), when it was
#: Redis that had died. One of a connection that has ended in the meantime is older than its end.
_SEEN = """
UPDATE charge_point_state s SET last_seen_at = greatest(s.last_seen_at, g.at),
  connected = s.connected OR g.at > s.last_seen_at,
  connection_ref = CASE WHEN s.connected OR g.at > s.last_seen_at THEN g.ref END
FROM json_to_recordset(%s::json) AS g(charge_point_id bigint, ref text, at timestamptz)
WHERE s.charge_point_id = g.charge_point_id AND coalesce(s.connection_ref, g.ref) = g.ref
"""


def _write_connected(cursor: psycopg.Cursor[Any], items: Sequence[Connected]) -> None:
    newest: dict[int, Connected] = {}
    for item in sorted(items, key=_number):
        newest[item.charge_point_id] = item
    cursor.execute(_CONNECT, (orjson.dumps(list(newest.values())).decode(),))


def _number(item: Connected) -> int:
    """Which of its gateway's connections it is: the number at the end of its ref; 0 without one."""
    digits = item.ref.rpartition(":")[2]
    return int(digits) if digits.isdecimal() else 0


def _write_disconnected(cursor: psycopg.Cursor[Any], items: Sequence[Connected]) -> None:
    ordered = sorted(items, key=lambda i: i.charge_point_id)
    cursor.execute(_DISCONNECT, (orjson.dumps(ordered).decode(),))


def _write_seen(cursor: psycopg.Cursor[Any], items: Sequence[Seen]) -> None:
    latest = {i.charge_point_id: i for i in items}
    cursor.execute(_SEEN, (orjson.dumps([latest[key] for key in sorted(latest)]).decode(),))


CONNECTED: Kind[Connected] = Kind("connected", _write_connected, pipelined=True)
DISCONNECTED: Kind[Connected] = Kind("disconnected", _write_disconnected, pipelined=True)
SEEN: Kind[Seen] = Kind("seen", _write_seen, pipelined=True)


def record_connected(writer: GroupCommit, item: Connected) -> None:
    """A station's socket is open: it is Available from now on. Returns when it is on disk."""
    writer.write(CONNECTED, item)
    _tell(item.charge_point_id, item.partner_id)


def record_disconnected(writer: GroupCommit, item: Connected) -> None:
    """A socket ended. Changes nothing when a newer socket of the station has taken over (another ``ref``)."""
    writer.write(DISCONNECTED, item)
    _tell(item.charge_point_id, item.partner_id)


def record_seen(writer: GroupCommit, items: Sequence[Seen]) -> None:
    """Signs of life since the last call, for the ladder. Returns when they are on disk."""
    if items:
        writer.write_all([(SEEN, item) for item in items])


def _tell(charge_point_id: int, partner_id: int) -> None:
    events.publish_soon({"name": CONNECTION_CHANGED, "partner_id": partner_id, "charge_point_id": charge_point_id})


_LADDER = text("""
WITH due AS (
  SELECT s.charge_point_id, s.partner_id,
    CASE WHEN s.last_seen_at <= :long_before THEN 'long_term_unavailable'
         WHEN s.last_seen_at <= :temporary_before THEN 'temporarily_unavailable'
         ELSE 'available' END AS wanted
  FROM charge_point_state s WHERE s.last_seen_at IS NOT NULL AND s.connection <>
    CASE WHEN s.last_seen_at <= :long_before THEN 'long_term_unavailable'
         WHEN s.last_seen_at <= :temporary_before THEN 'temporarily_unavailable'
         ELSE 'available' END
  ORDER BY s.charge_point_id FOR NO KEY UPDATE OF s SKIP LOCKED
), changed AS (
  UPDATE charge_point_state s SET connection = due.wanted, connection_changed_at = :now
  FROM due WHERE s.charge_point_id = due.charge_point_id
  RETURNING s.charge_point_id, s.partner_id, s.connection
), logged AS (
  INSERT INTO network_status_log (at, partner_id, charge_point_id, status, detail)
  SELECT :now, partner_id, charge_point_id, connection,
    CASE connection WHEN 'available' THEN 'signs of life again' ELSE 'no sign of life' END FROM changed
)
SELECT charge_point_id, partner_id, connection FROM changed
""")


def climb_ladder(session: Session, *, now: datetime) -> int:
    """Bring every station's connection to what its silence says (defaults 120 and 300 s). Returns the changes."""
    temporary_s = settings.get_int(session, "connection.temporarily_unavailable_after_seconds")
    long_s = max(temporary_s, settings.get_int(session, "connection.long_term_unavailable_after_seconds"))
    rows = session.execute(
        _LADDER,
        {
            "now": now,
            "temporary_before": now - timedelta(seconds=temporary_s),
            "long_before": now - timedelta(seconds=long_s),
        },
    ).all()
    for charge_point_id, partner_id, _connection in rows:
        events.announce(session, CONNECTION_CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)
    return len(rows)


def forget_gateway(session: Session, *, alive: Sequence[str], now: datetime) -> int:
    """Mark the stations of gateways that died as disconnected; the ladder then takes them down.

    ``alive`` are the gateways' names, the part of a connection's ref before the first ``:``.
    """
    rows = session.execute(
        text(
            "UPDATE charge_point_state SET connected = false, connection_ref = NULL "
            "WHERE connected AND split_part(connection_ref, ':', 1) <> ALL(:alive) "
            "RETURNING charge_point_id, partner_id"
        ),
        {"alive": list(alive)},
    ).all()
    for charge_point_id, partner_id in rows:
        events.announce(session, CONNECTION_CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)
    return len(rows)


_ADMITTED = text("""
DELETE FROM unknown_station u USING charge_point c JOIN charge_point_state s ON s.charge_point_id = c.id
WHERE lower(c.identifier) = lower(u.identifier) AND s.connected AND s.last_seen_at > u.last_seen_at
""")


def forget_admitted(session: Session) -> int:
    """Take stations off the list of the refused that have got in since their last refusal. Returns how many."""
    return int(getattr(session.execute(_ADMITTED), "rowcount", 0))
