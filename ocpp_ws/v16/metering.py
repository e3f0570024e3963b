"""MeterValues (OCPP 1.6, 4.7)."""

from __future__ import annotations

from typing import Any

from app.charging.meter import record
from ocpp_ws.connection import StationConnection
from ocpp_ws.meters import meter_of
from ocpp_ws.sampling import samples_of
from ocpp_ws.served import now_of, served

FLAG_UNKNOWN_TRANSACTION = "unknown_transaction"


def meter_values(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Store the readings and bring their session along; answered when they are on disk."""
    of = served(connection)
    now = now_of(connection)
    if payload["meterValue"]:
        of.watch_clock(payload["meterValue"][-1].get("timestamp"), now)
    evse = of.station.evse(payload["connectorId"])
    transaction_id = payload.get("transactionId")
    number = transaction_id if transaction_id and transaction_id > 0 else None
    meter = meter_of(of, session_id=number, evse_id=evse.id if evse else None)
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
            named=number is not None,
        )
    return {}
