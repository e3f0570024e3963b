"""BootNotification (OCPP 2.0.1 part 2, block B)."""

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
    station = payload["chargingStation"]
    modem = station.get("modem") or {}
    make = make_of(station["vendorName"], station["model"], station.get("firmwareVersion"), connection.socket.protocol)
    of.gateway.quirks.note_make(of.heard, make)
    record_boot(
        of.writer,
        BootReport(
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            at=now,
            vendor=make.vendor,
            model=make.model,
            serial_number=station.get("serialNumber"),
            firmware_version=station.get("firmwareVersion"),
            iccid=modem.get("iccid"),
            imsi=modem.get("imsi"),
            reason=payload.get("reason"),
        ),
    )
    return accepted_boot(connection)
