"""Secrets kept encrypted at rest: the SMTP password, the key of the certificate authority.

The key is derived from SECRET_KEY, so that a copy of the database alone gives none of them away.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken


class VaultLocked(Exception):
    """The secret was stored under another SECRET_KEY; it has to be entered again."""


def _fernet(secret_key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"vault${secret_key}".encode()).digest()))


def lock(secret: str, secret_key: str) -> str:
    """The form in which a secret is stored."""
    return _fernet(secret_key).encrypt(secret.encode()).decode("ascii")


def unlock(stored: str, secret_key: str) -> str:
    """The secret itself. Raises VaultLocked."""
    try:
        return _fernet(secret_key).decrypt(stored.encode("ascii")).decode()
    except (InvalidToken, UnicodeError):
        raise VaultLocked("stored under another SECRET_KEY; enter it again") from None
