"""Our commands in OCPP 1.6, and what a station's answer means: one file per message group.

Each group is a table: command → action, how its payload is built, how its answer is read.
"""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from ocpp_ws.v16.outgoing import core, lists, security, smart_charging, upkeep
from ocpp_ws.v16.outgoing.reading import NotInThisVersion, Outgoing, Payload

MESSAGES: dict[CommandName, Outgoing] = {
    **core.MESSAGES,
    **upkeep.MESSAGES,
    **lists.MESSAGES,
    **smart_charging.MESSAGES,
    **security.MESSAGES,
}

__all__ = ["MESSAGES", "NotInThisVersion", "build", "read"]


def build(name: CommandName, request: Payload) -> tuple[str, Payload]:
    """The OCPP action and payload of a command. Raises NotInThisVersion."""
    if name is CommandName.RAW:
        return str(request["action"]), dict(request["payload"])
    message = MESSAGES.get(name)
    if message is None:
        raise NotInThisVersion(f"OCPP 1.6 has no such command: {name.value.replace('_', ' ')}")
    action = message.action
    return (action if isinstance(action, str) else action(request)), message.build(request)


def read(name: CommandName, response: Payload) -> Answer:
    """What a station's answer to a command means."""
    return core.read_raw(response) if name is CommandName.RAW else MESSAGES[name].read(response)
