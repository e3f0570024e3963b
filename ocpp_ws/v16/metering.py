"""MeterValues (OCPP 1.6, 4.7)."""

from __future__ import annotations

from typing import Any

from app.charging.meter import SessionMeter, load_meter, record
from ocpp_ws.connection import StationConnection
from ocpp_ws.sampling import samples_of
from ocpp_ws.served import Served, now_of, served

FLAG_UNKNOWN_TRANSACTION = "unknown_transaction"


def meter_values(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Store the readings and bring their session along; answered when they are on disk."""
    of = served(connection)
    now = now_of(connection)
    if payload["meterValue"]:
        of.watch_clock(payload["meterValue"][-1].get("timestamp"), now)
    evse = of.station.evse(payload["connectorId"])
    transaction_id = payload.get("transactionId")
    meter = _meter(of, transaction_id, evse.id if evse else None)
    flags = (FLAG_UNKNOWN_TRANSACTION,) if meter is None and transaction_id else ()
    samples = samples_of(payload["meterValue"], meter, now, flags)
    if samples:
        record(
            of.writer,
            station=of.station,
            meter=meter,
            evse_id=evse.id if evse else None,
            samples=samples,
            now=now,
            named=bool(transaction_id and transaction_id > 0),
        )
    return {}


def _meter(of: Served, transaction_id: int | None, evse_id: int | None) -> SessionMeter | None:
    """The session's meter from memory; from the database at its first reading on this connection."""
    key = transaction_id if transaction_id and transaction_id > 0 else -evse_id if evse_id else None
    if key is None:
        return None
    meter = of.meters.get(key)
    if meter is None:
        number = transaction_id if transaction_id and transaction_id > 0 else None
        now = now_of(of.connection) if of.connection is not None else None
        meter = of.transact(
            lambda session: load_meter(session, station=of.station, session_id=number, evse_id=evse_id, now=now)
        )
        if meter is not None:
            # a session of its EVSE is one object under both keys, so that its register advances once
            meter = of.meters.setdefault(meter.session_id, meter)
            of.meters[key] = meter
    return meter
