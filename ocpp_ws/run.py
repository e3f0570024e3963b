"""The server process: screens and stations on one port (ROLE=all), or one of the two."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import structlog
from flask import Flask

from app.core.config import Config, ConfigurationError
from app.core.proxies import TrustedProxies
from ocpp_ws.commands import CommandReader
from ocpp_ws.gateway import PROTOCOLS, Gateway
from ocpp_ws.handshake import Admission, Refusal, UpgradeRequest
from ocpp_ws.server import StationServer, build_server
from ocpp_ws.tls import Tls
from ocpp_ws.websocket import StationSocket

log = structlog.get_logger("ocpp_ws.run")

WsgiApp = Callable[..., Iterable[bytes]]
_OPERATIONS = ("/healthz", "/readyz", "/metrics")
#: firmware and diagnostics: a station that reaches one server need not reach another
_FILES = "/files/"
TLS_FRESH_S = 5.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(app: Flask, config: Config) -> int:
    """Serve until SIGTERM or Ctrl-C; stations are told, and what is queued is written. Returns the exit status.

    Raises ConfigurationError when a port is taken or a certificate's file is not good.
    """
    stations = config.role in ("all", "ocpp")
    gateway = Gateway(app) if stations else None
    reader = CommandReader(gateway, app.config["REDIS_URL"]) if gateway else None
    tls = _tls(config, gateway)
    servers = _servers(app, config, gateway, tls)
    if gateway and reader:
        gateway.start()
        reader.start()
    for server in servers:
        _open(server)
    _settle_memory()
    stopping = gevent.event.Event()
    for number in _STOP_SIGNALS:
        gevent.signal_handler(number, stopping.set)
    if tls is not None:
        gevent.signal_handler(signal.SIGHUP, tls.reload)
        gevent.spawn(_keep_fresh, tls)
    log.info("server.started", role=config.role, port=config.port, tls_port=config.tls.port if config.tls else None)
    stopping.wait()
    for server in servers:
        server.close()
    if gateway and reader:
        reader.stop()
        gateway.stop()
    for server in servers:
        server.stop(timeout=2)
    return 0


def _tls(config: Config, gateway: Gateway | None) -> Tls | None:
    """What the TLS port shows of itself; client certificates are asked for where there are stations."""
    if config.tls is None:
        return None
    if gateway is None:
        return Tls(config.tls)
    gateway.trust_ourselves()
    return Tls(config.tls, trusted=lambda: gateway.trust.certificates, on_refused=gateway.refuse_handshake)


def _servers(app: Flask, config: Config, gateway: Gateway | None, tls: Tls | None) -> list[StationServer]:
    """The plain port's and, with certificates, the TLS port's: the same behind both."""
    ports = [(config.port, None), *([(config.tls.port, tls)] if config.tls is not None else [])]
    proxies = TrustedProxies(config.trusted_proxies)
    return [
        build_server(
            (config.bind, port),
            only_operations(app.wsgi_app) if config.role == "ocpp" else app.wsgi_app,
            admit=gateway.admit if gateway else refuse_stations,
            on_connect=gateway.on_connect if gateway else _nobody,
            protocols=PROTOCOLS,
            tls=secured,
            proxies=proxies,
            client_cert_header=config.client_cert_header,
        )
        for port, secured in ports
    ]


def _open(server: StationServer) -> None:
    try:
        server.start()
    except OSError as error:
        raise ConfigurationError(f"port {server.address[1]} cannot be used: {error.strerror}") from None


def _keep_fresh(tls: Tls) -> None:
    """Certificates are renewed by other programs, authorities by other processes; no restart for either."""
    while True:
        gevent.sleep(TLS_FRESH_S)
        tls.refresh()


def refuse_stations(_request: UpgradeRequest) -> Admission | Refusal:
    """The door of a process that serves screens only."""
    return Refusal(503, "This server does not serve charge points", retry_after_s=30)


def _nobody(_socket: StationSocket, _admission: Admission) -> None:
    raise AssertionError("a station was admitted by a server that refuses all")


def only_operations(wsgi_app: WsgiApp) -> WsgiApp:
    """The application of a process that serves stations only: health, metrics and their files, nothing else."""

    def operations(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path in _OPERATIONS or path.startswith(_FILES):
            return wsgi_app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This server serves charge points only\n"]

    return operations


def _settle_memory() -> None:
    """What start-up made stays for ever: keep the collector away from it (halves the storm's p99)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
