"""What the audit keeps of a charge point: its own fields by name, each EVSE's fields by the EVSE's number.

So that the history says "EVSE 1 Max Power: 22 kW → 11 kW" instead of two lists of everything.
"""

from __future__ import annotations

from typing import Any

from admin_views import formats
from admin_views.assets.fields import tariff_groups
from app.assets.models import ChargePoint, Evse

#: columns that the relations beside them say by name
_BY_NAME = ("zone_id", "partner_id", "evses", "state")


def facts(charge_point: ChargePoint, own: dict[str, Any]) -> dict[str, Any]:
    """The charge point's ``own`` fields as the base audits them, without numbers of other rows, and its EVSEs'."""
    found = {name: value for name, value in own.items() if name not in _BY_NAME}
    for evse in charge_point.evses:
        found.update({f"EVSE {evse.network_id} {name}": value for name, value in _evse(evse).items()})
    # a password is recorded as changed, never as what it is (app.core.audit)
    return {**found, "password_hash": charge_point.password_hash}


def _evse(evse: Evse) -> dict[str, Any]:
    return {
        "ID": evse.code,
        "type": evse.type,
        "max power": formats.power(evse.max_power_w, missing=None),
        "tariff group": dict(tariff_groups()).get(evse.tariff_group_id or 0),
        "reservation minutes": evse.reservation_minutes,
        "tags": ", ".join(sorted(tag.name for tag in evse.tags)) or None,
        "status": evse.status,
        "max current": formats.current(evse.max_current_a, missing=None),
        "phases": evse.phases,
        "connected phase": evse.connected_phase,
        "phase rotation": evse.phase_rotation,
        "connectors": "; ".join(
            f"{plug.type.label}, {plug.format.label.lower()}, {plug.status.label.lower()}" for plug in evse.connectors
        )
        or None,
    }
