"""The address a charge point has to be given (manual, "OCPP", 3: shown below its ID), and where browsers find us."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from flask import current_app, request


def web_base() -> str:
    """``https://host:port`` without slash: the public address if one was set (SYNC_PUBLIC_URL), else the one in use."""
    config = current_app.config["SYNC"]
    public = str(config.public_url)
    if public == f"http://127.0.0.1:{config.port}":
        public = request.host_url
    return public.rstrip("/")


def ocpp_base() -> str:
    """``ws://host:port/ocpp/`` (``wss`` behind TLS)."""
    public = urlsplit(web_base())
    scheme = "wss" if public.scheme == "https" else "ws"
    return f"{scheme}://{public.netloc}{public.path.rstrip('/')}/ocpp/"


def ocpp_url(identifier: str) -> str:
    """The whole address of a charge point."""
    return ocpp_base() + quote(identifier, safe="")
