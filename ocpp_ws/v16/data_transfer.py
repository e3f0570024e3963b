"""DataTransfer (OCPP 1.6, 4.3): vendors' own messages are kept in the communication log; none is understood yet."""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection


def data_transfer(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Say that the vendor's extension is not known here."""
    return {"status": "UnknownVendorId"}
