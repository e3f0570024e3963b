"""Stand-ins for Stripe's API: localstripe as a process of its own, and a server that answers from a script.

localstripe keeps books (customers, payments, refunds, webhooks), but does not look at idempotency keys, never answers
429 or 5xx, names no payment in an error, and has no PaymentIntent list of one customer. The script covers those.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.product import free_port

#: what localstripe does with them: attached and charged; attached, then declined; needs the driver
GOOD, DECLINING, AUTHENTICATING = "4242424242424242", "4000000000000341", "4000002500003155"
SECRET_KEY, PUBLISHABLE_KEY, WEBHOOK_SECRET = "sk_test_books", "pk_test_books", "whsec_books"


@dataclass(frozen=True)
class LocalStripe:
    """A running localstripe, and what a driver's browser would do there."""

    base: str

    def post(self, path: str, **values: Any) -> dict[str, Any]:
        """A call with the secret key, JSON both ways. Raises HTTPError."""
        return self._call(path, json.dumps(values).encode())

    def get(self, path: str) -> dict[str, Any]:
        """An object."""
        return self._call(path, None)

    def _call(self, path: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(self.base + path, body, {"Content-Type": "application/json"})
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{SECRET_KEY}:".encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer) if answer.headers.get("Content-Type", "").startswith("application/json") else {}
        return dict(found)

    def card(self, number: str = GOOD) -> str:
        """A payment method with this number."""
        return str(self.post("/v1/payment_methods", type="card", card=_card(number))["id"])

    def enter_card(self, client_secret: str, number: str = GOOD) -> None:
        """Finish a SetupIntent as Stripe's element in the browser does."""
        reference = client_secret.partition("_secret_")[0]
        values = {"type": "card", "card": _card(number)}
        self.post(f"/v1/setup_intents/{reference}/confirm", client_secret=client_secret, payment_method_data=values)


def _card(number: str) -> dict[str, Any]:
    return {"number": number, "exp_month": 12, "exp_year": time.gmtime().tm_year + 3, "cvc": "123"}


@contextlib.contextmanager
def local_stripe() -> Iterator[LocalStripe]:
    """Start localstripe with empty books; it ends with the block."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    running = LocalStripe(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                running.get("/v1/balance")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "localstripe did not start"
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(10)


# --- answers from a script


@dataclass
class Seen:
    """A request the adapter made."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


Script = Callable[[Seen], tuple[int, dict[str, Any]]]


@dataclass
class ScriptedStripe:
    """A server whose ``script`` answers; what was asked is in ``seen``."""

    base: str
    script: Script = lambda seen: (200, {})
    seen: list[Seen] = field(default_factory=list)

    def keys(self) -> list[str | None]:
        """The idempotency keys of the POSTs, in order."""
        return [each.headers.get("idempotency-key") for each in self.seen if each.method == "POST"]


@contextlib.contextmanager
def scripted_stripe() -> Iterator[ScriptedStripe]:
    """Serve on this machine until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Seen(self.command, self.path, headers, form)
            running.seen.append(asked)
            status, found = running.script(asked)
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = ScriptedStripe(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
