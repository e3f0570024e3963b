"""What stations report of themselves: boots, statuses of the station and of its EVSEs, and their log.

Manual, "Hardware Status Logs". Status of network id 0 is the station's own, decided here and nowhere else
(product.md, "Three separate truths about a charge point").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg

from app.assets.models import ReportedStatus
from app.charging.station import Station
from app.core import events
from app.core.group_commit import GroupCommit, Kind

HARDWARE_CHANGED = "charge_point.hardware"

#: A station's clock may be off: a report is out of order only when it is hours, not days, behind its arrival and the
#: stored time was itself sane. Otherwise a clock that fell back with the power would freeze the status for ever.
_LATE = """was.status_at IS NOT NULL AND g.reported_at < was.status_at
    AND g.reported_at > g.received_at - interval '1 day'
    AND was.status_at <= was.status_received_at + interval '5 minutes'"""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One status report. ``evse_id`` None: the station itself (network id 0) or an EVSE nobody registered."""

    charge_point_id: int
    partner_id: int
    network_id: int
    evse_id: int | None
    status: ReportedStatus
    reported_at: datetime
    received_at: datetime
    error_code: str | None = None
    info: str | None = None
    vendor_error_code: str | None = None


@dataclass(frozen=True, slots=True)
class BootReport:
    """What a station says of itself when it boots."""

    charge_point_id: int
    partner_id: int
    at: datetime
    vendor: str
    model: str
    serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None
    reason: str | None = None


#: one JSON text instead of ten arrays: a storm of reports is a matter of microseconds each for the gateway
_GIVEN = """
WITH given AS (
  SELECT * FROM json_to_recordset(%s::json) AS g(charge_point_id bigint, partner_id bigint, evse_id bigint,
    network_id int, status text, reported_at timestamptz, received_at timestamptz, error_code text, info text,
    vendor_error_code text)
)"""

#: since when the fault lasts: repeating it, or saying more of it, does not begin it anew
_FAULTED_AT = "CASE WHEN g.status = 'faulted' THEN coalesce(s.faulted_at, g.received_at) END"

_LOG = """
INSERT INTO hardware_status_log (at, partner_id, charge_point_id, evse_id, network_id, status, error_code, info,
  vendor_error_code, reported_at)
SELECT received_at, partner_id, charge_point_id, evse_id, network_id, status, error_code, info, vendor_error_code,
  reported_at FROM {source}
"""

_EVSES = f"""{_GIVEN}, was AS (
  SELECT s.evse_id, s.status, s.error_code, s.status_at, s.status_received_at FROM evse_state s
  JOIN given g ON g.evse_id = s.evse_id ORDER BY s.evse_id FOR NO KEY UPDATE OF s
), done AS (
  UPDATE evse_state s SET status = g.status, error_code = g.error_code, error_info = g.info,
    vendor_error_code = g.vendor_error_code, status_at = g.reported_at, status_received_at = g.received_at,
    faulted_at = {_FAULTED_AT}
  FROM given g, was WHERE s.evse_id = g.evse_id AND was.evse_id = g.evse_id AND NOT ({_LATE})
), changed AS (
  SELECT g.* FROM given g JOIN was ON was.evse_id = g.evse_id
  WHERE was.status <> g.status OR was.error_code IS DISTINCT FROM g.error_code
)
{_LOG.format(source="changed")}"""  # noqa: S608 (constants only)

_STATIONS = f"""{_GIVEN}, was AS (
  SELECT s.charge_point_id, s.status, s.error_code, s.status_at, s.status_received_at FROM charge_point_state s
  JOIN given g ON g.charge_point_id = s.charge_point_id ORDER BY s.charge_point_id FOR NO KEY UPDATE OF s
), done AS (
  UPDATE charge_point_state s SET status = g.status, error_code = g.error_code, error_info = g.info,
    status_at = g.reported_at, status_received_at = g.received_at, faulted_at = {_FAULTED_AT}
  FROM given g, was
  WHERE s.charge_point_id = g.charge_point_id AND was.charge_point_id = g.charge_point_id AND NOT ({_LATE})
), changed AS (
  SELECT g.* FROM given g JOIN was ON was.charge_point_id = g.charge_point_id
  WHERE was.status <> g.status OR was.error_code IS DISTINCT FROM g.error_code
)
{_LOG.format(source="changed")}"""  # noqa: S608 (constants only)

_UNREGISTERED = f"{_GIVEN}\n{_LOG.format(source='given')}"

#: charging has ended while the car still occupies the EVSE: the idle time of the session begins
_IDLE_BEGINS = """
UPDATE charging_session SET charging_ended_at = g.at FROM unnest(%s::bigint[], %s::timestamptz[]) AS g(evse_id, at)
WHERE charging_session.evse_id = g.evse_id AND charging_session.status IN ('active', 'stopping')
  AND charging_ended_at IS NULL AND g.at >= started_at
"""

_IDLE_ENDS = """
UPDATE charging_session SET charging_ended_at = NULL FROM unnest(%s::bigint[], %s::timestamptz[]) AS g(evse_id, at)
WHERE charging_session.evse_id = g.evse_id AND charging_session.status IN ('active', 'stopping')
  AND charging_ended_at <= g.at
"""

#: what reports Faulted or Unavailable cannot be kept for anybody (OCPP 1.6, 3.13; stations.md, line 21). By what is
#: stored: a report that came out of order is no news.
_RESERVATIONS = """
UPDATE reservation SET status = 'ended', ended_at = g.at, end_reason = g.why FROM (
  SELECT r.id, asked.at, CASE WHEN e.status = 'faulted' THEN 'The EVSE reports a fault'
    WHEN e.status = 'unavailable' THEN 'The EVSE reports that it is unavailable'
    WHEN s.status = 'faulted' THEN 'The charge point reports a fault'
    ELSE 'The charge point reports that it is unavailable' END AS why
  FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS asked(charge_point_id, evse_id, at)
  JOIN reservation r ON r.charge_point_id = asked.charge_point_id AND r.evse_id = coalesce(asked.evse_id, r.evse_id)
  JOIN evse_state e ON e.evse_id = r.evse_id
  JOIN charge_point_state s ON s.charge_point_id = r.charge_point_id
  WHERE r.status IN ('pending', 'active')
    AND (e.status IN ('faulted', 'unavailable') OR s.status IN ('faulted', 'unavailable'))
  FOR NO KEY UPDATE OF r
) g WHERE reservation.id = g.id
"""

_OUT_OF_USE = frozenset({ReportedStatus.FAULTED, ReportedStatus.UNAVAILABLE})
_IDLE = frozenset({ReportedStatus.SUSPENDED_EV, ReportedStatus.FINISHING})


def _rounds(items: Sequence[StatusReport]) -> Iterable[list[StatusReport]]:
    """Groups in order of arrival in which no EVSE appears twice, so that no change in between is lost."""
    pending = list(items)
    while pending:
        taken: dict[tuple[int, int], StatusReport] = {}
        later: list[StatusReport] = []
        for item in pending:
            key = (item.charge_point_id, item.network_id)
            if key in taken:
                later.append(item)
            else:
                taken[key] = item
        yield list(taken.values())
        pending = later


def _write_statuses(cursor: psycopg.Cursor[Any], items: Sequence[StatusReport]) -> None:
    for group in _rounds(items):
        evses = [i for i in group if i.evse_id is not None]
        stations = [i for i in group if i.evse_id is None and i.network_id == 0]
        unregistered = [i for i in group if i.evse_id is None and i.network_id != 0]
        for statement, rows in ((_EVSES, evses), (_STATIONS, stations), (_UNREGISTERED, unregistered)):
            if rows:
                cursor.execute(statement, (orjson.dumps(rows).decode(),))
        out = [i for i in group if i.status in _OUT_OF_USE and (i.evse_id is not None or i.network_id == 0)]
        if out:
            cursor.execute(
                _RESERVATIONS,
                ([i.charge_point_id for i in out], [i.evse_id for i in out], [i.received_at for i in out]),
            )
        idle = [i for i in evses if i.status in _IDLE]
        if idle:
            # a station's clock may be ahead, the idle fee must not be
            cursor.execute(_IDLE_BEGINS, ([i.evse_id for i in idle], [min(i.reported_at, i.received_at) for i in idle]))
        charging = [i for i in evses if i.status is ReportedStatus.CHARGING]
        if charging:
            cursor.execute(_IDLE_ENDS, ([i.evse_id for i in charging], [i.reported_at for i in charging]))


def _write_unreadable(cursor: psycopg.Cursor[Any], items: Sequence[StatusReport]) -> None:
    cursor.execute(_UNREGISTERED, (orjson.dumps(items).decode(),))


_BOOT = """
UPDATE charge_point_state s SET vendor = g.vendor, model = g.model, serial_number = g.serial_number,
  firmware_version = g.firmware_version, iccid = g.iccid, imsi = g.imsi, meter_type = g.meter_type,
  meter_serial_number = g.meter_serial_number, booted_at = g.at, boot_reason = g.reason
FROM json_to_recordset(%s::json) AS g(charge_point_id bigint, at timestamptz, vendor text, model text,
  serial_number text, firmware_version text, iccid text, imsi text, meter_type text, meter_serial_number text,
  reason text)
WHERE s.charge_point_id = g.charge_point_id
"""


def _write_boots(cursor: psycopg.Cursor[Any], items: Sequence[BootReport]) -> None:
    latest = {i.charge_point_id: i for i in items}
    rows = [latest[key] for key in sorted(latest)]
    cursor.execute(_BOOT, (orjson.dumps(rows).decode(),))


STATUS: Kind[StatusReport] = Kind("status", _write_statuses, pipelined=True)
UNREADABLE: Kind[StatusReport] = Kind("unreadable", _write_unreadable, pipelined=True)
BOOT: Kind[BootReport] = Kind("boot", _write_boots, pipelined=True)


def record_boot(writer: GroupCommit, report: BootReport) -> None:
    """Keep what a booting station says of itself. Returns when it is on disk."""
    writer.write(BOOT, report)
    _tell(report.charge_point_id, report.partner_id)


def record_status(
    writer: GroupCommit,
    station: Station,
    *,
    network_id: int,
    status: ReportedStatus,
    reported_at: datetime,
    now: datetime,
    error_code: str | None = None,
    info: str | None = None,
    vendor_error_code: str | None = None,
) -> None:
    """Keep a status report; logged when it changes something. Returns when it is on disk.

    A report older than the stored one is logged but does not overwrite it.
    """
    details = {"error_code": error_code, "info": info, "vendor_error_code": vendor_error_code}
    writer.write(STATUS, _report(station, network_id, status, reported_at, now, details))
    _tell(station.id, station.partner_id)


def log_unreadable_status(
    writer: GroupCommit,
    station: Station,
    *,
    network_id: int,
    info: str,
    reported_at: datetime,
    now: datetime,
    error_code: str | None = None,
    vendor_error_code: str | None = None,
) -> None:
    """Log a report whose status is no word anybody knows: what is stored stays. Returns when it is on disk.

    ``info`` has the word, for whoever reads the log.
    """
    details = {"error_code": error_code, "info": info, "vendor_error_code": vendor_error_code}
    report = _report(station, network_id, ReportedStatus.UNKNOWN, reported_at, now, details)
    writer.write(UNREADABLE, report)
    _tell(station.id, station.partner_id)


def _report(
    station: Station,
    network_id: int,
    status: ReportedStatus,
    reported_at: datetime,
    now: datetime,
    details: Mapping[str, str | None],
) -> StatusReport:
    evse = station.evse(network_id)
    return StatusReport(
        charge_point_id=station.id,
        partner_id=station.partner_id,
        network_id=network_id,
        evse_id=evse.id if evse else None,
        status=status,
        reported_at=reported_at,
        received_at=now,
        **details,
    )


def _tell(charge_point_id: int, partner_id: int) -> None:
    events.publish_soon({"name": HARDWARE_CHANGED, "partner_id": partner_id, "charge_point_id": charge_point_id})
