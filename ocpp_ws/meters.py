"""The meters of running sessions, remembered with a connection so that a reading asks the database for nothing."""

from __future__ import annotations

from app.charging.meter import SessionMeter, load_meter
from ocpp_ws.served import Served, now_of


def meter_of(of: Served, *, session_id: int | None = None, evse_id: int | None = None) -> SessionMeter | None:
    """The meter of a session, by its number, else of the one running on an EVSE; None when there is none.

    From memory; from the database at its first reading on this connection.
    """
    key = session_id if session_id else -evse_id if evse_id else None
    if key is None:
        return None
    meter = of.meters.get(key)
    if meter is None:
        now = now_of(of.connection) if of.connection is not None else None
        meter = of.transact(
            lambda session: load_meter(session, station=of.station, session_id=session_id, evse_id=evse_id, now=now)
        )
        if meter is not None:
            # a session of its EVSE is one object under both keys, so that its register advances once
            meter = of.meters.setdefault(meter.session_id, meter)
            of.meters[key] = meter
    return meter
