"""Sending what is due, one message at a time, over one conversation with the server: the same for mails and SMS."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session

from app.core import outbox
from app.core.messages import Mail, SmsMessage

log = structlog.get_logger(__name__)

M = TypeVar("M", Mail, SmsMessage)
M_in = TypeVar("M_in", Mail, SmsMessage, contravariant=True)

#: one call sends for at most this long; what is left is due at the next
BUDGET_S = 60.0

Transaction = Callable[[], AbstractContextManager[Session]]


class Carrier(Protocol[M_in]):
    """Who takes messages of a kind to the server. ``close`` ends the conversation, if one was begun."""

    def load(self, session: Session, message: M_in) -> Any:
        """What is needed of the database beside the row, as a transaction is open for it now."""
        ...

    def send(self, message: M_in, loaded: Any, *, now: datetime) -> dict[str, Any]:
        """Hand it in. Returns what is noted beside it. Raises outbox.ServerAway, outbox.MessageRefused."""
        ...

    def close(self) -> None:
        """No more messages now."""
        ...


class Delivery(Generic[M]):
    """One run over what is due."""

    def __init__(
        self, kind: type[M], carrier: Carrier[M], transaction: Transaction, clock: Callable[[], datetime]
    ) -> None:
        self._kind: type[M] = kind
        self._carrier: Carrier[M] = carrier
        self._transaction, self._clock = transaction, clock

    def run(self, *, budget_s: float = BUDGET_S) -> int:
        """Send the messages that are due. Returns how many the server took.

        The transaction commits at the end of its block: none is open while the server is spoken to. Several may do
        this at the same time; no message is sent by two of them.
        """
        sent, ends_at = 0, time.monotonic() + budget_s
        try:
            while time.monotonic() < ends_at:
                outcome = self._next()
                if outcome is None:
                    break
                sent += outcome
        finally:
            self._carrier.close()
        return sent

    def _next(self) -> bool | None:
        """Whether the next one was taken; None when there is none, or the server is away."""
        with self._transaction() as session:
            message = outbox.claim(session, self._kind, now=self._clock())
            if message is None:
                return None
            loaded = self._carrier.load(session, message)
            message_id = message.id
            session.flush()
            session.expunge(message)
        try:
            noted = self._carrier.send(message, loaded, now=self._clock())
        except outbox.ServerAway as error:
            log.warning("delivery.server_away", kind=self._kind.__tablename__, error=str(error))
            with self._transaction() as session:
                outbox.record_server_away(session, self._kind, id=message_id, error=str(error), now=self._clock())
            return None
        except outbox.MessageRefused as refused:
            with self._transaction() as session:
                outbox.record_failure(
                    session, self._kind, id=message_id, error=str(refused), permanent=refused.permanent,
                    now=self._clock(),
                )  # fmt: skip
            return False
        with self._transaction() as session:
            outbox.record_sent(session, self._kind, id=message_id, now=self._clock(), **noted)
        return True
