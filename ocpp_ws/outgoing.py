"""Our commands in any version of OCPP: the shape of a command's translation, and how answers are read.

Each version has tables of these, one per message group: command → action, its payload, the meaning of its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus

Payload = dict[str, Any]


class NotInThisVersion(ValueError):
    """The station's version of OCPP has nothing for this command."""


STATUSES = {
    "Accepted": ActionStatus.ACCEPTED,
    "AcceptedCanceled": ActionStatus.ACCEPTED,
    "Unlocked": ActionStatus.ACCEPTED,
    "RebootRequired": ActionStatus.ACCEPTED,
    "Scheduled": ActionStatus.SCHEDULED,
}


def by_status(response: Payload) -> Answer:
    """Accepted or not, by ``status``; everything but a yes is a no."""
    return Answer(STATUSES.get(str(response.get("status")), ActionStatus.REJECTED), response)


def with_result(results: dict[str, str]) -> Callable[[Payload], Answer]:
    """By status, and the status in our words as the fact ``result``; one nobody knows is the last of ``results``."""
    otherwise = list(results.values())[-1]

    def read(response: Payload) -> Answer:
        answer = by_status(response)
        result = results.get(str(response.get("status")), otherwise)
        return Answer(answer.status, response, facts={"result": result})

    return read


def present(payload: Payload) -> Payload:
    """Without what is None: optional fields are left out, never null."""
    return {key: value for key, value in payload.items() if value is not None}


@dataclass(frozen=True)
class Outgoing:
    """How a command is said in this version, and how its answer is read. ``action`` may depend on the request."""

    action: str | Callable[[Payload], str]
    build: Callable[[Payload], Payload]
    read: Callable[[Payload], Answer] = by_status


Messages = Mapping[CommandName, Outgoing]


def build(messages: Messages, version: str, name: CommandName, request: Payload) -> tuple[str, Payload]:
    """The OCPP action and payload of a command. Raises NotInThisVersion."""
    if name is CommandName.RAW:
        return str(request["action"]), dict(request["payload"])
    message = messages.get(name)
    if message is None:
        raise NotInThisVersion(f"OCPP {version} has no such command: {name.value.replace('_', ' ')}")
    action = message.action
    return (action if isinstance(action, str) else action(request)), message.build(request)


def read(messages: Messages, name: CommandName, response: Payload) -> Answer:
    """What a station's answer to a command means."""
    return read_raw(response) if name is CommandName.RAW else messages[name].read(response)


def read_raw(response: Payload) -> Answer:
    """An answer of an action we may know nothing of: without a status it is an answer, else everything but a yes a no.

    "UnlockFailed" and "NotSupported" must look no better to a script than "Rejected".
    """
    status = response.get("status")
    if status is None:
        return Answer(ActionStatus.ANSWERED, response)
    return Answer(STATUSES.get(str(status), ActionStatus.REJECTED), response)
