"""ReservationStatusUpdate (OCPP 2.0.1 part 2, block H): a station says that it keeps an EVSE no more."""

from __future__ import annotations

from typing import Any

from app.charging.reservations import reservations
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served


def reservation_status_update(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """End the reservation, if it is one of this station's and still open."""
    of, now = served(connection), now_of(connection)
    of.transact(
        lambda session: reservations.end_by_station(
            session,
            charge_point_id=of.station.id,
            number=int(payload["reservationId"]),
            expired=payload["reservationUpdateStatus"] == "Expired",
            now=now,
        )
    )
    return {}
