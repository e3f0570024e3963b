"""The address a charge point has to be given. Manual, "OCPP", 3: shown below the Charge Point ID."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from flask import current_app, request


def ocpp_base() -> str:
    """``ws://host:port/ocpp/`` (``wss`` behind TLS): the public address if one was set, else the one in use."""
    config = current_app.config["SYNC"]
    public = urlsplit(config.public_url)
    if config.public_url == f"http://127.0.0.1:{config.port}":
        public = urlsplit(request.host_url)
    scheme = "wss" if public.scheme == "https" else "ws"
    return f"{scheme}://{public.netloc}{public.path.rstrip('/')}/ocpp/"


def ocpp_url(identifier: str) -> str:
    """The whole address of a charge point."""
    return ocpp_base() + quote(identifier, safe="")
