"""A provisioning file for simulated stations, so that a fresh server knows them and their drivers' cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ocpp_ws.simulator.config import StationSpec
from ocpp_ws.simulator.makes import MAKES


def provisioning_of(stations: Sequence[StationSpec]) -> dict[str, Any]:
    """What `flask --app wsgi provision` wants to read: one location, one tariff group, a user per card."""
    tags = sorted({tag for station in stations for tag in station.id_tags})
    return {
        "tariff_groups": [
            {
                "name": "Simulated stations",
                "base": {"type": "duration_energy", "price_per_minute": 0.02, "price_per_kwh": 0.40},
                "tariffs": [],
            }
        ],
        "locations": [
            {
                "name": {"en": "Simulator street"},
                "latitude": 42.6977,
                "longitude": 23.3219,
                "address": {"en": "1 Simulator street"},
                "city": "Sofia",
                "postcode": "1000",
                "region": "Sofia",
                "country": "BG",
                "zones": [
                    {
                        "name": "Simulator zone",
                        "charge_points": [_charge_point(station) for station in stations],
                    }
                ],
            }
        ],
        "users": [
            {
                "email": f"driver-{number}@simulator.example",
                "first_name": "Driver",
                "last_name": str(number),
                "balance": 100.00,
                "rfid_tags": [{"tag_id": tag, "card_no": f"{number:04d}"}],
            }
            for number, tag in enumerate(tags, start=1)
        ],
    }


def _charge_point(station: StationSpec) -> dict[str, Any]:
    make = MAKES[station.make]
    return {
        "id": station.identifier,
        "name": f"{make.vendor} {make.model}",
        "protocol": station.version,
        "password": station.password,
        "access": "public",
        "status": "active",
        "evses": [
            {
                "network_id": evse.network_id,
                "type": evse.kind,
                "max_power_kw": evse.max_power_w / 1000,
                "tariff_group": "Simulated stations",
                "connectors": [
                    {"type": "Type 2", "format": "socket"} if evse.kind == "AC" else {"type": "CCS2", "format": "cable"}
                ],
            }
            for evse in station.evse_specs
        ],
    }
