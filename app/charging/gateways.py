"""Who holds which station's socket, as Redis knows it: names shared by the gateway and those who send to it.

All of it may be lost: a gateway claims its stations again, and a command that found no owner says "Not connected".
"""

from __future__ import annotations

import time
from typing import cast

import redis

#: hash: charge point id → ``gateway:epoch``, the connection's ref
OWNERS = "sync:owners"
#: sorted set: gateway name → until when (seconds since 1970) it is alive
GATEWAYS = "sync:gateways"
ALIVE_FOR_S = 15.0


def stream(gateway: str) -> str:
    """The stream a gateway reads its commands from."""
    return f"sync:gateway:{gateway}"


def reply_list(action_id: int) -> str:
    """The list whoever waits for a command's outcome blocks on."""
    return f"sync:reply:{action_id}"


def living(client: redis.Redis) -> list[str]:
    """The names of the gateways that are alive."""
    names = cast(list[bytes], client.zrangebyscore(GATEWAYS, time.time(), "+inf"))
    return [name.decode() for name in names]


def owner(client: redis.Redis, charge_point_id: int) -> str | None:
    """The living gateway that holds a station's socket, or None."""
    ref = cast("bytes | None", client.hget(OWNERS, str(charge_point_id)))
    if ref is None:
        return None
    gateway = ref.decode().partition(":")[0]
    expires = client.zscore(GATEWAYS, gateway)
    return gateway if expires is not None and expires > time.time() else None
