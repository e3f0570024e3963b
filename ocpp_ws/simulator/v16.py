"""OCPP 1.6J as a station speaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call

from ocpp_ws.simulator import messages
from ocpp_ws.simulator.client import SimulatedChargePoint
from ocpp_ws.simulator.conversation import Client, Wire
from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.outbox import Message

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station


class Speech16:
    """The speech of OCPP 1.6J (see `speech.Speech`)."""

    label = "OCPP 1.6"

    def offered(self, station: Station) -> tuple[str, ...]:
        """The make's own list: some offer older versions too."""
        return station.make.quirks.subprotocols

    def client(self, station: Station, wire: Wire) -> Client:
        """What speaks over a new connection."""
        return SimulatedChargePoint(station, wire)

    def boot(self, station: Station) -> Any:
        """BootNotification."""
        return messages.boot(station)

    def heartbeat(self) -> Any:
        """Heartbeat."""
        return call.Heartbeat()

    def statuses(self, station: Station, evse: Evse | None, now: datetime) -> list[Any]:
        """StatusNotification; of the station itself as connector 0."""
        if evse is not None:
            return [messages.evse_status(station, evse, now)]
        return [messages.station_status(station, now)] if station.make.quirks.reports_connector_zero else []

    def show(self, station: Station, evse: Evse, phase: Phase) -> None:
        """Every phase is a status of its own."""
        evse.phase = phase
        station.report_status(evse)

    def authorize(self, station: Station, id_tag: str) -> Any:
        """Authorize."""
        return call.Authorize(id_tag=messages.tag_on_wire(station, id_tag))

    def authorized(self, answer: Any) -> tuple[bool, str | None]:
        """Whether the card is accepted, and its parentIdTag."""
        parent = answer.id_tag_info.get("parent_id_tag")
        return answer.id_tag_info["status"] == "Accepted", str(parent) if parent else None

    def begun(self, station: Station, evse: Evse, charge: Charge) -> None:
        """StartTransaction; its answer numbers the charge."""

        def started(answer: Any) -> None:
            charge.transaction_id = answer.transaction_id
            if (answer.id_tag_info or {}).get("status", "Accepted") != "Accepted":
                station.refuse(evse, charge)

        payload = messages.start_transaction(station, evse, charge)
        station.outbox.put(Message(lambda: payload, lasting=True, answered=started))

    def measured(self, station: Station, evse: Evse, context: str, now: datetime) -> None:
        """MeterValues."""
        charge = evse.charge
        values = messages.meter_set(station, evse, now, context)
        number_when_queued = messages.transaction_number(station, charge)
        station.outbox.put(
            Message(
                lambda: messages.meter_values(station, evse, charge, values, number_when_queued),
                lasting=charge is not None,
            )
        )

    def ended(self, station: Station, evse: Evse, charge: Charge, reason: str, now: datetime) -> None:
        """StopTransaction."""
        payload = messages.stop_transaction(station, evse, charge, now, reason)
        number_when_queued = messages.transaction_number(station, charge)

        def numbered() -> Any:
            payload.transaction_id = messages.number_to_send(station, charge, number_when_queued) or 0
            return payload

        station.outbox.put(Message(numbered, lasting=True))

    def reservation_lapsed(self, station: Station, number: int) -> None:
        """The status alone says so."""

    def triggered(self, station: Station, requested: str) -> Callable[[], Any] | None:
        """Messages without a connector."""
        simple: dict[str, Callable[[], Any]] = {
            "BootNotification": lambda: messages.boot(station),
            "Heartbeat": call.Heartbeat,
            "FirmwareStatusNotification": lambda: call.FirmwareStatusNotification(status="Idle"),
            "DiagnosticsStatusNotification": lambda: call.DiagnosticsStatusNotification(status="Idle"),
        }
        return simple.get(requested)
