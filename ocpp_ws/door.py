"""Who may come in: what a charge point has to bring at each security profile, as pure decisions.

OCPP 1.6 security whitepaper, edition 2, chapter 2. Profile 0 is no profile of the whitepaper: the password counts if
one is set. While a new password is on its way to a station, it is let in with either (app.charging.security.passwords).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from app.assets.models import SecurityProfile
from app.charging.station import Station
from app.core.passwords import verify_station_password
from ocpp_ws import presented
from ocpp_ws.handshake import UpgradeRequest

_WITH_TLS = (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a station was let in on; ``password_hash`` is the stored form of the password it gave."""

    password_hash: str | None
    secure: bool
    certified: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a station is not let in: what it is told, and ``reason`` as the operator reads it."""

    status: int
    reason: str
    text: str


def judge(
    station: Station,
    request: UpgradeRequest,
    *,
    secret_key: str,
    trusted: Sequence[x509.Certificate],
    now: datetime,
) -> Terms | Stopped:
    """Whether a known station may come in, and on what terms."""
    if not station.managed:
        return Stopped(403, "not managed", "This charge point is not managed by the operator")
    profile = station.security_profile
    if profile in _WITH_TLS and not request.secure:
        return Stopped(403, "no TLS", f"Security profile {profile.value} of this charge point needs TLS: use wss://")
    if profile is SecurityProfile.TLS_CERTIFICATE:
        fault = presented.fault_of(request.certificate, identifier=station.identifier, trusted=trusted, now=now)
        if fault is not None:
            return Stopped(403, fault, f"Security profile 3 needs this charge point's own client certificate: {fault}")
        return Terms(None, request.secure, certified=True)
    fits = _fitting(station, request, secret_key)
    if fits is None and _needs_password(station):
        reason = "no password" if request.credentials is None else "wrong password"
        return Stopped(401, reason, "HTTP Basic with the network password is needed")
    return Terms(fits, request.secure, certified=False)


def still_holds(station: Station, terms: Terms) -> bool:
    """Whether a station that was let in on these terms may stay, after it was changed."""
    if not station.managed:
        return False
    profile = station.security_profile
    if profile in _WITH_TLS and not terms.secure:
        return False
    if profile is SecurityProfile.TLS_CERTIFICATE:
        return terms.certified
    return not _needs_password(station) or (terms.password_hash is not None and terms.password_hash in _hashes(station))


def _needs_password(station: Station) -> bool:
    return station.password_hash is not None or station.security_profile is not SecurityProfile.ANY


def _hashes(station: Station) -> list[str]:
    return [stored for stored in (station.password_hash, station.next_password_hash) if stored is not None]


def _fitting(station: Station, request: UpgradeRequest, secret_key: str) -> str | None:
    """The stored form of the password the station gave."""
    given = request.credentials
    if given is None or not given.username_matches:
        return None
    candidates = list(given.candidates)
    fitting = (stored for stored in _hashes(station) if verify_station_password(stored, candidates, secret_key))
    return next(fitting, None)
