"""The charge points the door knows, kept in memory for a moment, and a count of those it does not know.

After an outage the whole fleet comes at once, and some stations try a wrong password every second for ever: neither
may cost the database a query each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.assets.models import NetworkProtocol
from app.charging.station import EvseRef, Station, count_unknown
from app.core.clock import utcnow
from ocpp_ws.handshake import UpgradeRequest

Transact = Callable[[Callable[[Session], Any]], Any]

FRESH_FOR_S = 30.0
UNKNOWN_FOR_S = 3.0
MAX_UNKNOWN = 10_000

_SELECT = """
SELECT c.id, c.partner_id, c.identifier, c.protocol, c.managed_by_operator, c.status = 'disabled' AS disabled,
  c.plug_and_charge, c.password_hash,
  array_agg(e.id ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS evse_ids,
  array_agg(e.network_id ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS network_ids,
  array_agg(e.max_power_w ORDER BY e.network_id) FILTER (WHERE e.id IS NOT NULL) AS powers_w
FROM charge_point c LEFT JOIN evse e ON e.charge_point_id = c.id {where} GROUP BY c.id
"""
_ALL = text(_SELECT.format(where=""))
_ONE = text(_SELECT.format(where="WHERE lower(c.identifier) = lower(:identifier)"))


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
    )


class Directory:
    """Stations by identifier, regardless of case."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._known: dict[str, tuple[float, Station | None]] = {}

    def preload(self) -> None:
        """Load every station at once, for the storm after a restart."""
        until = time.monotonic() + FRESH_FOR_S
        for row in self._transact(lambda session: session.execute(_ALL).all()):
            self._known[row.identifier.lower()] = (until, _station(row))

    def find(self, identifier: str) -> Station | None:
        """The station of an identifier; None for an unknown one, which is remembered only for a moment."""
        key = identifier.lower()
        kept = self._known.get(key)
        now = time.monotonic()
        if kept is not None and kept[0] > now:
            return kept[1]
        row = self._transact(lambda session: session.execute(_ONE, {"identifier": identifier}).one_or_none())
        station = _station(row) if row is not None else None
        if len(self._known) > MAX_UNKNOWN and station is None:
            self._known = {k: v for k, v in self._known.items() if v[1] is not None}
        self._known[key] = (now + (FRESH_FOR_S if station else UNKNOWN_FOR_S), station)
        return station

    def forget(self) -> None:
        """Ask the database again for each."""
        self._known.clear()


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
        attempt = self._attempts.get(request.station_id)
        if attempt is None:
            if len(self._attempts) >= MAX_UNKNOWN:
                return
            attempt = self._attempts[request.station_id] = _Attempt(reason, "", "")
        attempt.reason = reason
        attempt.protocols = ", ".join(request.offered)
        attempt.remote_address = request.remote_addr[:64]
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
