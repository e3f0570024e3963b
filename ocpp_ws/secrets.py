"""Passwords on the wire, and how the communication log is kept from them (OCPP 1.6 security whitepaper, 2.2).

A station's password is set by ChangeConfiguration of AuthorizationKey. The log has such a frame whole but for the
value; likewise the answer of a station that gives its key away, which none should.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.charging.security.sealing import MASK

PASSWORD_KEY = "AuthorizationKey"  # noqa: S105 (the name of the key, not the key)
_FOLDED = PASSWORD_KEY.lower()
#: the calls whose frames may carry one; all others cost nothing but this look
_CARRIERS = frozenset({"ChangeConfiguration", "GetConfiguration"})


def is_password_key(key: object) -> bool:
    """Whether a configuration key is the password's; keys are compared without regard to case (1.6, 5.3)."""
    return isinstance(key, str) and key.strip().lower() == _FOLDED


def masked(action: str | None, text: str) -> str:
    """A frame as the log may have it."""
    if action not in _CARRIERS or _FOLDED not in text.lower():
        return text
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return f"[not kept: it may contain the {PASSWORD_KEY}]"
    mask_values(frame)
    return orjson.dumps(frame).decode()


def mask_values(value: Any) -> None:
    """Mask, in place, the value of every key and value pair that is a password's."""
    if isinstance(value, list):
        for item in value:
            mask_values(item)
    elif isinstance(value, dict):
        if is_password_key(value.get("key")) and value.get("value") is not None:
            value["value"] = MASK
        for item in value.values():
            mask_values(item)
