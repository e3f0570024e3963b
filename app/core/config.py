"""What the process is told from outside, read once from the environment.

Everything an operator may change while the product runs is a setting (``app.core.settings``) instead.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from app.core.proxies import Network, networks


class ConfigurationError(Exception):
    """A variable is missing or wrong; the message says which and what to do."""


SERVER_ROLES = ("all", "web", "ocpp")
ROLES = (*SERVER_ROLES, "worker", "scheduler", "simulator")


@dataclass(frozen=True)
class TlsConfig:
    """Where the server's certificate and key are (PEM files), and the port it is served on."""

    cert: Path
    key: Path
    port: int


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
    tls: TlsConfig | None = None
    #: further authorities whose client certificates charge points may bear (PEM)
    client_ca: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    #: in which header a proxy of ours passes the client certificate
    client_cert_header: str | None = None
    #: with which login partners' admins read, where it cannot be derived
    partner_database_url: str | None = None

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
    port = _port("PORT", port_text)
    proxies = _proxies(environ.get("SYNC_TRUSTED_PROXIES") or "")
    tls = _tls(environ, port)
    client_ca = environ.get("SYNC_TLS_CLIENT_CA") or None
    header = (environ.get("SYNC_CLIENT_CERT_HEADER") or "").strip() or None
    if header and not proxies:
        raise ConfigurationError(
            "SYNC_CLIENT_CERT_HEADER is set, but not SYNC_TRUSTED_PROXIES: name the networks of the proxy that sets it"
        )
    if client_ca and not (tls or header):
        raise ConfigurationError(
            "SYNC_TLS_CLIENT_CA is set, but nothing brings client certificates: set SYNC_TLS_PORT, or "
            "SYNC_CLIENT_CERT_HEADER behind a proxy"
        )
    data_dir = Path(environ.get("SYNC_DATA_DIR") or "./var").expanduser().resolve()
    public_url = (environ.get("SYNC_PUBLIC_URL") or f"http://127.0.0.1:{port_text}").rstrip("/")
    return Config(
        port=port,
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
        tls=tls,
        client_ca=Path(client_ca).expanduser() if client_ca else None,
        trusted_proxies=proxies,
        client_cert_header=header,
        partner_database_url=environ.get("PARTNER_DATABASE_URL") or None,
    )


def _port(variable: str, text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(f"{variable}={text!r} is not a port number between 1 and 65535")
    return int(text)


def _proxies(text: str) -> tuple[Network, ...]:
    try:
        return networks(text)
    except ValueError as error:
        raise ConfigurationError(
            f"SYNC_TRUSTED_PROXIES: {str(error)!r} is neither an address nor a network like 10.0.0.0/8"
        ) from None


_TLS_VARIABLES = ("SYNC_TLS_CERT", "SYNC_TLS_KEY", "SYNC_TLS_PORT")


def _tls(environ: os._Environ[str] | dict[str, str], plain_port: int) -> TlsConfig | None:
    """The three belong together. Whether the files are good is seen by who serves them."""
    given = {name: environ.get(name) or "" for name in _TLS_VARIABLES}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise ConfigurationError(f"to serve TLS, set {' and '.join(missing)} too")
    cert, key, port_text = given.values()
    port = _port("SYNC_TLS_PORT", port_text)
    if port == plain_port:
        raise ConfigurationError(f"SYNC_TLS_PORT and PORT are both {port}; TLS needs a port of its own")
    return TlsConfig(Path(cert).expanduser(), Path(key).expanduser(), port)


def stored_secret(path: Path) -> str:
    """A secret kept in a file that only we may read; made on first use, safely if two processes race."""
    try:
        return _kept_secret(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
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
        return _kept_secret(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write to SYNC_DATA_DIR ({path.parent}): {error.strerror}") from None
    return value


def _kept_secret(path: Path) -> str:
    """The secret in a file that is there. Raises ConfigurationError for one that cannot be one."""
    try:
        value = path.read_text().strip()
    except PermissionError:
        raise ConfigurationError(f"cannot read {path}; run as the user who owns it") from None
    except (IsADirectoryError, UnicodeDecodeError):
        value = ""
    if not value:
        raise ConfigurationError(
            f"{path} is empty or damaged: put back what was in it from a backup, or remove it to have a new one made "
            "(with a new secret_key, sessions end and network passwords have to be entered again)"
        )
    return value
