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


def ocpp_base(*, secure: bool = False) -> str:
    """``ws://host:port/ocpp/`` (``wss`` behind TLS). ``secure``: where our own TLS is, when this address has none."""
    public = urlsplit(web_base())
    tls = current_app.config["SYNC"].tls
    if secure and tls is not None and public.scheme != "https":
        host = public.hostname or ""
        return f"wss://{f'[{host}]' if ':' in host else host}:{tls.port}/ocpp/"
    scheme = "wss" if public.scheme == "https" else "ws"
    return f"{scheme}://{public.netloc}{public.path.rstrip('/')}/ocpp/"


def ocpp_url(identifier: str, *, secure: bool = False) -> str:
    """The whole address of a charge point; ``secure``: its security profile demands TLS."""
    return ocpp_base(secure=secure) + quote(identifier, safe="")
