"""A Nominatim and a what3words on loopback: real HTTP, answers as the services give them, mistakes on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SOFIA = {
    "lat": "42.6977028",
    "lon": "23.3217359",
    "display_name": "1, бул. Витоша, Sofia, 1000, Bulgaria",
    "address": {
        "house_number": "1",
        "road": "Vitosha blvd",
        "city": "Sofia",
        "state": "Sofia-City",
        "postcode": "1000",
        "country": "Bulgaria",
        "country_code": "bg",
    },
}


@dataclass
class Places:
    """What was asked, and what is to be answered instead of the truth."""

    url: str = ""
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    delay_s: float = 0

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """As the services answer."""
        if path.endswith("/search"):
            return [SOFIA] if "vitosha" in query.get("q", "").lower() else []
        if path.endswith("/reverse"):
            return {"error": "Unable to geocode"} if float(query["lat"]) < 0 else SOFIA
        if query.get("key") != "right":
            return {"error": {"code": "InvalidKey", "message": "Authentication failed"}}
        return {"words": "filled.count.soap", "language": "en"}


@contextmanager
def places() -> Iterator[Places]:
    """The services, for as long as the block runs."""
    state = Places()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            state.asked.append((parts.path, query, dict(self.headers)))
            time.sleep(state.delay_s)
            body = state.body if state.body is not None else json.dumps(state.answer(parts.path, query)).encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
