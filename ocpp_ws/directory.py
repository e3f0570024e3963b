"""The charge points the door knows, kept in memory while nobody changes them, and a count of those it does not know.

After an outage the whole fleet comes at once, and some stations try a wrong password every second for ever: neither
may cost the database a query each. Whoever is not known is asked for together with all who came meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from gevent.lock import Semaphore
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.assets.models import NetworkProtocol, SecurityProfile
from app.charging.station import EvseRef, Station, count_unknown
from app.core.clock import utcnow
from ocpp_ws.handshake import UpgradeRequest

Transact = Callable[[Callable[[Session], Any]], Any]

#: a change is told by ``charge_point.changed``; this is for news that got lost on the way
FRESH_FOR_S = 300.0
UNKNOWN_FOR_S = 3.0
MAX_UNKNOWN = 10_000

_SELECT = """
SELECT {asked} AS asked, c.id, c.partner_id, c.identifier, c.protocol, c.managed_by_operator,
  c.status = 'disabled' AS disabled, c.plug_and_charge, c.password_hash,
  c.next_password_hash, c.security_profile,
  array_agg(e.id ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS evse_ids,
  array_agg(e.network_id ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS network_ids,
  array_agg(e.max_power_w ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS powers_w
FROM {source} LEFT JOIN evse e ON e.charge_point_id = c.id GROUP BY 1, c.id
"""
_ALL = text(_SELECT.format(asked="lower(c.identifier)", source="charge_point c"))
_THESE = text(
    _SELECT.format(
        asked="lower(c.identifier)",
        source="unnest(CAST(:asked AS bigint[])) AS k(id) JOIN charge_point c ON c.id = k.id",
    )
)
_SOME = text(
    _SELECT.format(
        asked="k.asked",
        source="unnest(CAST(:asked AS text[])) AS k(asked) JOIN charge_point c ON lower(c.identifier) = lower(k.asked)",
    )
)


def _station(row: Any) -> Station:
    evses = zip(row.evse_ids or (), row.network_ids or (), row.powers_w or (), strict=True)
    return Station(
        id=row.id,
        partner_id=row.partner_id,
        identifier=row.identifier,
        protocol=NetworkProtocol(row.protocol),
        managed=row.managed_by_operator,
        disabled=row.disabled,
        plug_and_charge=row.plug_and_charge,
        password_hash=row.password_hash,
        evses={network_id: EvseRef(evse_id, network_id, power_w) for evse_id, network_id, power_w in evses},
        next_password_hash=row.next_password_hash,
        security_profile=SecurityProfile(row.security_profile),
    )


@dataclass(eq=False)
class _Lookup:
    """Identifiers that are asked for in one query, and what it found."""

    keys: set[str] = field(default_factory=set)
    done: bool = False
    found: dict[str, Station] = field(default_factory=dict)
    error: Exception | None = None


class Directory:
    """Stations by identifier, regardless of case."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        #: by identifier in lower case: until when (monotonic), and the station
        self._known: dict[str, tuple[float, Station]] = {}
        self._keys: dict[int, set[str]] = {}
        self._unknown: dict[str, float] = {}
        self._next = _Lookup()
        self._asking = Semaphore(1)
        self._forgotten = 0

    def preload(self) -> None:
        """Load every station at once, for the storm after a restart."""
        self._load(lambda session: session.execute(_ALL).all())

    def reload(self, charge_point_ids: Collection[int]) -> dict[int, Station]:
        """Forget these stations and load them anew in one query; a deleted one is missing in the answer."""
        for charge_point_id in charge_point_ids:
            self.forget(charge_point_id)
        asked = sorted(charge_point_ids)
        return self._load(lambda session: session.execute(_THESE, {"asked": asked}).all())

    def _load(self, query: Callable[[Session], Any]) -> dict[int, Station]:
        before = self._forgotten
        found = [_station(row) for row in self._transact(query)]
        if before == self._forgotten:
            for station in found:
                self._keep(station.identifier.lower(), station)
        return {station.id: station for station in found}

    def find(self, identifier: str) -> Station | None:
        """The station of an identifier; None for an unknown one, which is remembered only for a moment."""
        key = identifier.lower()
        kept = self._known.get(key)
        now = time.monotonic()
        if kept is not None and kept[0] > now:
            return kept[1]
        if self._unknown.get(key, 0.0) > now:
            return None
        lookup = self._next
        lookup.keys.add(key)
        with self._asking:
            if not lookup.done:  # the first to get here asks for all who came while the last query ran
                self._next = _Lookup()
                self._ask(lookup)
        if lookup.error is not None:
            raise lookup.error
        return lookup.found.get(key)

    def forget(self, charge_point_id: int | None = None) -> None:
        """Ask the database again for one station, or for each. It may be one that was unknown so far."""
        self._forgotten += 1
        self._unknown.clear()
        if charge_point_id is None:
            self._known.clear()
            self._keys.clear()
        for key in self._keys.pop(charge_point_id or 0, ()):
            self._known.pop(key, None)

    def _ask(self, lookup: _Lookup) -> None:
        lookup.done = True
        before = self._forgotten
        asked = sorted(lookup.keys)
        try:
            rows = self._transact(lambda session: session.execute(_SOME, {"asked": asked}).all())
        except Exception as error:  # told to everybody who waits for this query
            lookup.error = error
            return
        lookup.found = {row.asked: _station(row) for row in rows}
        if before != self._forgotten:
            return  # changed while we asked: what we got may be the old
        for key, station in lookup.found.items():
            self._keep(key, station)
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.clear()
        until = time.monotonic() + UNKNOWN_FOR_S
        self._unknown.update((key, until) for key in asked if key not in lookup.found)

    def _keep(self, key: str, station: Station) -> None:
        self._known[key] = (time.monotonic() + FRESH_FOR_S, station)
        self._keys.setdefault(station.id, set()).add(key)


@dataclass
class _Attempt:
    reason: str
    protocols: str
    remote_address: str
    count: int = 0


class UnknownStations:
    """Refused attempts, counted in memory and written every two seconds."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._attempts: dict[str, _Attempt] = {}

    def count(self, request: UpgradeRequest, reason: str) -> None:
        """One more attempt of a station."""
        self._count(request.station_id, reason, ", ".join(request.offered), request.remote_addr)

    def count_handshake(self, address: str, reason: str) -> None:
        """One more attempt that ended in the TLS handshake, before it could say which station it was.

        It is listed by its address; no Charge Point ID has a slash, so it can be mistaken for none.
        """
        self._count(f"TLS/{address}", reason, "", address)

    def _count(self, identifier: str, reason: str, protocols: str, address: str) -> None:
        attempt = self._attempts.get(identifier)
        if attempt is None:
            if len(self._attempts) >= MAX_UNKNOWN:
                return
            attempt = self._attempts[identifier] = _Attempt(reason, "", "")
        attempt.reason = reason
        attempt.protocols = protocols
        attempt.remote_address = address[:64]
        attempt.count += 1

    def flush(self) -> None:
        """Write the counts. Raises what the database raises; the counts of that round are lost."""
        attempts, self._attempts = self._attempts, {}
        if not attempts:
            return

        def write(session: Session) -> None:
            for identifier, attempt in sorted(attempts.items()):
                count_unknown(
                    session,
                    identifier=identifier[:255].replace("\x00", ""),
                    reason=attempt.reason,
                    protocols=attempt.protocols.replace("\x00", ""),
                    remote_address=attempt.remote_address,
                    attempts=attempt.count,
                    now=utcnow(),
                )

        self._transact(write)
