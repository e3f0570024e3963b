"""Our commands in OCPP 2.0.1, and what a station's answer means: one file per message group."""

from __future__ import annotations

from app.charging.commands import CommandName
from ocpp_ws.outgoing import Outgoing
from ocpp_ws.v201.outgoing import (
    core,
    customers,
    displays,
    lists,
    monitoring,
    network,
    security,
    smart_charging,
    upkeep,
)

MESSAGES: dict[CommandName, Outgoing] = {
    **core.MESSAGES,
    **upkeep.MESSAGES,
    **lists.MESSAGES,
    **smart_charging.MESSAGES,
    **security.MESSAGES,
    **monitoring.MESSAGES,
    **displays.MESSAGES,
    **network.MESSAGES,
    **customers.MESSAGES,
}

__all__ = ["MESSAGES"]
