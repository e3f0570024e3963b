"""Listens to a browser for everything that must not happen on any page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

#: a form with mistakes is answered so, and the page shows the mistakes
FORM_REFUSED = 422
#: the browser's own line about an answer that is judged by its status instead
_ABOUT_AN_ANSWER = re.compile(r"Failed to load resource: the server responded with a status of \d+")
#: what a page that is left does to its requests
_LEFT = ("net::ERR_ABORTED", "net::ERR_NETWORK_CHANGED")


class Watch:
    """Collects what pages complain of: console errors (breaches of the policy among them), exceptions, bad answers."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self._allowed: set[int] = {FORM_REFUSED}
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(error.page, f"exception: {error.error}"))
        context.on("response", self._response)
        context.on("requestfailed", self._failed)

    @contextmanager
    def allowing(self, *statuses: int) -> Iterator[None]:
        """Answers with these statuses are what the test is about."""
        before = set(self._allowed)
        self._allowed.update(statuses)
        yield
        self._allowed = before

    def _note(self, page: Page | None, what: str) -> None:
        self.complaints.append(f"{page.url if page else '?'}: {what}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _ABOUT_AN_ANSWER.match(message.text):
            self._note(message.page, f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._allowed:
            self.complaints.append(f"{response.request.method} {response.url} answered {response.status}")

    def _failed(self, request: Request) -> None:
        if request.failure not in _LEFT:
            self.complaints.append(f"{request.method} {request.url} failed: {request.failure}")
