"""Waiting for what came of a command, without holding anything meanwhile: programs and shells want the answer at once.

The gateway pushes the outcome to a list in Redis; the row is the truth, and says it also when Redis or the gateway is
away, or somebody else recorded the outcome (stations.md, "From a screen to a socket").
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from sqlalchemy import select

from app.charging import commands, gateways
from app.charging.commands import Answer
from app.core.clock import utcnow
from app.core.db import transaction
from app.core.models import Action, ActionStatus

log = structlog.get_logger(__name__)

#: how long one look at the list blocks; then the row is asked
LOOK_S = 2.0
#: how long after its deadline a command is waited for: the gateway records the time-out itself
GRACE_S = 2.0

_WORDS = {
    ActionStatus.ACCEPTED: "accepted",
    ActionStatus.SCHEDULED: "accepted",
    ActionStatus.FINISHED: "accepted",
    ActionStatus.REJECTED: "rejected",
    ActionStatus.ANSWERED: "answered",
    ActionStatus.TIMED_OUT: "timed_out",
    ActionStatus.NOT_CONNECTED: "not_connected",
    ActionStatus.FAILED: "error",
    ActionStatus.PENDING: "pending",
}


@dataclass(frozen=True)
class CallOutcome:
    """What came of a command, in the words of product.md: accepted | rejected | answered | timed_out | not_connected |
    error. ``error`` is a sentence where there is something to say.
    """

    action_id: int
    status: str
    response: dict[str, Any]
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """As the API answers."""
        said = {"error": self.error} if self.error else {}
        return {"status": self.status, "response": self.response, "action_id": self.action_id, **said}


def outcome_of(action: Action) -> CallOutcome:
    """The outcome as its row has it now; one that has none yet is ``pending``."""
    status = _WORDS[action.status]
    if action.status is ActionStatus.REJECTED and action.response is None and action.error:
        status = "error"  # the station did not refuse: it answered that the call went wrong
    return CallOutcome(action.id, status, action.response or {}, action.error)


def wait_for_outcome(client: redis.Redis, *, action_id: int, timeout_s: float) -> CallOutcome:
    """Wait for a committed command's outcome. No database session is open while it waits.

    ``client`` must allow an answer to take longer than ``LOOK_S``. A command that nobody answers is given its outcome
    here when its time is up, as the clockwork would.
    """
    give_up_at = time.monotonic() + timeout_s + GRACE_S
    key = gateways.reply_list(action_id)
    while (outcome := _recorded(action_id)) is None:
        left = give_up_at - time.monotonic()
        if left <= 0:
            return _expired(action_id)
        _listen(client, key, min(LOOK_S, left))
    return outcome


def _listen(client: redis.Redis, key: str, seconds: float) -> None:
    try:
        client.blpop([key], timeout=seconds)
    except redis.exceptions.RedisError as error:  # too many wait, or it is away: the row is asked a little later
        log.warning("commands.cannot_listen", error=str(error))
        time.sleep(min(0.5, seconds))


def _recorded(action_id: int) -> CallOutcome | None:
    with transaction() as session:
        row = session.scalars(select(Action).where(Action.id == action_id)).one()
        return None if row.status is ActionStatus.PENDING else outcome_of(row)


def _expired(action_id: int) -> CallOutcome:
    with transaction() as session:
        sent_at = session.scalar(select(Action.sent_at).where(Action.id == action_id))
        answer = Answer(ActionStatus.TIMED_OUT if sent_at is not None else ActionStatus.NOT_CONNECTED)
        commands.record_outcome(session, action_id=action_id, answer=answer, now=utcnow())
    with transaction() as session:
        return outcome_of(session.get_one(Action, action_id))
