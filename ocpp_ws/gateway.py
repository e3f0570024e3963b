"""One gateway process: admits stations, serves their conversations, and tells the rest of the house.

No foreign I/O happens here, no database session is held across a socket wait, and what a station is told is on disk
(stations.md, "House").
"""

from __future__ import annotations

import os
import secrets
import socket as stdlib_socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import gevent
import redis
import structlog
from flask import Flask
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.charging import connectivity, stop_notice, stop_watch
from app.charging import station as stations
from app.charging.connectivity import Connected, Seen
from app.charging.security import certificates
from app.charging.security import passwords as station_security
from app.core import events, settings
from app.core import redis as redis_clients
from app.core.clock import utcnow
from app.core.db import connect_raw, db
from app.core.group_commit import GroupCommit, WriteFailed
from ocpp_ws import codec, door, journal, v16, v201
from ocpp_ws import secrets as secrets_of
from ocpp_ws.changes import Changes
from ocpp_ws.codec import CallError, CallResult
from ocpp_ws.connection import StationConnection, StationHooks
from ocpp_ws.dialect import Dialect
from ocpp_ws.directory import Directory, UnknownStations
from ocpp_ws.framing import INTERNAL_ERROR, NORMAL
from ocpp_ws.handshake import Admission, Refusal, UpgradeRequest, choose_subprotocol
from ocpp_ws.pinger import Pinger
from ocpp_ws.quirks import QuirkMemory
from ocpp_ws.registry import Registry
from ocpp_ws.served import Asked, Served, served
from ocpp_ws.tls import Trust
from ocpp_ws.transacting import transact
from ocpp_ws.websocket import StationSocket

log = structlog.get_logger("ocpp_ws.gateway")
T = TypeVar("T")

CONNECTED = Gauge("sync_stations_connected", "Stations connected to this process")
MESSAGES = Counter("sync_station_messages_total", "Frames exchanged with stations", ["direction"])
_FRAMES = {direction: MESSAGES.labels(direction) for direction in ("in", "out")}
REFUSED = Counter("sync_station_refusals_total", "Stations refused at the door", ["reason"])

SERVICE_RESTART = 1012
SEEN_EVERY_S = 10.0
QUIRKS_EVERY_S = 5.0
BEAT_EVERY_S = 5.0
#: best first: a station that speaks several gets the first of these
DIALECTS = {dialect.subprotocol: dialect for dialect in (v201.DIALECT, v16.DIALECT)}
PROTOCOLS = tuple(DIALECTS)
#: what a station speaks that names no subprotocol at all
UNNAMED = "ocpp1.6"
_UNANSWERED_KEPT = 8


@dataclass(frozen=True)
class GatewaySettings:
    """The settings that handlers need at once; read again every few seconds."""

    heartbeat_interval_s: int
    ping_interval_s: int


class Gateway:
    """The state of this process: who is connected, and the writers they wait for."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        url = app.config["DATABASE_URL"]
        self.name = f"{stdlib_socket.gethostname().replace(':', '-')}-{os.getpid()}-{secrets.token_hex(3)}"
        self.redis = redis_clients.connect(app.config["REDIS_URL"])
        self.registry = Registry(self.redis, self.name)
        self.writer = GroupCommit("stations", lambda: connect_raw(url))
        self.journal = GroupCommit("journal", lambda: connect_raw(url), max_pending=200_000, linger_s=0.2)
        with app.app_context():
            self.engine = db.engine
        self.directory = Directory(self.transact)
        self.unknown = UnknownStations(self.transact)
        self.quirks = QuirkMemory(self.transact)
        self.trust = Trust(app.config["SYNC"].client_ca)
        self.settings = self.transact(self._read_settings)
        self.pinger = Pinger(interval_s=self.settings.ping_interval_s)
        self.connections: dict[int, Served] = {}
        self._epoch = 0
        self._greenlets: list[gevent.Greenlet] = []
        self._ends_to_record: list[Connected] = []
        #: told the action whose answer came after its time-out, and the answer
        self.on_late_answer: Callable[[Asked, CallResult | CallError], None] | None = None
        self._changes = Changes(
            self.redis,
            self.directory,
            self.connections,
            take_up=self._take_up,
            load_settings=self._load_settings,
        )
        self._hooks = {name: self._hooks_of(dialect) for name, dialect in DIALECTS.items()}

    def _hooks_of(self, dialect: Dialect) -> StationHooks:
        return StationHooks(
            version=dialect.version,
            handlers=dialect.handlers,
            log_frame=self._log_frame,
            on_late_reply=self._late_reply,
            on_deviation=self._deviation,
            clock=utcnow,
        )

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Start writers and the greenlets that keep this gateway's promises."""
        for dialect in DIALECTS.values():
            codec.compile_schemas(dialect.version)
        events.publish_in_background()
        stop_notice.serve(self._look_at_stop_rules)
        self.writer.start()
        self.journal.start()
        self.registry.beat()
        self.directory.preload()
        self.pinger.start()
        loops = (self._beat, self._flush_seen, self._flush_unknown, self._refresh_settings, self._changes.follow)
        for loop in (*loops, self._flush_quirks, self.registry.run):
            self._greenlets.append(gevent.spawn(loop))

    def stop(self) -> None:
        """Say goodbye to everybody, note that they are gone, and write what is queued."""
        gevent.killall(self._greenlets)
        self.pinger.kick_all(SERVICE_RESTART, "service restart")
        deadline = time.monotonic() + 5
        while self.connections and time.monotonic() < deadline:
            gevent.sleep(0.05)
        self.pinger.stop()
        try:
            self.registry.flush()
            self.registry.leave()
        except redis.exceptions.RedisError:
            log.warning("gateway.leave_failed")
        try:
            self.quirks.flush()
        except DBAPIError:
            log.warning("gateway.quirks_lost")
        self.writer.stop()
        self.journal.stop()

    # ------------------------------------------------------------------ the door

    def admit(self, request: UpgradeRequest) -> Admission | Refusal:
        """Whether a station may come in: known, managed, with what its security profile demands."""
        station = self.directory.find(request.station_id)
        if station is None:
            return self._refuse(request, 404, "unknown", "No charge point has this Charge Point ID")
        verdict = self._judge(station, request)
        if isinstance(verdict, door.Stopped):
            return self._refuse(request, verdict.status, verdict.reason, verdict.text)
        if self._is_new_password(station, verdict) and not self._confirm_password(station, verdict):
            return self.admit(request)  # settled meanwhile: what we knew of the station is the past
        if request.offered and request.protocol is None:
            self.unknown.count(request, "no common protocol")
        # of several that it speaks the operator's choice for this charge point counts
        chosen = choose_subprotocol(request.offered, (station.protocol.value,)) or request.protocol
        protocol = chosen or (None if request.offered else UNNAMED)
        return Admission(station=station, protocol=protocol, terms=verdict)

    def _judge(self, station: stations.Station, request: UpgradeRequest) -> door.Terms | door.Stopped:
        secret_key = self.app.config["SECRET_KEY"]
        return door.judge(station, request, secret_key=secret_key, trusted=self.trust.certificates, now=utcnow())

    @staticmethod
    def _is_new_password(station: stations.Station, terms: door.Terms) -> bool:
        return terms.password_hash is not None and terms.password_hash == station.next_password_hash

    def _confirm_password(self, station: stations.Station, terms: door.Terms) -> bool:
        """A station comes with the new password it was sent: the old one is forgotten."""
        confirm, password_hash = station_security.confirm_new_password, str(terms.password_hash)
        confirmed = self.transact(
            lambda session: confirm(session, charge_point_id=station.id, password_hash=password_hash, now=utcnow())
        )
        self.directory.forget(station.id)
        return confirmed

    def trust_ourselves(self) -> None:
        """Have an authority of our own before the first TLS handshake, which names it to stations."""
        secret_key = self.app.config["SECRET_KEY"]
        self.transact(lambda session: certificates.ensure_authority(session, secret_key=secret_key, now=utcnow()))
        self.settings = self.transact(self._read_settings)

    def refuse_handshake(self, address: str, fault: str) -> None:
        """A certificate that leads to nobody we trust: the TLS ended before the station could say which it is."""
        REFUSED.labels("client certificate").inc()
        self.unknown.count_handshake(address, f"client certificate: {fault}")

    def _refuse(self, request: UpgradeRequest, status: int, reason: str, text: str) -> Refusal:
        REFUSED.labels(reason).inc()
        self.unknown.count(request, reason)
        return Refusal(status, text)

    def on_connect(self, socket: StationSocket, admission: Admission) -> None:
        """Serve one station until its socket ends."""
        station, terms = admission.station, admission.terms
        assert isinstance(station, stations.Station) and isinstance(terms, door.Terms)
        self._epoch += 1
        dialect = DIALECTS[socket.protocol or UNNAMED]
        of = Served(gateway=self, station=station, ref=f"{self.name}:{self._epoch}", terms=terms, dialect=dialect)
        connection = StationConnection(socket, self._hooks[dialect.subprotocol], state=of)
        of.connection = connection
        former = self.connections.get(station.id)
        self.connections[station.id] = of
        CONNECTED.set(len(self.connections))
        self.pinger.add(socket)
        self.registry.claim_soon(station.id, of.ref)
        # Written while the station already talks: its first answer waits for the same commit, not for one more.
        arrival = gevent.spawn(self._arrived, of, socket)
        try:
            # Only now: telling the old socket goodbye may wait, and whoever comes meanwhile is written after us.
            if former is not None and former.connection is not None:
                former.connection.kick(NORMAL, "replaced by a newer connection")
            connection.run()
        finally:
            self.pinger.discard(socket)
            arrival.join()
            self._gone(of)

    def _arrived(self, of: Served, socket: StationSocket) -> None:
        try:
            connectivity.record_connected(
                self.writer,
                Connected(
                    charge_point_id=of.station.id,
                    partner_id=of.station.partner_id,
                    ref=of.ref,
                    at=utcnow(),
                    protocol=socket.protocol or "",
                    remote_address=socket.remote_addr,
                ),
            )
        except WriteFailed as error:  # it must not charge unseen: it tries again
            log.warning("gateway.connect_not_recorded", station=of.station.identifier, error=str(error))
            socket.kick(INTERNAL_ERROR, "try again later")

    def _gone(self, of: Served) -> None:
        if self.connections.get(of.station.id) is of:
            del self.connections[of.station.id]
        CONNECTED.set(len(self.connections))
        self.registry.release_soon(of.station.id, of.ref)
        end = Connected(of.station.id, of.station.partner_id, of.ref, utcnow())
        try:
            connectivity.record_disconnected(self.writer, end)
        except WriteFailed as error:
            log.warning("gateway.disconnect_not_recorded", station=of.station.identifier, error=str(error))
            self._ends_to_record.append(end)

    def kick(self, charge_point_id: int, ref: str | None = None) -> None:
        """Let a station's socket go, if it is (still) the one of ``ref``."""
        of = self.connections.get(charge_point_id)
        if of is not None and of.connection is not None and ref in (None, of.ref):
            of.connection.kick(NORMAL, "replaced by a newer connection")

    # ------------------------------------------------------------------ what handlers use

    def _look_at_stop_rules(self, session_ids: list[int]) -> None:
        self.transact(lambda session: stop_watch.look_at(session, session_ids=session_ids, now=utcnow()))

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction; again when a deadlock or a lost connection undid it."""
        return transact(self.engine, work)

    # ------------------------------------------------------------------ hooks

    def _log_frame(
        self,
        connection: StationConnection,
        direction: str,
        message_id: str | None,
        action: str | None,
        kind: str,
        text: str,
    ) -> None:
        of = served(connection)
        station = of.station
        _FRAMES[direction].inc()
        if kind == "call" and direction == "out" and message_id is not None:
            self._note_asked(of, message_id)
        now = connection.arrived_at if direction == "in" else utcnow()
        self.journal.offer(
            journal.FRAMES,
            journal.entry(
                now,
                station.partner_id,
                station.id,
                direction,
                message_id,
                action,
                kind,
                secrets_of.masked(action, text),
            ),
        )

    @staticmethod
    def _note_asked(of: Served, message_id: str) -> None:
        """Remember which action a call belongs to: its answer may come when nobody waits for it any more."""
        asked = of.asking.get(gevent.getcurrent())
        if asked is not None:
            of.unanswered[message_id] = asked
            if len(of.unanswered) > _UNANSWERED_KEPT:
                del of.unanswered[next(iter(of.unanswered))]

    def _late_reply(
        self, connection: StationConnection, message_id: str, action: str | None, reply: CallResult | CallError
    ) -> None:
        log.info("station.late_reply", station=connection.station_id, message_id=message_id, action=action)
        asked = served(connection).unanswered.pop(message_id, None)
        if asked is not None and self.on_late_answer is not None:
            gevent.spawn(self.on_late_answer, asked, reply)

    def _deviation(self, connection: StationConnection, action: str, deviations: list[codec.Deviation]) -> None:
        of = served(connection)
        self.quirks.note(of.heard, of.station.id, action, deviations)

    # ------------------------------------------------------------------ loops

    def _forever(self, every_s: float, work: Callable[[], None], name: str) -> None:
        while True:
            gevent.sleep(every_s)
            try:
                work()
            except Exception:  # the loop must outlive a database or Redis that is away
                log.exception("gateway.loop_failed", loop=name)

    def _beat(self) -> None:
        def beat() -> None:
            self.registry.beat()
            self.registry.reclaim({key: of.ref for key, of in self.connections.items()})

        self._forever(BEAT_EVERY_S, beat, "beat")

    def _flush_seen(self) -> None:
        def flush() -> None:
            while self._ends_to_record:
                connectivity.record_disconnected(self.writer, self._ends_to_record[0])
                del self._ends_to_record[0]
            now, monotonic = utcnow(), time.monotonic()
            seen = []
            for of in list(self.connections.values()):
                if of.connection is None:
                    continue
                last = of.connection.socket.last_frame_at
                if last > of.seen_flushed_at:
                    of.seen_flushed_at = last
                    at = now.timestamp() - (monotonic - last)
                    seen.append(Seen(of.station.id, of.ref, now.fromtimestamp(at, tz=now.tzinfo)))
            connectivity.record_seen(self.writer, seen)

        self._forever(SEEN_EVERY_S, flush, "seen")

    def _flush_unknown(self) -> None:
        self._forever(2.0, self.unknown.flush, "unknown")

    def _flush_quirks(self) -> None:
        self._forever(QUIRKS_EVERY_S, self.quirks.flush, "quirks")

    def _refresh_settings(self) -> None:
        self._forever(5.0, self._load_settings, "settings")

    def _load_settings(self) -> None:
        self.settings = self.transact(self._read_settings)
        self.pinger.interval_s = self.settings.ping_interval_s

    def _read_settings(self, session: Session) -> GatewaySettings:
        self.trust.update(certificates.trusted(session, now=utcnow()))
        return GatewaySettings(
            heartbeat_interval_s=settings.get_int(session, "charge_point.heartbeat_interval_seconds"),
            ping_interval_s=settings.get_int(session, "connection.ping_interval_seconds"),
        )

    def _take_up(self, of: Served, fresh: stations.Station | None) -> None:
        if fresh == of.station:
            return
        if fresh is None or not door.still_holds(fresh, of.terms):
            if of.connection is not None:
                of.connection.kick(NORMAL, "the charge point was changed")
            return
        of.station = fresh
        of.meters.clear()
