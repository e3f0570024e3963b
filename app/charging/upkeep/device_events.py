"""What stations report of their variables by themselves, kept by month (OCPP 2.0.1 part 2, N07 and N08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg

from app.core import events
from app.core.group_commit import GroupCommit, Kind

REPORTED = "charge_point.device_event"
#: how bad it is, as OCPP counts; 0 is worst
SEVERITIES = {
    0: "Danger",
    1: "Hardware failure",
    2: "System failure",
    3: "Critical",
    4: "Error",
    5: "Alert",
    6: "Warning",
    7: "Notice",
    8: "Information",
    9: "Debugging",
}
TRIGGERS = {"alerting": "Beyond a limit", "delta": "Changed", "periodic": "From time to time"}

#: events of one message that are kept
MOST_EVENTS = 200
_LONGEST = 2_500


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """One event; columns as in DeviceEvent, ``at`` is when it arrived."""

    at: datetime
    partner_id: int
    charge_point_id: int
    reported_at: datetime
    event_number: int
    key: str
    trigger: str
    value: str
    cleared: bool
    monitor_id: int | None
    cause: int | None
    session_reference: str | None
    technical_code: str | None
    technical_info: str | None


#: how bad it is stands with the monitor, not with the event
_INSERT = """
INSERT INTO device_event (at, partner_id, charge_point_id, reported_at, event_number, key, trigger, value, cleared,
  severity, monitor_id, cause, session_reference, technical_code, technical_info)
SELECT g.at, g.partner_id, g.charge_point_id, g.reported_at, g.event_number, g.key, g.trigger, g.value, g.cleared,
  m.severity, g.monitor_id, g.cause, g.session_reference, g.technical_code, g.technical_info
FROM json_to_recordset(%s::json) AS g(at timestamptz, partner_id bigint, charge_point_id bigint,
  reported_at timestamptz, event_number bigint, key text, trigger text, value text, cleared boolean,
  monitor_id integer, cause bigint, session_reference text, technical_code text, technical_info text)
LEFT JOIN device_monitor m ON m.charge_point_id = g.charge_point_id AND m.monitor_id = g.monitor_id
"""


def _write(cursor: psycopg.Cursor[Any], items: Sequence[DeviceReport]) -> None:
    cursor.execute(_INSERT, (orjson.dumps(items).decode(),))


EVENTS: Kind[DeviceReport] = Kind("device_event", _write, pipelined=True)


def record_events(writer: GroupCommit, reports: Sequence[DeviceReport]) -> None:
    """Keep what a station reports, of one message MOST_EVENTS at most. Returns when it is on disk."""
    if not reports:
        return
    writer.write_all([(EVENTS, report) for report in reports[:MOST_EVENTS]])
    first = reports[0]
    events.publish_soon({"name": REPORTED, "partner_id": first.partner_id, "charge_point_id": first.charge_point_id})


def clean(text: object, most: int = _LONGEST) -> str:
    """A text as the database takes it."""
    return str(text).replace("\x00", "")[:most]
