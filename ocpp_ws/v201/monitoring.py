"""What stations report of their variables by themselves (OCPP 2.0.1 part 2, block N): events, and their monitors."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from app.charging.clocks import clean_time
from app.charging.models import MonitorKind
from app.charging.upkeep.device_events import DeviceReport, clean, record_events
from app.charging.upkeep.monitors import MOST_MONITORS, ReportedMonitor, keep_monitors
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.timestamps import moment
from ocpp_ws.v201.device_model import PASSWORD, name_of
from ocpp_ws.v201.parts import Wanted, gather, wanted_by

#: severities are 0 to 9
WORST_TO_LEAST: Final = 9

#: theirs → ours
KINDS: Final = {
    "UpperThreshold": "upper",
    "LowerThreshold": "lower",
    "Delta": "delta",
    "Periodic": "periodic",
    "PeriodicClockAligned": "periodic_clock",
}


def notify_event(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyEvent: each event is kept as it comes; parts need not be put together. Passwords are not among them."""
    of, now = served(connection), now_of(connection)

    def report(event: dict[str, Any]) -> DeviceReport:
        return DeviceReport(
            at=now,
            partner_id=of.station.partner_id,
            charge_point_id=of.station.id,
            reported_at=clean_time(moment(event.get("timestamp"), now), now)[0],
            event_number=_number(event.get("eventId"), 63) or 0,
            key=clean(name_of(event), 255),
            trigger=clean(event["trigger"], 40).lower(),
            value=clean(event["actualValue"]),
            cleared=event.get("cleared") is True,
            monitor_id=_number(event.get("variableMonitoringId"), 31),
            cause=_number(event.get("cause"), 63),
            session_reference=_text(event.get("transactionId"), 80),
            technical_code=_text(event.get("techCode"), 255),
            technical_info=_text(event.get("techInfo")),
        )

    record_events(of.writer, [report(event) for event in payload["eventData"] if name_of(event) != PASSWORD])
    return {}


def notify_monitoring_report(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyMonitoringReport: gather a part; keep the monitors when no more is to come.

    Only a whole report that we asked for says that there are no others.
    """
    of, now = served(connection), now_of(connection)
    found = gather(of, "monitors", payload, payload.get("monitor") or (), most=MOST_MONITORS)
    if found is None:
        return {}
    monitors = [monitor for entry in found.entries for monitor in _monitors(entry)]
    of.transact(
        lambda session: keep_monitors(
            session,
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            monitors=monitors,
            whole=found.whole and wanted_by(payload["requestId"]) is Wanted.FULL,
            now=now,
        )
    )
    return {}


def _monitors(entry: dict[str, Any]) -> Iterator[ReportedMonitor]:
    """Those of a variable; what cannot be a monitor is left out."""
    key = clean(name_of(entry), 255)
    for each in entry.get("variableMonitoring") or ():
        number, severity = _number(each.get("id"), 31), _number(each.get("severity"), 15)
        kind, value = KINDS.get(str(each.get("type"))), each.get("value")
        if number is None or severity is None or severity > WORST_TO_LEAST or kind is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            continue
        yield ReportedMonitor(
            monitor_id=number,
            key=key,
            kind=MonitorKind(kind),
            value=Decimal(str(value)),
            severity=severity,
            in_session_only=each.get("transaction") is True,
        )


def _number(value: Any, bits: int) -> int | None:
    """A number that fits; others name nothing."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**bits
    return value if known else None


def _text(value: Any, most: int = 2_500) -> str | None:
    return clean(value, most) if value else None
