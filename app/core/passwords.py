"""Passwords: argon2 for people, a fast keyed hash for stations.

A station's password is long and random and is checked thousands of times a second after an outage, so it gets
HMAC-SHA-256 (stations.md, "Speed"); a person's is short and gets a slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()
#: verified when there is no such admin, so that the answer takes as long
_DUMMY = _HASHER.hash(secrets.token_hex(16))

MINIMUM_LENGTH = 10


class WeakPassword(ValueError):
    """Too short or too simple; the message says what is wanted."""


def hash_password(password: str) -> str:
    """An argon2id hash. Raises WeakPassword below ten characters."""
    if len(password) < MINIMUM_LENGTH:
        raise WeakPassword(f"a password has at least {MINIMUM_LENGTH} characters")
    if len(set(password)) < 4:
        raise WeakPassword("a password has at least four different characters")
    return _HASHER.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password fits; takes as long when there is none stored."""
    try:
        return _HASHER.verify(stored or _DUMMY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def hash_station_password(password: bytes, secret_key: str) -> str:
    """The stored form of a charge point's network password: ``hmac-sha256$salt$digest``."""
    salt = secrets.token_hex(8)
    return f"hmac-sha256${salt}${_station_digest(password, salt, secret_key)}"


def verify_station_password(stored: str, candidates: list[bytes], secret_key: str) -> bool:
    """Whether any candidate (literal, hex-decoded) is the station's password; constant time per candidate."""
    try:
        scheme, salt, digest = stored.split("$")
    except ValueError:
        return False
    if scheme != "hmac-sha256":
        return False
    fits = [hmac.compare_digest(_station_digest(c, salt, secret_key), digest) for c in candidates]
    return any(fits)


def _station_digest(password: bytes, salt: str, secret_key: str) -> str:
    return hmac.new(f"{secret_key}${salt}".encode(), password, hashlib.sha256).hexdigest()
