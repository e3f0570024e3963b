"""The product as a process of its own, on a port of its own, for tests that need real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Product:
    """Processes of the product with one environment. ``start`` any role; all are stopped at the end."""

    environment: dict[str, str]
    port: int
    log: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def http(self) -> str:
        """Where the screens are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Where charge points connect, without their id."""
        return f"ws://127.0.0.1:{self.port}/ocpp/"

    def start(self, role: str) -> subprocess.Popen[bytes]:
        """Start a role; servers are waited for."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "wsgi.py"],
                cwd=ROOT,
                env={**self.environment, "ROLE": role},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.processes[role] = process
        if role in ("all", "web", "ocpp"):
            self.wait_until_ready(process)
        return process

    def wait_until_ready(self, process: subprocess.Popen[bytes], timeout_s: float = 40) -> None:
        """Until /readyz answers 200. Raises AssertionError with the log's end when it does not."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), urllib.request.urlopen(self.http + "/readyz", timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self, role: str) -> None:
        """kill -9, as a power cut would."""
        process = self.processes.pop(role)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Ask all to end, and wait."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def flask(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command line command and return its outcome, whatever it is."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )


@contextlib.contextmanager
def product(directory: Path, **variables: str) -> Iterator[Product]:
    """A product whose servers are given by ``variables`` (DATABASE_URL …) or embedded in ``directory``."""
    port = free_port()
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")}
    environment = {
        **clean,
        "PORT": str(port),
        "SYNC_BIND": "127.0.0.1",
        "SYNC_DATA_DIR": str(directory / "var"),
        "SYNC_DEMO": "0",
        **variables,
    }
    running = Product(environment, port, directory / "product.log")
    running.log.touch()
    try:
        yield running
    finally:
        running.stop()
