"""Secrets in commands: the station's new password must get to the gateway and be read by nobody on the way.

A sealed value is masked in the command's request, which the Actions log shows, and kept beside it encrypted
(``app.core.vault``); the gateway opens it as it sends.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from app.core import vault

MASK = "••••••"
_SEALED = "sealed"


def seal(request: dict[str, Any], *path: str | int, secret_key: str) -> dict[str, Any]:
    """A copy of the request whose text at ``path`` ("payload", "value") is masked, and kept encrypted beside it."""
    sealed = deepcopy(request)
    parent: Any = sealed
    for step in path[:-1]:
        parent = parent[step]
    secret = str(parent[path[-1]])
    parent[path[-1]] = MASK
    sealed[_SEALED] = {"path": list(path), "secret": vault.lock(secret, secret_key)}
    return sealed


def opened(request: dict[str, Any], *, secret_key: str) -> dict[str, Any]:
    """The request as it was before it was sealed; one that is not sealed as it is. Raises vault.VaultLocked."""
    note = request.get(_SEALED)
    if note is None:
        return request
    whole = deepcopy(request)
    del whole[_SEALED]
    parent: Any = whole
    *steps, last = note["path"]
    for step in steps:
        parent = parent[step]
    parent[last] = vault.unlock(note["secret"], secret_key)
    return whole
