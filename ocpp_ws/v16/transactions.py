"""StartTransaction and StopTransaction (OCPP 1.6, 4.8 and 4.10). The transaction id is the session's number."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.charging import sessions
from app.charging.meter import load_meter, record
from app.charging.stray import keep_stray
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import Served, now_of, served
from ocpp_ws.v16 import metering
from ocpp_ws.v16.values import moment, tag_info, watt_hours


def start_transaction(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """A station has begun to charge: the same start gets the same number, however often it is sent."""
    of = served(connection)
    now = now_of(connection)
    evse = of.station.evse(payload["connectorId"])
    if evse is None:
        number = of.transact(lambda session: _keep_unplaced_start(session, of, payload, connection))
        return {"transactionId": number, "idTagInfo": {"status": "Invalid"}}
    outcome = of.transact(
        lambda session: sessions.start_session(
            session,
            station=of.station,
            evse=evse,
            id_tag=payload.get("idTag") or None,
            meter_start_wh=watt_hours(payload["meterStart"]),
            reported_at=moment(payload.get("timestamp"), now),
            now=now,
        )
    )
    of.meters.clear()
    return {
        "transactionId": outcome.session_id,
        "idTagInfo": tag_info(outcome.accepted, outcome.reason, outcome.expires_at),
    }


def _keep_unplaced_start(session: Session, of: Served, payload: dict[str, Any], connection: StationConnection) -> int:
    """A start at a connector nobody registered: kept, confirmed with a number of its own, and refused."""
    keep_stray(
        session,
        station=of.station,
        action="StartTransaction",
        payload=payload,
        note=f"there is no EVSE with network id {payload['connectorId']}",
        now=now_of(connection),
    )
    number = session.scalar(text("SELECT nextval(pg_get_serial_sequence('charging_session', 'id'))"))
    return int(number or 0)


def stop_transaction(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """A station has stopped: its readings, then the end. Always confirmed, or it would be sent for ever."""
    of = served(connection)
    now = now_of(connection)
    session_id = payload.get("transactionId")
    id_tag = payload.get("idTag") or None
    if payload.get("transactionData"):
        _record_transaction_data(of, payload, session_id, connection)
    outcome = of.transact(
        lambda session: sessions.stop_session(
            session,
            station=of.station,
            session_id=session_id,
            id_tag=id_tag,
            meter_stop_wh=watt_hours(payload["meterStop"]) if payload.get("meterStop") is not None else None,
            reported_at=moment(payload.get("timestamp"), now),
            reason=payload.get("reason") or "Local",
            now=now,
        )
    )
    of.meters.clear()
    if outcome.session_id is None:
        of.transact(
            lambda session: keep_stray(
                session,
                station=of.station,
                action="StopTransaction",
                payload=payload,
                note=f"no session fits transaction {session_id}",
                now=now,
            )
        )
    return {"idTagInfo": {"status": "Accepted"}} if id_tag else {}


def _record_transaction_data(
    of: Served, payload: dict[str, Any], session_id: int | None, connection: StationConnection
) -> None:
    now = now_of(connection)
    meter = of.transact(lambda session: load_meter(session, station=of.station, session_id=session_id))
    samples = metering.samples_of(payload["transactionData"], meter, now)
    if meter is not None and samples:
        record(of.writer, station=of.station, meter=meter, evse_id=meter.evse_id, samples=samples, now=now)
