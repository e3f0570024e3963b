"""MeterValues (OCPP 2.0.1 part 2, block J): readings outside transactions, whose own come with TransactionEvent."""

from __future__ import annotations

from typing import Any

from app.charging.meter import record
from ocpp_ws.connection import StationConnection
from ocpp_ws.meters import meter_of
from ocpp_ws.sampling import samples_of
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.values import sample_sets


def meter_values(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Store the readings. Clock-aligned ones of an EVSE that is charging also bring its session along."""
    of = served(connection)
    now = now_of(connection)
    if payload["meterValue"]:
        of.watch_clock(payload["meterValue"][-1].get("timestamp"), now)
    evse = of.station.evse(payload["evseId"])
    meter = meter_of(of, evse_id=evse.id) if evse else None
    samples = samples_of(sample_sets(payload["meterValue"]), meter, now)
    if samples:
        record(
            of.writer,
            station=of.station,
            meter=meter,
            evse_id=evse.id if evse else None,
            samples=samples,
            now=now,
            named=False,
        )
    return {}
