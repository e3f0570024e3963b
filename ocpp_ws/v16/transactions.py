"""StartTransaction and StopTransaction (OCPP 1.6, 4.8 and 4.10). The transaction id is the session's number."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.charging import sessions, stops
from app.charging.meter import load_meter, record
from app.charging.models import StrayMessage
from app.charging.stops import Stop, StopOutcome
from app.charging.stray import keep_stray
from app.core.group_commit import WriteFailed
from ocpp_ws.connection import StationConnection
from ocpp_ws.holding import hold_for_start
from ocpp_ws.sampling import samples_of
from ocpp_ws.served import Served, now_of, served
from ocpp_ws.timestamps import moment
from ocpp_ws.v16.values import id_tag_of, tag_info, watt_hours

log = structlog.get_logger("ocpp_ws.v16")

START, STOP = "StartTransaction", "StopTransaction"


def start_transaction(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """A station has begun to charge: the same start gets the same number, however often it is sent."""
    of = served(connection)
    now = now_of(connection)
    of.watch_clock(payload.get("timestamp"), now)
    evse = of.station.evse(payload["connectorId"])
    if evse is None:
        number = of.transact(lambda session: _keep_unplaced_start(session, of, payload, connection))
        return {"transactionId": number, "idTagInfo": {"status": "Invalid"}}
    outcome = of.transact(
        lambda session: sessions.start_session(
            session,
            station=of.station,
            evse=evse,
            id_tag=id_tag_of(payload),
            meter_start_wh=watt_hours(payload["meterStart"]),
            reported_at=moment(payload.get("timestamp"), now),
            now=now,
            reservation_id=payload.get("reservationId"),
        )
    )
    of.meters.clear()
    outcome = hold_for_start(of, outcome, now, payload.get("reservationId"))
    return {
        "transactionId": outcome.session_id,
        "idTagInfo": tag_info(outcome.accepted, outcome.reason, outcome.expires_at, outcome.parent),
    }


def _keep_unplaced_start(session: Session, of: Served, payload: dict[str, Any], connection: StationConnection) -> int:
    """A start at a connector nobody registered: kept, confirmed with a number of its own, and refused."""
    known = session.scalars(
        select(StrayMessage.payload)
        .where(
            StrayMessage.charge_point_id == of.station.id,
            StrayMessage.action == START,
            StrayMessage.payload.contains(payload),
        )
        .order_by(StrayMessage.id)
        .limit(1)
    ).one_or_none()
    if known is not None:
        return int(known["transactionId"])
    number = session.scalar(text("SELECT nextval(pg_get_serial_sequence('charging_session', 'id'))"))
    assert number is not None
    keep_stray(
        session,
        station=of.station,
        action=START,
        payload={**payload, "transactionId": number},
        note=f"there is no EVSE with network id {payload['connectorId']}",
        now=now_of(connection),
    )
    return int(number)


def stop_transaction(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """A station has stopped: its readings, then the end. Always confirmed, or it would be sent for ever."""
    of = served(connection)
    now = now_of(connection)
    id_tag = id_tag_of(payload)
    stop = Stop(
        session_id=payload.get("transactionId"),
        id_tag=id_tag,
        meter_stop_wh=watt_hours(payload.get("meterStop")),
        reported_at=moment(payload.get("timestamp"), now),
        reason=payload.get("reason") or "Local",
    )
    if of.transact(lambda session: _is_unplaced(session, of, stop.session_id)):
        outcome = StopOutcome(None, False)
    else:
        if payload.get("transactionData"):
            _record_transaction_data(of, payload["transactionData"], stop, connection)
        outcome = of.transact(lambda session: stops.stop_session(session, station=of.station, stop=stop, now=now))
    of.meters.clear()
    if outcome.session_id is None:
        of.transact(lambda session: _keep_stray_stop(session, of, payload, connection))
    return {"idTagInfo": {"status": "Accepted"}} if id_tag else {}


def _is_unplaced(session: Session, of: Served, number: int | None) -> bool:
    """Whether the number was given to a start at a connector nobody registered: its stop is no session's."""
    return number is not None and (
        session.scalar(
            select(StrayMessage.id)
            .where(
                StrayMessage.charge_point_id == of.station.id,
                StrayMessage.action == START,
                StrayMessage.payload.contains({"transactionId": number}),
            )
            .limit(1)
        )
        is not None
    )


def _keep_stray_stop(session: Session, of: Served, payload: dict[str, Any], connection: StationConnection) -> None:
    """Keep a stop that fits no session, once."""
    known = session.scalar(
        select(StrayMessage.id)
        .where(
            StrayMessage.charge_point_id == of.station.id,
            StrayMessage.action == STOP,
            StrayMessage.payload.contains(payload),
        )
        .limit(1)
    )
    if known is None:
        keep_stray(
            session,
            station=of.station,
            action=STOP,
            payload=payload,
            note=f"no session fits transaction {payload.get('transactionId')}",
            now=now_of(connection),
        )


def _record_transaction_data(of: Served, data: list[dict[str, Any]], stop: Stop, connection: StationConnection) -> None:
    """Keep the readings that come with a stop. What cannot be stored of them must not keep the stop from its bill."""
    now = now_of(connection)
    number = of.transact(lambda session: stops.match_stop(session, station=of.station, stop=stop, now=now))
    if number is None:
        return  # the stray message keeps them
    meter = of.transact(lambda session: load_meter(session, station=of.station, session_id=number, watched=False))
    samples = samples_of(data, meter, now)
    if meter is None or not samples:
        return
    try:
        record(of.writer, station=of.station, meter=meter, evse_id=meter.evse_id, samples=samples, now=now)
    except WriteFailed as error:
        log.error("station.transaction_data_lost", session_id=number, error=str(error))
