"""Passwords on the wire, and how the communication log is kept from them (OCPP 1.6 security whitepaper, 2.2).

A station's password is set by ChangeConfiguration of AuthorizationKey, in 2.0.1 by SetVariables of BasicAuthPassword.
The log has such a frame whole but for the value; likewise the answer of a station that gives its key away, which none
should.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.charging.security.sealing import MASK

PASSWORD_KEY = "AuthorizationKey"  # noqa: S105 (the name of the key, not the key)
PASSWORD_VARIABLE = "BasicAuthPassword"  # noqa: S105
_FOLDED = (PASSWORD_KEY.lower(), PASSWORD_VARIABLE.lower())
#: the calls whose frames may carry one; all others cost nothing but this look
_CARRIERS = frozenset({"ChangeConfiguration", "GetConfiguration", "SetVariables", "GetVariables", "NotifyReport"})


def is_password_key(key: object) -> bool:
    """Whether a configuration key or variable is the password's; compared without regard to case (1.6, 5.3)."""
    return isinstance(key, str) and key.strip().lower() in _FOLDED


def masked(action: str | None, text: str) -> str:
    """A frame as the log may have it."""
    if action not in _CARRIERS or not any(name in text.lower() for name in _FOLDED):
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
        variable = value.get("variable")
        if isinstance(variable, dict) and is_password_key(variable.get("name")):
            _mask_variable(value)
        for item in value.values():
            mask_values(item)


def _mask_variable(entry: dict[str, Any]) -> None:
    """Mask the values of a variable: in SetVariables and GetVariables its own, in NotifyReport its attributes'."""
    if entry.get("attributeValue") is not None:
        entry["attributeValue"] = MASK
    attributes = entry.get("variableAttribute")
    for attribute in attributes if isinstance(attributes, list) else ():
        if isinstance(attribute, dict) and attribute.get("value") is not None:
            attribute["value"] = MASK
