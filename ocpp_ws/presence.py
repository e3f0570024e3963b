"""A station's signs of life, which all versions of OCPP answer alike (1.6, 4.2 and 4.6; 2.0.1 block B)."""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.timestamps import format_timestamp


def accepted_boot(connection: StationConnection) -> dict[str, Any]:
    """Whoever was let in may boot: it is told the time and how often to beat."""
    return {
        "currentTime": format_timestamp(now_of(connection)),
        "interval": served(connection).gateway.settings.heartbeat_interval_s,
        "status": "Accepted",
    }


def heartbeat(connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Tell the time; the frame itself was the sign of life."""
    return {"currentTime": format_timestamp(now_of(connection))}
