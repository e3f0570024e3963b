"""The payloads of OCPP 2.0.1, in the dialect of the make; built from the station's state, nothing is changed here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ocpp.v201 import call

from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.messages import tag_on_wire
from ocpp_ws.simulator.metering import SampledValue, sampled_values
from ocpp_ws.simulator.quirks import stamp

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station

CONNECTOR_ID: Final = 1
"""Each simulated EVSE has one connector."""

CHARGING_STATES: Final = {
    Phase.AVAILABLE: "Idle",
    Phase.PREPARING: "EVConnected",
    Phase.CHARGING: "Charging",
    Phase.SUSPENDED_EV: "SuspendedEV",
    Phase.FINISHING: "EVConnected",
}


def boot(station: Station, reason: str | None = None) -> Any:
    """BootNotification, with why it boots, or why else it tells."""
    make, nameplate = station.make, station.spec.nameplate
    return call.BootNotification(
        charging_station={
            "vendor_name": nameplate.vendor if nameplate else make.vendor,
            "model": nameplate.model if nameplate else make.model,
            "serial_number": station.serial,
            "firmware_version": nameplate.firmware if nameplate else make.firmware,
        },
        reason=reason or station.boot_reason,
    )


def connector_status(evse: Evse) -> str:
    """What a connector can be: whatever goes on at an occupied one is its transaction's to tell (G01)."""
    if evse.status in ("Available", "Reserved", "Unavailable", "Faulted"):
        return evse.status
    return "Occupied"


def status(station: Station, evse: Evse, now: datetime) -> Any:
    """StatusNotification."""
    return call.StatusNotification(
        timestamp=stamp(now, station.make.quirks.timestamps),
        connector_status=connector_status(evse),
        evse_id=evse.network_id,
        connector_id=CONNECTOR_ID,
    )


def problem(station: Station, evse: Evse, now: datetime) -> Any:
    """NotifyEvent for a broken connector, with the make's own words."""
    _, vendor_code, text = station.make.fault
    at = stamp(now, station.make.quirks.timestamps)
    station.event_count += 1
    data = {
        "event_id": station.event_count,
        "timestamp": at,
        "trigger": "Alerting",
        "actual_value": "true",
        "tech_code": vendor_code or None,
        "tech_info": text or None,
        "event_notification_type": "HardWiredNotification",
        "component": {"name": "Connector", "evse": {"id": evse.network_id, "connector_id": CONNECTOR_ID}},
        "variable": {"name": "Problem"},
    }
    return call.NotifyEvent(generated_at=at, seq_no=0, event_data=[data])


def id_token(station: Station, id_tag: str, *, remote: bool = False) -> dict[str, Any]:
    """An IdTokenType: a card, or what the server has sent for a remote start."""
    return {"id_token": tag_on_wire(station, id_tag), "type": "Central" if remote else "ISO14443"}


def meter_value(station: Station, evse: Evse, now: datetime, context: str) -> dict[str, Any]:
    """A MeterValueType of what the meter shows now."""
    quirks = station.make.quirks
    if evse.charge is not None:
        since_wh = evse.charge.meter_start_wh if quirks.register_per_session else 0
    else:
        since_wh = int(evse.register_wh) if quirks.register_per_session else 0
    values = sampled_values(evse.read_meter(since_wh=since_wh), quirks, evse.rng, context)
    return {
        "timestamp": stamp(now, quirks.timestamps),
        "sampled_value": [_sampled(value) for value in values],
    }


def _sampled(value: SampledValue) -> dict[str, Any]:
    """A sampled value of 1.6 as 2.0.1 writes it: a number, its unit beside it."""
    unit = value.pop("unit", None)
    sampled = {**value, "value": float(value["value"])}
    if unit is not None:
        sampled["unit_of_measure"] = {"unit": unit}
    return sampled


def meter_values(station: Station, evse: Evse, values: dict[str, Any]) -> Any:
    """MeterValues: outside transactions only (J01)."""
    return call.MeterValues(evse_id=evse.network_id, meter_value=[values])


def transaction_event(
    station: Station,
    evse: Evse,
    charge: Charge,
    kind: str,
    trigger: str,
    at: datetime,
    *,
    charging_state: str,
    stopped_reason: str | None = None,
    values: dict[str, Any] | None = None,
    token: dict[str, Any] | None = None,
    reservation_id: int | None = None,
) -> Any:
    """TransactionEvent number ``charge.events`` of its charge; what happens offline is marked so (E04)."""
    info = {
        "transaction_id": charge.transaction_id,
        "charging_state": charging_state,
        "stopped_reason": stopped_reason,
        "remote_start_id": charge.remote_number if kind == "Started" else None,
    }
    return call.TransactionEvent(
        event_type=kind,
        timestamp=stamp(at, station.make.quirks.timestamps),
        trigger_reason=trigger,
        seq_no=charge.events,
        transaction_info={name: said for name, said in info.items() if said is not None},
        meter_value=[values] if values else None,
        offline=None if station.is_online else True,
        reservation_id=reservation_id,
        evse={"id": evse.network_id, "connector_id": CONNECTOR_ID},
        id_token=token,
    )
