"""Read models of sites and stations: what lists and cards count beside the rows themselves."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone


def charge_points_by_location(session: Session, location_ids: Iterable[int]) -> dict[int, int]:
    """How many charge points stand at each of these locations; locations without any are left out."""
    rows = session.execute(
        select(ChargingZone.location_id, func.count(ChargePoint.id))
        .join(ChargePoint, ChargePoint.zone_id == ChargingZone.id)
        .where(ChargingZone.location_id.in_(list(location_ids)))
        .group_by(ChargingZone.location_id)
    )
    return {row[0]: row[1] for row in rows}


def charge_points_by_zone(session: Session, zone_ids: Iterable[int]) -> dict[int, int]:
    """How many charge points stand in each of these zones; zones without any are left out."""
    rows = session.execute(
        select(ChargePoint.zone_id, func.count()).where(ChargePoint.zone_id.in_(list(zone_ids))).group_by("zone_id")
    )
    return {row[0]: row[1] for row in rows}


def charge_points_of_location(session: Session, location_id: int) -> list[int]:
    """The ids of the charge points at a location."""
    return list(
        session.scalars(
            select(ChargePoint.id)
            .join(ChargingZone)
            .where(ChargingZone.location_id == location_id)
            .order_by(ChargePoint.id)
        )
    )


def known_identifiers(session: Session, identifiers: Iterable[str]) -> dict[str, int]:
    """Which of these Charge Point IDs, in lower case, are charge points already, and which."""
    wanted = [identifier.lower() for identifier in identifiers]
    rows = session.execute(
        select(func.lower(ChargePoint.identifier), ChargePoint.id).where(func.lower(ChargePoint.identifier).in_(wanted))
    )
    return {row[0]: row[1] for row in rows}
