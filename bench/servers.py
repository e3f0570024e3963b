"""Starting what is measured: the reference server, this product, or a server that runs already."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from app.core import bootstrap, embedded
from app.core.config import load
from bench.processes import cpu_s, rss_kb, working_below

ROOT = Path(__file__).resolve().parents[1]
_START_TIMEOUT_S = 60.0


class BenchFailed(Exception):
    """Something did not start or answer; the message says what."""


@dataclass
class Server:
    """A server under measurement."""

    name: str
    url: str
    pid: int | None = None
    data_dir: Path | None = None
    """Where its database lives, if it has one."""
    environment: dict[str, str] | None = None
    """What it was started with, if it is ours."""

    def cpu(self) -> dict[str, float]:
        """Processor seconds used so far: by the server itself, and by the database's processes."""
        if self.pid is None:
            return {}
        used = {"server": cpu_s(self.pid)}
        if self.data_dir is not None:
            pids = working_below(self.data_dir)
            used["database"] = sum(cpu_s(pid, with_ended_children=True) for pid in pids)
        return used

    def rss_kb(self) -> int | None:
        """Resident memory of the server process."""
        return None if self.pid is None else rss_kb(self.pid)

    def stored_readings(self) -> int | None:
        """How many meter readings are on disk; None for a server whose database is not known."""
        if self.environment is None:
            return None
        config = load(self.environment)
        servers = embedded.start(config)
        try:
            url = bootstrap.migration_url(servers.admin_database_url, config)
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT count(*) FROM meter_reading").fetchone()
        finally:
            servers.release()
        return int(row[0]) if row else None


@contextlib.contextmanager
def reference() -> Iterator[Server]:
    """The reference server on a port of its own choice."""
    with _process([sys.executable, "-m", "bench.reference_server"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchFailed("the reference server did not start")
        yield Server("reference", f"ws://127.0.0.1:{int(port)}/ocpp", process.pid)


@contextlib.contextmanager
def ours(station_ids: list[str], tags: list[str], *, stop_rules: bool = False) -> Iterator[Server]:
    """This product as it is started in production, on an empty data directory, with these stations and cards.

    ``stop_rules``: every session has limits of time, energy and balance, none of which is reached. Raises BenchFailed.
    """
    with tempfile.TemporaryDirectory(prefix="sync-bench-", ignore_cleanup_errors=True) as folder:
        # The embedded PostgreSQL may run as a user of its own, who has to get in.
        Path(folder).chmod(0o755)
        data_dir = Path(folder) / "var"
        port = _free_port()
        env = {
            **{key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")},
            "ROLE": "all",
            "PORT": str(port),
            "SYNC_BIND": "127.0.0.1",
            "SYNC_DATA_DIR": str(data_dir),
            "SYNC_DEMO": "0",
            "SYNC_ADMIN_EMAIL": "bench@example.com",
            "SYNC_ADMIN_PASSWORD": "bench-" + os.urandom(8).hex(),
        }
        log_path = Path(folder) / "server.log"
        with log_path.open("w") as log, _no_leftovers(data_dir):
            command = [sys.executable, str(ROOT / "wsgi.py")]
            with _process(command, env=env, stdout=log, stderr=log) as process:
                try:
                    _wait_until_ready(port, process)
                    _provision(Path(folder) / "bench.yaml", env, _provisioning(station_ids, tags, stop_rules))
                except BenchFailed as failure:
                    raise BenchFailed(f"{failure}\n{log_path.read_text()[-2000:]}") from failure
                name = "with stop rules" if stop_rules else "ours"
                yield Server(name, f"ws://127.0.0.1:{port}/ocpp", process.pid, data_dir, env)


@contextlib.contextmanager
def _no_leftovers(data_dir: Path) -> Iterator[None]:
    """End database servers that outlived a server that had to be killed; they all work below `data_dir`."""
    try:
        yield
    finally:
        for pid in working_below(data_dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _provision(path: Path, env: dict[str, str], content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "provision", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**env, "ROLE": ""}, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise BenchFailed(f"provisioning failed: {done.stderr.strip()[-500:]}")


_FREE = {"type": "free"}
_LIMITED = {
    "type": "duration_energy",
    "price_per_minute": 0.0001,
    "price_per_kwh": 0.0001,
    "max_minutes": 10_000,
    "max_energy_kwh": 900_000,
    "auto_stop_amount": 1,
}


def _provisioning(station_ids: list[str], tags: list[str], stop_rules: bool) -> dict[str, Any]:
    """One location with all stations, and a driver for each card: free of charge, or with limits out of reach."""
    return {
        "currency": "EUR",
        "settings": {"billing.strategy": "balance_or_payment_method" if stop_rules else "none"},
        "tariff_groups": [{"name": "Bench", "base": _LIMITED if stop_rules else _FREE, "tariffs": []}],
        "locations": [
            {
                "name": {"en": "Bench"},
                "latitude": 42.6977,
                "longitude": 23.3219,
                "address": {"en": "1 Bench street"},
                "city": "Sofia",
                "postcode": "1000",
                "region": "Sofia",
                "country": "BG",
                "zones": [{"name": "Bench", "charge_points": [_charge_point(one) for one in station_ids]}],
            }
        ],
        "users": [
            {
                "email": f"driver{number}@bench.example",
                "first_name": "Driver",
                "last_name": str(number),
                "balance": 1000.00,
                "rfid_tags": [{"tag_id": tag, "card_no": f"{number:04d}"}],
            }
            for number, tag in enumerate(tags)
        ],
    }


def _charge_point(identifier: str) -> dict[str, Any]:
    evse = {
        "network_id": 1,
        "type": "AC",
        "max_power_kw": 22,
        "tariff_group": "Bench",
        "connectors": [{"type": "Type 2", "format": "socket"}],
    }
    return {
        "id": identifier,
        "name": identifier,
        "protocol": "ocpp1.6",
        "password": None,
        "access": "public",
        "status": "active",
        "evses": [evse],
    }


def _wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchFailed(f"wsgi.py ended with status {process.returncode}")
        if _answers_ready(port):
            return
        time.sleep(0.2)
    raise BenchFailed(f"wsgi.py was not ready within {_START_TIMEOUT_S:.0f} s")


def _answers_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child process that is gone when the block ends."""
    process = subprocess.Popen(command, cwd=ROOT, text=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
