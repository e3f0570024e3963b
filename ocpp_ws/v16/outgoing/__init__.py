"""Our commands in OCPP 1.6, and what a station's answer means: one file per message group.

Each group is a table: command → action, how its payload is built, how its answer is read.
"""

from __future__ import annotations

from app.charging.commands import CommandName
from ocpp_ws.outgoing import Outgoing
from ocpp_ws.v16.outgoing import core, lists, security, smart_charging, upkeep

MESSAGES: dict[CommandName, Outgoing] = {
    **core.MESSAGES,
    **upkeep.MESSAGES,
    **lists.MESSAGES,
    **smart_charging.MESSAGES,
    **security.MESSAGES,
}

__all__ = ["MESSAGES"]
