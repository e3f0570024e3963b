"""The load generator's process, and what is read off around it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.servers import ROOT, BenchFailed, Server


@dataclass(frozen=True)
class Throughput:
    """One measured window."""

    per_s: float
    """Acknowledged messages per second of wall clock."""
    cpu_s_per_s: dict[str, float] = field(default_factory=dict)
    """Processor seconds per second, of the server and of its database."""
    acknowledged: int = 0
    """In the window and around it: all that was sent."""

    @property
    def per_cpu_s(self) -> float | None:
        """Acknowledged messages per processor second of the server process."""
        used = self.cpu_s_per_s.get("server")
        return self.per_s / used if used else None

    @property
    def per_cpu_s_with_database(self) -> float | None:
        """The same with the database's processes counted in."""
        used = sum(self.cpu_s_per_s.values())
        return self.per_s / used if used else None


class Load:
    """One load generator, connected to one server."""

    def __init__(self, process: subprocess.Popen[str], server: Server) -> None:
        self._process = process
        self.server = server

    def order(self, do: str, **details: Any) -> dict[str, Any]:
        """One command to the generator. Raises BenchFailed when it could not be done or answers were wrong."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchFailed(f"{self.server.name}: the load generator ended")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise BenchFailed(f"{self.server.name}: {answer['failed']}")
        if answer["errors"]:
            raise BenchFailed(f"{self.server.name}: {answer['errors']} bad answers: {answer['first_error']}")
        return answer

    def measure(self, action: str, *, seconds: float, warm_up_s: float) -> Throughput:
        """Run one action in a closed loop, and measure a window of it."""
        first = self.order("run", action=action)
        time.sleep(warm_up_s)
        cpu_before, before = self.server.cpu(), self.order("count")
        time.sleep(seconds)
        cpu_after, after = self.server.cpu(), self.order("count")
        last = self.order("pause")
        span_s = after["at_s"] - before["at_s"]
        used = {name: (cpu_after[name] - cpu_before[name]) / span_s for name in cpu_before}
        return Throughput(
            per_s=(after["answered"] - before["answered"]) / span_s,
            cpu_s_per_s=used,
            acknowledged=last["answered"] - first["answered"],
        )


@contextlib.contextmanager
def load_on(server: Server) -> Iterator[Load]:
    """A load generator for this server; gone when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load", server.url],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Load(process, server)
    finally:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
