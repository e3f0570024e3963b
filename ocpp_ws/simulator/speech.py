"""What a version of OCPP has to say for a station: the seam between its state and the wire.

`v16.py` and `v201/` each have one. A station asks its speech for payloads and leaves to it what a charge becomes on
the wire; drivers, meters, connections and mishaps know no version.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from ocpp_ws.simulator.conversation import Client, Wire
from ocpp_ws.simulator.evse import Charge, Evse, Phase

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station


class Speech(Protocol):
    """One version of OCPP, as a station speaks it."""

    @property
    def label(self) -> str:
        """The version in an operator's words."""

    def offered(self, station: Station) -> tuple[str, ...]:
        """The WebSocket subprotocols the station offers."""

    def client(self, station: Station, wire: Wire) -> Client:
        """What speaks over a new connection, and answers the server's calls."""

    def boot(self, station: Station) -> Any:
        """BootNotification."""

    def heartbeat(self) -> Any:
        """Heartbeat."""

    def statuses(self, station: Station, evse: Evse | None, now: datetime) -> list[Any]:
        """What is told of the status of an EVSE, or of the station itself (None)."""

    def show(self, station: Station, evse: Evse, phase: Phase) -> None:
        """A visit has come to another phase: take it over and tell the server what this version tells of it."""

    def authorize(self, station: Station, id_tag: str) -> Any:
        """Authorize."""

    def authorized(self, answer: Any) -> tuple[bool, str | None]:
        """Whether the card is accepted, and the group it belongs to. Raises KeyError and TypeError."""

    def begun(self, station: Station, evse: Evse, charge: Charge) -> None:
        """The current flows: queue what says so."""

    def measured(self, station: Station, evse: Evse, context: str, now: datetime) -> None:
        """The meter has been read: queue what it shows."""

    def ended(self, station: Station, evse: Evse, charge: Charge, reason: str, now: datetime) -> None:
        """The charge is over, for a reason in the words of OCPP 1.6: queue what says so."""

    def reservation_lapsed(self, station: Station, number: int) -> None:
        """A reservation's time is over."""

    def triggered(self, station: Station, requested: str) -> Callable[[], Any] | None:
        """What builds a message without an EVSE that TriggerMessage may ask for; None for one there is not."""
