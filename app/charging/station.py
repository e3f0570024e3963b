"""What the gateway must know of a charge point to serve it: plain values, loaded once per connection.

Nothing of the hot path asks the database for them again; `charge_point.changed` makes the gateway reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from app.assets.models import ChargePoint, NetworkProtocol, SecurityProfile, SystemStatus
from app.charging.models import UnknownStation

CHANGED = "charge_point.changed"


@dataclass(frozen=True, slots=True)
class EvseRef:
    """An EVSE as the gateway knows it."""

    id: int
    network_id: int
    max_power_w: int | None


@dataclass(frozen=True, slots=True)
class Station:
    """A charge point as the gateway knows it. ``evses`` is keyed by network id."""

    id: int
    partner_id: int
    identifier: str
    protocol: NetworkProtocol
    managed: bool
    disabled: bool
    plug_and_charge: bool
    password_hash: str | None
    evses: Mapping[int, EvseRef]
    #: a new password on its way to the station; it is let in with either
    next_password_hash: str | None = None
    security_profile: SecurityProfile = SecurityProfile.ANY

    def evse(self, network_id: int | None) -> EvseRef | None:
        """The EVSE of a network id; None for 0, which is the station itself, and for unknown numbers."""
        return self.evses.get(network_id) if network_id else None

    def evse_of(self, evse_id: int) -> EvseRef | None:
        """The EVSE of an id of ours."""
        return next((each for each in self.evses.values() if each.id == evse_id), None)


def load_station(session: Session, identifier: str) -> Station | None:
    """The charge point of an identifier, compared without regard to case; None when there is none."""
    row = session.scalars(
        select(ChargePoint)
        .where(func.lower(ChargePoint.identifier) == identifier.lower())
        .options(selectinload(ChargePoint.evses))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    return Station(
        id=row.id,
        partner_id=row.partner_id,
        identifier=row.identifier,
        protocol=row.protocol,
        managed=row.managed_by_operator,
        disabled=row.status is SystemStatus.DISABLED,
        plug_and_charge=row.plug_and_charge,
        password_hash=row.password_hash,
        evses={e.network_id: EvseRef(e.id, e.network_id, e.max_power_w) for e in row.evses},
        next_password_hash=row.next_password_hash,
        security_profile=row.security_profile,
    )


def count_unknown(
    session: Session,
    *,
    identifier: str,
    reason: str,
    protocols: str,
    remote_address: str | None,
    attempts: int,
    now: datetime,
) -> None:
    """Add refused attempts of a station to its row. Counted in memory first: a 401 every second costs nothing."""
    statement = insert(UnknownStation).values(
        identifier=identifier,
        reason=reason[:60],
        protocols=protocols[:255],
        remote_address=remote_address,
        attempts=attempts,
        first_seen_at=now,
        last_seen_at=now,
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[UnknownStation.identifier],
            set_={
                "attempts": UnknownStation.attempts + attempts,
                "reason": statement.excluded.reason,
                "protocols": statement.excluded.protocols,
                "remote_address": statement.excluded.remote_address,
                "last_seen_at": now,
            },
        )
    )


def forget_unknown(session: Session, *, station: UnknownStation) -> None:
    """Take a refused station off the list until it tries again. Flushes."""
    session.delete(station)
    session.flush()
