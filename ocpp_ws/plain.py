"""What the server does beneath HTTP: a whole plain answer, and how a TCP connection behaves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gevent import socket as gsocket


def plain_response(status: int, text: str, retry_after_s: int | None = None) -> bytes:
    """A whole HTTP response with a line of plain text; the connection is closed after it."""
    body = f"{text}\n".encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status == 401:
        lines.append('WWW-Authenticate: Basic realm="ocpp", charset="UTF-8"')
    if status == 405:
        lines.append("Allow: GET")
    if status == 426:
        lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    if retry_after_s is not None:
        lines.append(f"Retry-After: {retry_after_s}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def tune(sock: Any) -> None:
    """Answer without delay, and let the kernel notice a peer that vanished while we are silent."""
    if sock.family not in (gsocket.AF_INET, gsocket.AF_INET6):
        return
    sock.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
    sock.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(gsocket, name, None)  # macOS and Windows lack some
        if option is not None:
            sock.setsockopt(gsocket.IPPROTO_TCP, option, value)
