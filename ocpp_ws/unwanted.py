"""Request bodies that nobody wants: what stands in their place when the server comes to read past them."""

from __future__ import annotations

import time
from typing import Any, Final

from gevent import Timeout, sleep

from ocpp_ws.websocket import READ_BYTES

LEAVE_BODY: Final = "sync.leave_body"
"""In a request's environment: call it to have the rest of the body let be, before answering."""

REFUSED_BODY_S: Final = 2.0


class NoBody:
    """Stands for a request body nobody waits for, because the connection is closed or a station's by now."""

    def _discard(self) -> None:
        """What WSGIHandler calls after an answer, to reach the next request."""


class RestOfBody:
    """What is left of a refused body: listened to for a moment, so that the answer is read, then cut off."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def _discard(self) -> None:
        """What WSGIHandler calls after an answer. Raises OSError when the rest is malformed, which is passed over."""
        self._body.send_100_continue_enabled = False
        deadline = time.monotonic() + REFUSED_BODY_S
        with Timeout(REFUSED_BODY_S, False):
            while time.monotonic() < deadline and self._body.read(READ_BYTES):
                sleep(0)
