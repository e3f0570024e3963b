"""The payloads a station sends, in the dialect of its make; built from its state, nothing is changed here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call

from ocpp_ws.simulator.evse import Charge, Evse
from ocpp_ws.simulator.metering import sampled_values
from ocpp_ws.simulator.quirks import stamp

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station


def boot(station: Station) -> Any:
    """BootNotification."""
    make, nameplate = station.make, station.spec.nameplate
    return call.BootNotification(
        charge_point_vendor=nameplate.vendor if nameplate else make.vendor,
        charge_point_model=nameplate.model if nameplate else make.model,
        charge_point_serial_number=station.serial,
        firmware_version=nameplate.firmware if nameplate else make.firmware,
        meter_type=make.meter_type or None,
    )


def station_status(station: Station, now: datetime) -> Any:
    """StatusNotification of connector 0, which knows Available, Unavailable and Faulted only."""
    return call.StatusNotification(
        connector_id=0,
        error_code="NoError",
        status="Available" if station.operative else "Unavailable",
        timestamp=stamp(now, station.make.quirks.timestamps),
    )


def evse_status(station: Station, evse: Evse, now: datetime) -> Any:
    """StatusNotification of one EVSE, with the make's own words when it is broken."""
    _, vendor_code, text = station.make.fault if evse.fault else ("", "", "")
    return call.StatusNotification(
        connector_id=evse.network_id,
        error_code=evse.fault or "NoError",
        status=evse.status,
        timestamp=stamp(now, station.make.quirks.timestamps),
        info=text or None,
        vendor_id=station.make.vendor if vendor_code else None,
        vendor_error_code=vendor_code or None,
    )


def start_transaction(station: Station, evse: Evse, charge: Charge) -> Any:
    """StartTransaction with the time and meter of the start, however late it is sent."""
    return call.StartTransaction(
        connector_id=evse.network_id,
        id_tag=tag_on_wire(station, charge.id_tag),
        meter_start=charge.meter_start_wh - _counts_from_wh(station, charge),
        timestamp=stamp(charge.started_at, station.make.quirks.timestamps),
        reservation_id=charge.reservation_id,
    )


def stop_transaction(station: Station, evse: Evse, charge: Charge, now: datetime, reason: str) -> Any:
    """StopTransaction; its transaction's number is filled in when it is sent."""
    quirks = station.make.quirks
    stopped = call.StopTransaction(
        meter_stop=int(evse.register_wh) - _counts_from_wh(station, charge),
        timestamp=stamp(now, quirks.timestamps),
        transaction_id=0,
        # "Local" is what a missing reason means (OCPP 1.6, StopTransaction.req).
        reason=None if reason == "Local" else reason,
        id_tag=tag_on_wire(station, charge.id_tag) if reason == "Local" and not quirks.omits_stop_tag else None,
    )
    if quirks.sends_end_readings:
        stopped.transaction_data = [meter_set(station, evse, now, "Transaction.End")]
    return stopped


def meter_set(station: Station, evse: Evse, now: datetime, context: str) -> dict[str, Any]:
    """One element of MeterValues' `meterValue`."""
    quirks = station.make.quirks
    if evse.charge is not None:
        since_wh = _counts_from_wh(station, evse.charge)
    else:
        since_wh = int(evse.register_wh) if quirks.register_per_session else 0
    reading = evse.read_meter(since_wh=since_wh)
    return {
        "timestamp": stamp(now, quirks.timestamps),
        "sampled_value": sampled_values(reading, quirks, evse.rng, context),
    }


def meter_values(
    station: Station,
    evse: Evse,
    charge: Charge | None,
    values: dict[str, Any],
    number_when_queued: int | str | None,
) -> Any:
    """MeterValues, for a transaction if there is one and its number is known by now."""
    return call.MeterValues(
        connector_id=evse.network_id,
        meter_value=[values],
        transaction_id=number_to_send(station, charge, number_when_queued),
    )


def transaction_number(station: Station, charge: Charge | None) -> int | str | None:
    """The transaction's number as far as the station knows it at this moment."""
    if charge is None:
        return None
    if charge.transaction_id is None and charge.started_offline:
        return station.make.quirks.offline_transaction_id
    return charge.transaction_id


def number_to_send(station: Station, charge: Charge | None, number_when_queued: int | str | None) -> int | str | None:
    """The number in a message sent now: makes with a stand-in never correct what they have queued."""
    if charge is None or number_when_queued is not None:
        return number_when_queued
    return charge.transaction_id


def tag_on_wire(station: Station, id_tag: str) -> str:
    """The card's number as the make's reader writes it."""
    return id_tag.lower() if station.make.quirks.lower_case_tags else id_tag


def key_as_password(station: Station, key: str) -> bytes:
    """The password an AuthorizationKey stands for: some makes decode hexadecimal, some take it literally."""
    if station.make.quirks.decodes_hex_key:
        try:
            return bytes.fromhex(key)
        except ValueError:
            return key.encode()
    return key.encode()


def _counts_from_wh(station: Station, charge: Charge) -> int:
    return charge.meter_start_wh if station.make.quirks.register_per_session else 0
