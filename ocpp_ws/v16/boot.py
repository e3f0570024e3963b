"""BootNotification (OCPP 1.6, 4.2)."""

from __future__ import annotations

from typing import Any

from app.charging.hardware import BootReport, record_boot
from app.charging.upkeep.deviations import make_of
from ocpp_ws.connection import StationConnection
from ocpp_ws.presence import accepted_boot
from ocpp_ws.served import now_of, served


def boot_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep what the station says of itself; tell it the time and how often to beat."""
    of = served(connection)
    now = now_of(connection)
    make = make_of(
        payload["chargePointVendor"],
        payload["chargePointModel"],
        payload.get("firmwareVersion"),
        connection.socket.protocol,
    )
    of.gateway.quirks.note_make(of.heard, make)
    record_boot(
        of.writer,
        BootReport(
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            at=now,
            vendor=make.vendor,
            model=make.model,
            serial_number=payload.get("chargePointSerialNumber") or payload.get("chargeBoxSerialNumber"),
            firmware_version=payload.get("firmwareVersion"),
            iccid=payload.get("iccid"),
            imsi=payload.get("imsi"),
            meter_type=payload.get("meterType"),
            meter_serial_number=payload.get("meterSerialNumber"),
        ),
    )
    return accepted_boot(connection)
