"""Who really asks, when a proxy of ours stands in between: its word counts, a stranger's does not.

SYNC_TRUSTED_PROXIES names the networks our proxies are in. Only from those are ``X-Forwarded-For`` and
``X-Forwarded-Proto`` believed; from anybody else they are taken away, so that nobody chooses his own address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

SECURE_SCHEMES = ("https", "wss")


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a list like ``10.0.0.0/8, 192.168.1.7``. Raises ValueError with the one that is none."""
    found = []
    for part in text.replace(",", " ").split():
        try:
            found.append(ip_network(part, strict=False))
        except ValueError:
            raise ValueError(part) from None
    return tuple(found)


class TrustedProxies:
    """The proxies whose word counts."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._networks = tuple(trusted)
        self.trusts = lru_cache(maxsize=4096)(self._trusts) if trusted else _nobody

    def _trusts(self, address: str) -> bool:
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """The address of who asked a proxy of ours: the nearest in the chain that is no proxy of ours.

        ``forwarded_for`` are the header's values. What stands further left was said by a stranger.
        """
        nearest = peer
        for part in reversed([part for value in forwarded_for for part in value.split(",")]):
            found = _address(part)
            if found is None:
                break
            nearest = str(found)
            if not self.trusts(nearest):
                break
        return nearest


def _nobody(_address: str) -> bool:
    return False


def _address(text: str) -> Address | None:
    """An address, also with a port or in brackets; one of IPv4 in the clothes of IPv6 as what it is."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def last_scheme(forwarded_proto: Iterable[str]) -> str | None:
    """What the nearest proxy says of the connection it took: ``https``, ``http`` …; None when it says nothing."""
    parts = [part.strip().lower() for value in forwarded_proto for part in value.split(",")]
    return next((part for part in reversed(parts) if part), None)


class Forwarded:
    """WSGI: the address and scheme of who really asks, for throttles, the audit and addresses of our own."""

    def __init__(self, wsgi_app: WsgiApp, proxies: TrustedProxies) -> None:
        self._wsgi_app = wsgi_app
        self._proxies = proxies

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass the request on."""
        said_for = environ.pop("HTTP_X_FORWARDED_FOR", "")
        said_proto = environ.pop("HTTP_X_FORWARDED_PROTO", "")
        peer = environ.get("REMOTE_ADDR", "")
        if self._proxies.trusts(peer):
            environ["REMOTE_ADDR"] = self._proxies.client(peer, [said_for])
            scheme = last_scheme([said_proto])
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
        return self._wsgi_app(environ, start_response)
