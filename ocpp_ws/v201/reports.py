"""NotifyReport (OCPP 2.0.1 part 2, block B): the device model comes in parts, and is kept when the last has come."""

from __future__ import annotations

from typing import Any

from app.charging.upkeep.configuration import Report, keep_report
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.device_model import PASSWORD, reported_keys

#: variables of one report, and reports that are under way on a connection
MOST_VARIABLES = 5_000
MOST_REPORTS = 4


def notify_report(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Gather a part; keep the whole when no more is to come.

    A report of which a part is missing is kept for what it has: it says nothing of the variables it does not name.
    """
    of = served(connection)
    parts: dict[int, dict[int, list[dict[str, Any]]]] = of.notes.setdefault("reports", {})
    request_id = payload["requestId"]
    report = parts.setdefault(request_id, {})
    report[payload["seqNo"]] = [
        entry for entry in reported_keys(payload.get("reportData") or ()) if entry["key"] != PASSWORD
    ]
    while len(parts) > MOST_REPORTS:
        del parts[next(iter(parts))]
    if payload.get("tbc") and sum(map(len, report.values())) < MOST_VARIABLES:
        return {}
    del parts[request_id]
    keys = [entry for number in sorted(report) for entry in report[number]]
    complete = not payload.get("tbc") and sorted(report) == list(range(len(report)))
    station, now = of.station, now_of(connection)
    of.transact(
        lambda session: keep_report(
            session, station.id, station.partner_id, Report(keys, whole=complete and bool(keys)), now=now
        )
    )
    return {}
