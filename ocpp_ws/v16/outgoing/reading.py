"""What the message groups share: the shape of a command's translation, and how answers are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.charging.commands import Answer
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
