"""What a station has to tell the server, in order, kept while it is offline.

Transaction messages survive lost connections and reboots (OCPP 1.6, "Transaction-related messages"); anything
else is worth nothing once the connection is gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Message:
    """One message on its way.

    `request` builds the payload when it is sent: a transaction's number may not be known before.
    """

    request: Callable[[], Any]
    lasting: bool = False
    """Kept over a lost connection and tried again when the server fails on it."""
    answered: Callable[[Any], None] | None = None
    attempts: int = 0


class Outbox:
    """A queue with one reader; the head stays in it until it is done with."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def lasting_count(self) -> int:
        """How many transaction messages wait."""
        return sum(message.lasting for message in self._messages)

    def put(self, message: Message) -> None:
        """Add at the end."""
        self._messages.append(message)
        self._changed.set()

    async def head(self) -> Message:
        """Wait for a first message and give it, without removing it."""
        while not self._messages:
            self._changed.clear()
            await self._changed.wait()
        return self._messages[0]

    def done(self, message: Message) -> None:
        """Remove a message, if it still waits."""
        if message in self._messages:
            self._messages.remove(message)
        self._changed.set()

    def forget_passing(self) -> None:
        """The connection is gone: drop all that is not worth keeping."""
        self._messages = deque(message for message in self._messages if message.lasting)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing waits any more; False after `timeout_s` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._messages:
            self._changed.clear()
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, left_s))
            except TimeoutError:
                return False
        return True
