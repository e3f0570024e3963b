"""Messages that are kept in the communication log and confirmed; nothing here depends on them yet.

OCPP 2.0.1 part 2: NotifyEVChargingSchedule (block K), PublishFirmwareStatusNotification (L), DataTransfer (P).
"""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection


def noted(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Confirm with nothing to say."""
    return {}


def ev_charging_schedule(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyEVChargingSchedule: any schedule of a car's within its limits is right."""
    return {"status": "Accepted"}


def data_transfer(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Say that the vendor's extension is not known here."""
    return {"status": "UnknownVendorId"}
