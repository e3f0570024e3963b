"""The status an EVSE is shown with, in SQL: ``app.charging.queries.shown_evse`` without its reservation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, literal, or_

from app.assets.models import ConnectionStatus, EvseStatus, ReportedStatus, SystemStatus
from app.charging.status import GOES_ON, ShownStatus, hardware_status, stricter_system_status
from app.exports.cells import in_words
from app.exports.columns import Row

_HARDWARE = {reported.value: hardware_status(reported).value for reported in ReportedStatus}


def shown_status(row: Row) -> ColumnElement[Any]:
    """Intent first, then connection, then hardware, for a row of EVSEs."""
    station, evse = row("charge_point.status"), row("status")
    connection = row("charge_point.state.connection")
    reported, of_station = row("state.status"), row("charge_point.state.status")
    charging = case((reported == ReportedStatus.CHARGING, "charging"), else_="available")
    intents: list[tuple[Any, Any]] = []
    for whole in SystemStatus:
        for part in EvseStatus:
            intent = stricter_system_status(whole.value, part.value)
            if intent is SystemStatus.ACTIVE:
                continue
            shown: Any = charging if intent is SystemStatus.DEMO else literal(ShownStatus(intent.value).value)
            intents.append((and_(station == whole, evse == part), shown))
    keeps = (*GOES_ON, ReportedStatus.FAULTED)
    counts = case(
        (of_station == ReportedStatus.FAULTED, ReportedStatus.FAULTED.value),
        (
            and_(of_station == ReportedStatus.UNAVAILABLE, or_(reported.is_(None), reported.not_in(keeps))),
            ReportedStatus.UNAVAILABLE.value,
        ),
        else_=cast(reported, String),
    )
    return case(
        (row("charge_point.managed_by_operator").is_(False), ShownStatus.NOT_MANAGED.value),
        *intents,
        (connection != ConnectionStatus.AVAILABLE, cast(connection, String)),
        else_=in_words(counts, _HARDWARE),
    )
