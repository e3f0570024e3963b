"""Reservations as a station keeps them (OCPP 1.6, 3.13, 5.4, 5.13): who is let in, until when, what ends them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ocpp_ws.simulator.evse import Evse, Phase

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station


@dataclass(frozen=True, slots=True)
class Reservation:
    """An EVSE kept for a tag, or for any tag of its group; ``expires_s`` is on the event loop's clock."""

    number: int
    id_tag: str
    parent: str | None
    expires_s: float

    def admits(self, id_tag: str, parent: str | None) -> bool:
        """Whether this tag may charge there. Tags are compared regardless of case."""
        if id_tag.upper() == self.id_tag.upper():
            return True
        return self.parent is not None and parent is not None and parent.upper() == self.parent.upper()


def reserve(
    station: Station, connector_id: int, *, number: int, id_tag: str, parent: str | None, expires_at: str
) -> str:
    """ReserveNow: what the EVSE's state allows. The same number again replaces the reservation."""
    evse = station.evses.get(connector_id)
    left_s = _seconds_until(expires_at)
    if evse is None or left_s is None or left_s <= 0:
        return "Rejected"
    if evse.fault is not None:
        return "Faulted"
    if not evse.operative:
        return "Unavailable"
    another = evse.reservation is not None and evse.reservation.number != number
    if another or evse.charge is not None or evse.remote_tag is not None or evse.phase is not Phase.AVAILABLE:
        return "Occupied"
    made = Reservation(number, id_tag, parent, asyncio.get_running_loop().time() + left_s)
    evse.reservation = made
    station.soon(_expire(station, evse, made, left_s))
    return "Accepted"


def cancel(station: Station, number: int) -> Evse | None:
    """CancelReservation: the EVSE that is free again; None when nothing has this number."""
    for evse in station.evses.values():
        if evse.reservation is not None and evse.reservation.number == number:
            evse.reservation = None
            evse.wake()
            return evse
    return None


def let_in(station: Station, evse: Evse, id_tag: str) -> bool:
    """Whether a tag may charge here as far as reservations go."""
    return evse.reservation is None or evse.reservation.admits(id_tag, station.parents.get(id_tag.upper()))


async def _expire(station: Station, evse: Evse, made: Reservation, left_s: float) -> None:
    await asyncio.sleep(left_s)
    if evse.reservation is made:
        evse.reservation = None
        evse.wake()
        station.report_status(evse)
        station.speech.reservation_lapsed(station, made.number)


def _seconds_until(text: str) -> float | None:
    """Seconds to an RFC 3339 time; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
