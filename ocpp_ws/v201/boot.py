"""BootNotification and Heartbeat (OCPP 2.0.1 part 2, 1.5 and 1.29)."""

from __future__ import annotations

from typing import Any

from app.charging.hardware import BootReport, record_boot
from app.charging.upkeep.deviations import make_of
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.timestamps import format_timestamp


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
    return {
        "currentTime": format_timestamp(now),
        "interval": of.gateway.settings.heartbeat_interval_s,
        "status": "Accepted",
    }


def heartbeat(connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Tell the time; the frame itself was the sign of life."""
    return {"currentTime": format_timestamp(now_of(connection))}
