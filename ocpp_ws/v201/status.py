"""StatusNotification (OCPP 2.0.1 part 2, 1.58), and what the charging state of a transaction says of its EVSE."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.assets.models import ReportedStatus
from app.charging.clocks import clean_time
from app.charging.hardware import log_unreadable_status, record_status
from ocpp_ws.codec import PROPERTY_CONSTRAINT_VIOLATION, HardFault
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import Served, now_of, served
from ocpp_ws.timestamps import moment
from ocpp_ws.tolerance import UNREADABLE_STATUS
from ocpp_ws.v201.hardware import CHARGING_STATES, CONNECTOR_STATUSES, EvseMemory

LARGEST_EVSE_ID = 32_767


def status_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep what the station reports of a connector; EVSE 0 is the station itself."""
    network_id = payload["evseId"]
    if not 0 <= network_id <= LARGEST_EVSE_ID:
        raise HardFault(PROPERTY_CONSTRAINT_VIOLATION, f"there is no EVSE {network_id}", "evseId")
    of = served(connection)
    now = now_of(connection)
    of.watch_clock(payload.get("timestamp"), now)
    reported_at = clean_time(moment(payload.get("timestamp"), now), now)[0]
    word = payload.get("connectorStatus")
    if word is None:
        said = payload.get(UNREADABLE_STATUS) or ""
        info = f"not a status: {said}" if said else "no status given"
        log_unreadable_status(
            of.writer, of.station, network_id=network_id, info=info[:255], reported_at=reported_at, now=now
        )
        return {}
    status = CONNECTOR_STATUSES.get(word, ReportedStatus.UNKNOWN)
    if network_id:
        status = memory_of(of, network_id).hear_connector(payload["connectorId"], status)
    record_status(of.writer, of.station, network_id=network_id, status=status, reported_at=reported_at, now=now)
    return {}


def hear_charging_state(of: Served, network_id: int, state: str | None, *, ended: bool, at: datetime) -> None:
    """Keep what a transaction says of its EVSE; ``state`` None says nothing, unless it has ended."""
    if state is None and not ended:
        return
    status = memory_of(of, network_id).hear_charging(None if ended else CHARGING_STATES.get(str(state)))
    if status is not None:
        now = of.connection.arrived_at if of.connection is not None else at
        record_status(of.writer, of.station, network_id=network_id, status=status, reported_at=at, now=now)


def memory_of(of: Served, network_id: int) -> EvseMemory:
    """What this connection remembers of an EVSE."""
    memory: EvseMemory = of.notes.setdefault(("evse", network_id), EvseMemory())
    return memory
