"""Who is connected where: claims in Redis, so that any process can reach any station and the newest socket wins.

Redis may lose all of it; the stations' next connection (or the next beat) puts it back.
"""

from __future__ import annotations

import time
from typing import cast

import redis

from app.charging import gateways

_CLAIM = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return before
"""

_RELEASE = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
"""


class Registry:
    """The claims of one gateway."""

    def __init__(self, client: redis.Redis, gateway: str) -> None:
        self._redis = client
        self.gateway = gateway
        self._claim = client.register_script(_CLAIM)
        self._release = client.register_script(_RELEASE)

    def beat(self) -> None:
        """Say that this gateway is alive for another 15 seconds."""
        now = time.time()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(gateways.GATEWAYS, {self.gateway: now + gateways.ALIVE_FOR_S})
        pipeline.zremrangebyscore(gateways.GATEWAYS, "-inf", now - 3600)
        pipeline.execute()

    def claim(self, charge_point_id: int, ref: str) -> None:
        """Own a station by this connection; the gateway that owned it is told to let its socket go."""
        before = cast("bytes | None", self._claim(keys=[gateways.OWNERS], args=[str(charge_point_id), ref]))
        if before is None:
            return
        old_ref = before.decode()
        old_gateway = old_ref.partition(":")[0]
        if old_gateway != self.gateway and old_gateway in gateways.living(self._redis):
            self._redis.xadd(
                gateways.stream(old_gateway),
                {"kick": old_ref, "charge_point_id": charge_point_id},
                maxlen=10_000,
                approximate=True,
            )

    def reclaim(self, refs: dict[int, str]) -> None:
        """Put claims back that Redis has lost; those that another connection holds stay its own."""
        if not refs:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for charge_point_id, ref in refs.items():
            pipeline.hsetnx(gateways.OWNERS, str(charge_point_id), ref)
        pipeline.execute()

    def release(self, charge_point_id: int, ref: str) -> None:
        """Give up a claim, unless a newer connection has it."""
        self._release(keys=[gateways.OWNERS], args=[str(charge_point_id), ref])

    def leave(self) -> None:
        """This gateway ends: nobody need wait for its beat to run out."""
        self._redis.zrem(gateways.GATEWAYS, self.gateway)
        self._redis.delete(gateways.stream(self.gateway))
