"""Read models of sites and stations: what lists and cards count beside the rows themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Location, Tag, evse_tag


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


def locations_by_image(session: Session, image_ids: Iterable[int]) -> dict[int, int]:
    """How many locations show each of these location images; unused ones are left out."""
    return _counted(session, Location.image_id, image_ids)


def charge_points_by_notice(session: Session, notice_ids: Iterable[int]) -> dict[int, int]:
    """How many charge points show each of these notices; unused ones are left out."""
    return _counted(session, ChargePoint.notice_id, notice_ids)


def evses_by_tag(session: Session, tag_ids: Iterable[int]) -> dict[int, int]:
    """How many EVSEs carry each of these tags; unused ones are left out."""
    return _counted(session, evse_tag.c.tag_id, tag_ids)


def _counted(session: Session, column: Any, numbers: Iterable[int]) -> dict[int, int]:
    rows = session.execute(select(column, func.count()).where(column.in_(list(numbers))).group_by(column))
    return {row[0]: row[1] for row in rows}


def tag_names(session: Session, *, limit: int = 500) -> list[str]:
    """The tags there are, by name."""
    return list(session.scalars(select(Tag.name).order_by(Tag.name).limit(limit)))
