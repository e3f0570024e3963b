"""`make run`: the whole product on one machine, as the processes production has, under one Ctrl-C.

Starts the embedded servers, migrates, makes the first admin, then runs server, worker, scheduler (and the demo's
simulator) as children that die with us, and starts again whichever of them ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.core import embedded
from app.core.config import Config, ConfigurationError, stored_secret

WSGI = Path(__file__).resolve().parents[2] / "wsgi.py"
_PR_SET_PDEATHSIG = 1
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


@dataclass
class Child:
    """One role's process, and how often it had to be started."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float = field(default=0.0)


def run(config: Config, prepare: Callable[[Config], str | None]) -> int:
    """Run everything until Ctrl-C or SIGTERM. Returns the exit status.

    ``prepare(config)`` migrates and fills the database and returns the first admin's password if it made one now.
    Raises ConfigurationError with what to do when the port or the data directory is taken.
    """
    _check_port(config)
    lock = _claim(config)
    servers = embedded.start(config) if config.embedded else None
    children = [Child(role) for role in ("all", "worker", "scheduler")]
    stopping = _stop_on_signals()
    try:
        say(f"SYNC EV.CHARGE: starting in {config.data_dir}")
        password = prepare(config)
        if config.demo:
            children.append(Child("simulator"))
        _start(children[0], config)
        if not _wait_until_ready(config, children[0], stopping):
            return 0 if stopping else 1
        for child in children[1:]:
            _start(child, config)
        _greet(config, password)
        while not stopping:
            time.sleep(0.5)
            for child in children:
                _keep_alive(child, config)
        say("stopping …")
        return 0
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(children)
        if servers is not None:
            servers.release()
        lock.close()


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, flush=True)  # noqa: T201 (this is what a terminal is for)


def _check_port(config: Config) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.bind, config.port))
        except OSError as error:
            raise ConfigurationError(
                f"port {config.port} cannot be used ({error.strerror}): stop the other program, or choose another "
                f"port with `PORT={config.port + 1} make run`"
            ) from None


def _claim(config: Config) -> IO[str]:
    config.data_dir.mkdir(parents=True, exist_ok=True)
    lock = (config.data_dir / "run.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError(
            f"SYNC EV.CHARGE already runs on {config.data_dir}: stop it first, or choose another directory with "
            "SYNC_DATA_DIR"
        ) from None
    return lock


def _stop_on_signals() -> list[int]:
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _frame: received.append(n))
    return received


def _die_with_parent() -> None:
    """In the child, before it runs: SIGTERM when we are gone, however we went. Linux only; elsewhere no harm."""
    os.setsid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start(child: Child, config: Config) -> None:
    environment = {**os.environ, "ROLE": child.role, "SYNC_DATA_DIR": str(config.data_dir)}
    child.process = subprocess.Popen(
        [sys.executable, str(WSGI)],
        env=environment,
        cwd=WSGI.parent,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    child.started_at = time.monotonic()


def _keep_alive(child: Child, config: Config) -> None:
    process = child.process
    if process is not None and process.poll() is not None:
        lived_s = time.monotonic() - child.started_at
        child.failures = 0 if lived_s > 60 else child.failures + 1
        delay_s = min(30.0, 0.5 * 2**child.failures)
        say(f"{child.role} ended (status {process.returncode}); starting it again in {delay_s:g} s")
        child.process, child.restart_at = None, time.monotonic() + delay_s
    elif process is None and time.monotonic() >= child.restart_at:
        _start(child, config)


def _wait_until_ready(config: Config, server: Child, stopping: list[int]) -> bool:
    url = f"http://127.0.0.1:{config.port}/readyz"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and not stopping:
        if server.process is not None and server.process.poll() is not None:
            say(f"the server did not start (status {server.process.returncode})")
            return False
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return True
        time.sleep(0.2)
    return False


def _greet(config: Config, password: str | None) -> None:
    say("")
    say(f"  SYNC EV.CHARGE is at   {config.public_url}/")
    say(f"  charge points connect to {config.public_url.replace('http', 'ws', 1)}/ocpp/<ChargePointID>")
    say(f"  sign in as             {config.admin_email}")
    if password is not None:
        say(f"  password               {password}")
    elif (config.data_dir / FIRST_PASSWORD_FILE).exists():
        say(f"  first password         in {config.data_dir / FIRST_PASSWORD_FILE} (unless it was changed since)")
    say("  Ctrl-C stops everything.")
    say("")


FIRST_PASSWORD_FILE = "first-admin-password"  # noqa: S105 (a file name)


def _stop(children: list[Child]) -> None:
    running = [c.process for c in reversed(children) if c.process is not None and c.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def first_password(config: Config) -> str:
    """The password for a first admin: the environment's, else a new one kept in the data directory."""
    if config.admin_password:
        return config.admin_password
    return stored_secret(config.data_dir / FIRST_PASSWORD_FILE)[:20]
