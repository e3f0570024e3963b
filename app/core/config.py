"""What the process is told from outside, read once from the environment.

Everything an operator may change while the product runs is a setting (``app.core.settings``) instead.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


class ConfigurationError(Exception):
    """A variable is missing or wrong; the message says which and what to do."""


SERVER_ROLES = ("all", "web", "ocpp")
ROLES = (*SERVER_ROLES, "worker", "scheduler", "simulator")


@dataclass(frozen=True)
class Config:
    """The environment's variables, checked. See README, "Variables"."""

    port: int
    bind: str
    data_dir: Path
    database_url: str | None
    redis_url: str | None
    role: str | None
    demo: bool
    admin_email: str
    admin_password: str | None
    secret_key: str
    public_url: str
    secure_cookies: bool

    @property
    def embedded(self) -> bool:
        """Whether either server is ours to start."""
        return self.database_url is None or self.redis_url is None


def load(environ: os._Environ[str] | dict[str, str] = os.environ) -> Config:
    """Read and check the environment. Raises ConfigurationError with a sentence a person can act on."""
    role = environ.get("ROLE") or None
    if role is not None and role not in ROLES:
        raise ConfigurationError(f"ROLE={role!r} is not one of {', '.join(ROLES)}")
    port_text = environ.get("PORT") or "8000"
    if not port_text.isdigit() or not 0 < int(port_text) < 65536:
        raise ConfigurationError(f"PORT={port_text!r} is not a port number between 1 and 65535")
    data_dir = Path(environ.get("SYNC_DATA_DIR") or "./var").expanduser().resolve()
    public_url = (environ.get("SYNC_PUBLIC_URL") or f"http://127.0.0.1:{port_text}").rstrip("/")
    return Config(
        port=int(port_text),
        bind=environ.get("SYNC_BIND") or "0.0.0.0",  # noqa: S104 (charge points come from outside)
        data_dir=data_dir,
        database_url=environ.get("DATABASE_URL") or None,
        redis_url=environ.get("REDIS_URL") or None,
        role=role,
        demo=environ.get("SYNC_DEMO", "0").strip().lower() in ("1", "true", "yes", "on"),
        admin_email=environ.get("SYNC_ADMIN_EMAIL") or "admin@example.com",
        admin_password=environ.get("SYNC_ADMIN_PASSWORD") or None,
        secret_key=environ.get("SECRET_KEY") or stored_secret(data_dir / "secret_key"),
        public_url=public_url,
        secure_cookies=public_url.startswith("https://"),
    )


def stored_secret(path: Path) -> str:
    """A secret kept in a file that only we may read; made on first use, safely if two processes race."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError:
        raise ConfigurationError(f"cannot read {path}; run as the user who owns it") from None
    value = secrets.token_urlsafe(48)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
        try:
            os.link(draft, path)  # whole or not at all, and only one of two racing processes wins
        finally:
            draft.unlink()
    except FileExistsError:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"cannot write to SYNC_DATA_DIR ({path.parent}): {error.strerror}") from None
    return value
