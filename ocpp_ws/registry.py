"""Who is connected where: claims in Redis, so that any process can reach any station and the newest socket wins.

Redis may lose all of it; the stations' next connection (or the next beat) puts it back. After an outage thousands
claim at once: what is queued while one call is under way goes with the next one, so that a storm costs Redis, and this
process, a few calls instead of one each.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import gevent
import redis
import structlog
from gevent.event import Event

from app.charging import gateways

log = structlog.get_logger("ocpp_ws.registry")

MAX_QUEUED = 100_000
STREAM_KEPT_S = 3600
GATHER_S = 0.02
_CHANGES_PER_CALL = 500
_CLAIM, _RELEASE = "claim", "release"

#: (claim or release, charge point id, ref)
Change = tuple[str, int, str]

#: KEYS owners, gateways; ARGV this gateway, now, prefix of the streams, then kind, charge point and ref of each change.
#: A claim tells the gateway that owned the station, if that is another one and alive, to let its socket go.
_CHANGE = """
for i = 4, #ARGV, 3 do
  local kind, id, ref = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', KEYS[1], id)
  if kind == 'claim' then
    redis.call('HSET', KEYS[1], id, ref)
    local owner = before and string.match(before, '^[^:]*')
    if owner and owner ~= ARGV[1] then
      local alive_until = redis.call('ZSCORE', KEYS[2], owner)
      if alive_until and tonumber(alive_until) > tonumber(ARGV[2]) then
        redis.call('XADD', ARGV[3] .. owner, 'MAXLEN', '~', 10000, '*', 'kick', before, 'charge_point_id', id)
      end
    end
  elseif before == ref then
    redis.call('HDEL', KEYS[1], id)
  end
end
"""

#: KEYS owners; ARGV charge point and ref of each. Puts back what is missing, and leaves what another connection holds.
_RECLAIM = """
for i = 1, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
"""


class Registry:
    """The claims of one gateway."""

    def __init__(self, client: redis.Redis, gateway: str) -> None:
        self._redis = client
        self.gateway = gateway
        self._change = client.register_script(_CHANGE)
        self._reclaim = client.register_script(_RECLAIM)
        self._queue: deque[Change] = deque(maxlen=MAX_QUEUED)
        self._queued = Event()

    def beat(self) -> None:
        """Say that this gateway is alive for another 15 seconds."""
        now = time.time()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(gateways.GATEWAYS, {self.gateway: now + gateways.ALIVE_FOR_S})
        pipeline.zremrangebyscore(gateways.GATEWAYS, "-inf", now - 3600)
        pipeline.expire(gateways.stream(self.gateway), STREAM_KEPT_S)  # so that a killed gateway leaves nothing behind
        pipeline.execute()

    # ------------------------------------------------------------------ at once

    def claim(self, charge_point_id: int, ref: str) -> None:
        """Own a station by this connection; the gateway that owned it is told to let its socket go."""
        self._apply([(_CLAIM, charge_point_id, ref)])

    def release(self, charge_point_id: int, ref: str) -> None:
        """Give up a claim, unless a newer connection has it."""
        self._apply([(_RELEASE, charge_point_id, ref)])

    def reclaim(self, refs: dict[int, str]) -> None:
        """Put claims back that Redis has lost; those that another connection holds stay its own."""
        pairs = iter(refs.items())
        while part := list(islice(pairs, _CHANGES_PER_CALL)):
            self._reclaim(keys=[gateways.OWNERS], args=[text for key, ref in part for text in (str(key), ref)])

    def leave(self) -> None:
        """This gateway ends: nobody need wait for its beat to run out."""
        self._redis.zrem(gateways.GATEWAYS, self.gateway)
        self._redis.delete(gateways.stream(self.gateway))

    # ------------------------------------------------------------------ soon, many together

    def claim_soon(self, charge_point_id: int, ref: str) -> None:
        """`claim`, without waiting for it: `run` does it."""
        self._put(_CLAIM, charge_point_id, ref)

    def release_soon(self, charge_point_id: int, ref: str) -> None:
        """`release`, without waiting for it and after every claim queued before it: `run` does it."""
        self._put(_RELEASE, charge_point_id, ref)

    def run(self) -> None:
        """Do what is queued, in order, until killed; while Redis is away it waits.

        The first of them at once, so that a command can reach a station that has just come; then a moment's worth.
        """
        while True:
            self._queued.wait()
            self._queued.clear()
            try:
                self.flush()
                gevent.sleep(GATHER_S)
            except redis.exceptions.RedisError as error:
                log.warning("registry.redis_away", queued=len(self._queue), error=str(error))
                gevent.sleep(1.0)
                self._queued.set()

    def flush(self) -> None:
        """Do what is queued now. Raises redis' errors; then it stays queued."""
        while self._queue:
            changes = [self._queue.popleft() for _ in range(min(len(self._queue), _CHANGES_PER_CALL))]
            try:
                self._apply(changes)
            except redis.exceptions.RedisError:
                self._queue.extendleft(reversed(changes))  # again from there: twice does no harm
                raise

    def _put(self, kind: str, charge_point_id: int, ref: str) -> None:
        self._queue.append((kind, charge_point_id, ref))
        self._queued.set()

    def _apply(self, changes: Sequence[Change]) -> None:
        self._change(
            keys=[gateways.OWNERS, gateways.GATEWAYS],
            args=[self.gateway, time.time(), gateways.stream(""), *_flat(changes)],
        )


def _flat(changes: Sequence[Change]) -> Iterator[str]:
    for kind, charge_point_id, ref in changes:
        yield kind
        yield str(charge_point_id)
        yield ref
