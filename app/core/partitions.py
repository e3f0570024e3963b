"""Monthly partitions of the time-series tables: made ahead, dropped when their time is over.

Partitioned by the time of arrival, so that a station with a wrong clock never misses a partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

#: table → its partition column and the setting that says how many days are kept
TABLES: Mapping[str, tuple[str, str]] = {
    "meter_reading": ("received_at", "retention.meter_reading_days"),
    "communication_log": ("at", "retention.communication_log_days"),
    "network_status_log": ("at", "retention.status_log_days"),
    "hardware_status_log": ("at", "retention.status_log_days"),
    "device_event": ("at", "retention.status_log_days"),
}

MONTHS_AHEAD = 3


@dataclass(frozen=True)
class Partition:
    """One month of one table."""

    table: str
    month: date

    @property
    def name(self) -> str:
        """Its table's name, e.g. ``meter_reading_2026_11``."""
        return f"{self.table}_{self.month:%Y_%m}"

    @property
    def until(self) -> date:
        """The first day after it."""
        return next_month(self.month)


def next_month(month: date) -> date:
    """The first day of the following month."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def wanted(table: str, first: date, today: date) -> list[Partition]:
    """The months a table needs: from ``first`` to ``MONTHS_AHEAD`` after ``today``."""
    month, result = first.replace(day=1), []
    last = today.replace(day=1)
    for _ in range(MONTHS_AHEAD):
        last = next_month(last)
    while month <= last:
        result.append(Partition(table, month))
        month = next_month(month)
    return result


def existing(connection: psycopg.Connection[Any], table: str) -> list[Partition]:
    """The partitions a table has now, oldest first."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname",
        (table,),
    ).fetchall()
    result = []
    for (name,) in rows:
        year, month = name.removeprefix(table + "_").split("_")
        result.append(Partition(table, date(int(year), int(month), 1)))
    return result


def create_partitions(connection: psycopg.Connection[Any], *, now: datetime, since: date | None = None) -> list[str]:
    """Make every partition that is missing; the connection must act as ``sync_owner``. Returns the new names."""
    today = now.astimezone(UTC).date()
    made = []
    for table in TABLES:
        have = {p.name for p in existing(connection, table)}
        for partition in wanted(table, since or today, today):
            if partition.name in have:
                continue
            connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(partition.name),
                    sql.Identifier(table),
                    sql.Literal(f"{partition.month.isoformat()} 00:00+00"),
                    sql.Literal(f"{partition.until.isoformat()} 00:00+00"),
                )
            )
            made.append(partition.name)
    return made


def drop_expired(connection: psycopg.Connection[Any], *, now: datetime, keep_days: Mapping[str, int]) -> list[str]:
    """Drop the partitions whose last day is older than their table's days; as ``sync_owner``. Returns names."""
    dropped = []
    for table in TABLES:
        limit = (now.astimezone(UTC) - timedelta(days=keep_days[table])).date()
        for partition in existing(connection, table):
            if partition.until <= limit:
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(partition.name)))
                dropped.append(partition.name)
    return dropped
