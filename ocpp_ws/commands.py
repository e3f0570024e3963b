"""From Redis to a station and back: the gateway reads its stream, a greenlet per command calls the station.

The row in the database is the truth; the stream only wakes us. Outcome to the row, then to whoever waits on the
reply list (stations.md, "From a screen to a socket").
"""

from __future__ import annotations

from typing import Any

import gevent
import orjson
import redis
import structlog
from gevent.pool import Pool

from app.charging import commands, gateways
from app.charging.commands import Answer, Command
from app.charging.security import sealing
from app.core import redis as redis_clients
from app.core.clock import utcnow
from app.core.models import ActionStatus
from app.core.vault import VaultLocked
from ocpp_ws import outgoing, secrets
from ocpp_ws.codec import NOT_IMPLEMENTED, NOT_SUPPORTED, CallError, CallResult
from ocpp_ws.connection import CallTimedOut, InvalidPayload, NotConnected, StationCallError
from ocpp_ws.gateway import Gateway
from ocpp_ws.served import Asked

log = structlog.get_logger("ocpp_ws.commands")

BLOCK_MS = 2_000
REPLY_KEPT_S = 120
MAX_AT_ONCE = 1_000


class CommandReader:
    """Reads the gateway's stream until it is stopped."""

    def __init__(self, gateway: Gateway, redis_url: str) -> None:
        self._gateway = gateway
        self._redis = redis_clients.connect(redis_url, socket_timeout_s=BLOCK_MS / 1000 + 5)
        self._pool = Pool(MAX_AT_ONCE)
        self._reader: gevent.Greenlet | None = None
        gateway.on_late_answer = self._keep_late_answer

    def start(self) -> None:
        """Read in a greenlet."""
        self._reader = gevent.spawn(self._run)

    def stop(self) -> None:
        """Take no more; what is under way is given a moment."""
        if self._reader is not None:
            self._reader.kill()
        self._pool.join(timeout=2)

    def _run(self) -> None:
        stream, last_id = gateways.stream(self._gateway.name), "0"
        while True:
            try:
                answer: Any = self._redis.xread({stream: last_id}, count=200, block=BLOCK_MS)
                batches = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or ()]
                for entries in batches:
                    for entry_id, fields in _flat(entries):
                        last_id = entry_id
                        self._take(fields)
                if last_id != "0":
                    self._redis.xtrim(stream, minid=last_id, approximate=True)
            except redis.exceptions.RedisError as error:
                log.warning("commands.redis_away", error=str(error))
                gevent.sleep(1.0)
            except Exception:  # one odd entry must not end the reader
                log.exception("commands.entry_failed")

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if b"kick" in fields:
            self._gateway.kick(int(fields[b"charge_point_id"]), fields[b"kick"].decode())
        elif b"action_id" in fields:
            self._pool.spawn(self._execute, int(fields[b"action_id"]))

    def _execute(self, action_id: int) -> None:
        try:
            command = self._gateway.transact(lambda s: commands.claim(s, action_id=action_id, now=utcnow()))
            if command is None:
                return
            answer = self._ask(command)
            self._record(action_id, answer)
            self._reply(action_id, answer)
        except Exception:  # the row stays pending and expires with an outcome
            log.exception("commands.failed", action_id=action_id)

    def _record(self, action_id: int, answer: Answer) -> None:
        self._gateway.transact(
            lambda session: commands.record_outcome(session, action_id=action_id, answer=answer, now=utcnow())
        )

    def _keep_late_answer(self, asked: Asked, reply: CallResult | CallError) -> None:
        """An answer nobody waits for any more: it is kept with its action."""
        try:
            if isinstance(reply, CallError):
                answer = Answer(ActionStatus.REJECTED, error=f"{reply.code}: {reply.description}")
            else:
                answer = outgoing.read(asked.dialect.messages, asked.name, reply.payload)
            self._record(asked.action_id, answer)
        except Exception:  # nobody waits for this greenlet either
            log.exception("commands.late_answer_lost", action_id=asked.action_id)

    def _ask(self, command: Command) -> Answer:
        of = self._gateway.connections.get(command.charge_point_id)
        if of is None or of.connection is None:
            return Answer(ActionStatus.NOT_CONNECTED)
        timeout_s = max(0.5, (command.deadline_at - utcnow()).total_seconds() - 0.5)
        of.asking[gevent.getcurrent()] = Asked(command.action_id, command.name, of.dialect)
        try:
            request = sealing.opened(command.request, secret_key=self._gateway.app.config["SECRET_KEY"])
            action, payload = outgoing.build(of.dialect.messages, of.dialect.version, command.name, request)
            response = of.connection.call(action, payload, timeout_s)
        except NotConnected:
            facts = {"perhaps_received": True}
            return Answer(ActionStatus.NOT_CONNECTED, error="the connection ended before the answer", facts=facts)
        except CallTimedOut:
            return Answer(ActionStatus.TIMED_OUT)
        except StationCallError as refusal:
            facts = {"not_supported": True} if refusal.code in (NOT_SUPPORTED, NOT_IMPLEMENTED) else {}
            return Answer(ActionStatus.REJECTED, error=str(refusal), facts=facts)
        except (InvalidPayload, outgoing.NotInThisVersion, VaultLocked) as fault:
            return Answer(ActionStatus.FAILED, error=str(fault))
        finally:
            del of.asking[gevent.getcurrent()]
        if action in ("GetConfiguration", "GetVariables"):
            secrets.mask_values(response)
        return outgoing.read(of.dialect.messages, command.name, response)

    def _reply(self, action_id: int, answer: Answer) -> None:
        key = gateways.reply_list(action_id)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.rpush(
            key, orjson.dumps({"status": answer.status.value, "response": answer.response, "error": answer.error})
        )
        pipeline.expire(key, REPLY_KEPT_S)
        pipeline.execute()


def _flat(entries: Any) -> list[tuple[Any, dict[bytes, bytes]]]:
    """Entries of one stream; redis-py wraps them in one list more under RESP3."""
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple | list):
        return [tuple(entry) for group in entries for entry in group]
    return [tuple(entry) for entry in entries]
