"""A web server of this process that answers as a test tells it to, in place of somebody else's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """What is answered to it; a dict is sent as JSON."""

    body: Any = ""
    status: int = 200
    content_type: str = ""


@dataclass
class LocalServer:
    """Its address, and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Answer] = lambda asked: Answer()


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[LocalServer]:
    """Serve on a port of its own until the block ends."""
    told = LocalServer(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = parse_qs(self.rfile.read(length).decode("utf-8", "replace"), keep_blank_values=True)
            parts = urlsplit(self.path)
            asked = Asked(
                self.command,
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                {name: values[0] for name, values in form.items()},
                dict(self.headers.items()),
            )
            told.asked.append(asked)
            answer = told.answer(asked)
            as_json = isinstance(answer.body, dict | list)
            body = answer.body if isinstance(answer.body, bytes) else (
                json.dumps(answer.body) if as_json else str(answer.body)
            ).encode()  # fmt: skip
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type or ("application/json" if as_json else "text/plain"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _do

        def log_message(self, *_arguments: Any) -> None:
            """The test's output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
