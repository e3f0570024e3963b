"""OCPP 2.0.1 as a station speaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ocpp.v201 import call

from ocpp_ws.simulator.conversation import Client, Wire
from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.v201 import payloads, transactions
from ocpp_ws.simulator.v201.client import SimulatedChargingStation

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station


class Speech201:
    """The speech of OCPP 2.0.1 (see `speech.Speech`)."""

    label = "OCPP 2.0.1"

    def offered(self, station: Station) -> tuple[str, ...]:
        """This version alone."""
        return ("ocpp2.0.1",)

    def client(self, station: Station, wire: Wire) -> Client:
        """What speaks over a new connection."""
        return SimulatedChargingStation(station, wire)

    def boot(self, station: Station) -> Any:
        """BootNotification."""
        return payloads.boot(station)

    def heartbeat(self) -> Any:
        """Heartbeat."""
        return call.Heartbeat()

    def statuses(self, station: Station, evse: Evse | None, now: datetime) -> list[Any]:
        """StatusNotification, and NotifyEvent for what is broken; the station itself has no status."""
        if evse is None:
            return []
        evse.told_status = payloads.connector_status(evse)
        told = [payloads.status(station, evse, now)]
        return [*told, payloads.problem(station, evse, now)] if evse.fault else told

    def show(self, station: Station, evse: Evse, phase: Phase) -> None:
        """What changes of the connector is told by its status, what changes of the charge by its transaction."""
        evse.phase = phase
        if payloads.connector_status(evse) != evse.told_status:
            station.report_status(evse)
        if evse.charge is not None:
            transactions.state_changed(station, evse, evse.charge)

    def authorize(self, station: Station, id_tag: str) -> Any:
        """Authorize."""
        return call.Authorize(id_token=payloads.id_token(station, id_tag))

    def authorized(self, answer: Any) -> tuple[bool, str | None]:
        """Whether the card is accepted, and its group."""
        group = (answer.id_token_info.get("group_id_token") or {}).get("id_token")
        return answer.id_token_info["status"] == "Accepted", str(group) if group else None

    def begun(self, station: Station, evse: Evse, charge: Charge) -> None:
        """TransactionEvent Started."""
        transactions.begin(station, evse, charge)

    def measured(self, station: Station, evse: Evse, context: str, now: datetime) -> None:
        """TransactionEvent Updated while a charge runs, else MeterValues."""
        transactions.measure(station, evse, context, now)

    def ended(self, station: Station, evse: Evse, charge: Charge, reason: str, now: datetime) -> None:
        """TransactionEvent Ended."""
        transactions.end(station, evse, charge, reason, now)

    def reservation_lapsed(self, station: Station, number: int) -> None:
        """ReservationStatusUpdate."""
        station.tell(call.ReservationStatusUpdate(reservation_id=number, reservation_update_status="Expired"))

    def triggered(self, station: Station, requested: str) -> Callable[[], Any] | None:
        """Messages without an EVSE."""
        simple: dict[str, Callable[[], Any]] = {
            "BootNotification": lambda: payloads.boot(station, "Triggered"),
            "Heartbeat": call.Heartbeat,
            "FirmwareStatusNotification": lambda: call.FirmwareStatusNotification(status="Idle"),
            "LogStatusNotification": lambda: call.LogStatusNotification(status="Idle"),
        }
        return simple.get(requested)
