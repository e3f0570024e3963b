"""The pins of the locations map: where each location is, how it stands, what charges there. Manual, "Locations map"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ChargingZone,
    ConnectionStatus,
    Connector,
    ConnectorType,
    Evse,
    EvseState,
    EvseStatus,
    EvseType,
    Location,
    ReportedStatus,
    SystemStatus,
)
from app.charging.status import GOES_ON
from app.core.i18n import DEFAULT_LANGUAGE


class SiteStatus(IntEnum):
    """How a location stands: the worst of its EVSEs, best first. What is disabled counts only when all is."""

    NOT_IN_SERVICE = 0
    AVAILABLE = 1
    IN_USE = 2
    UNAVAILABLE = 3
    DISTURBED = 4
    FAULTY = 5

    @property
    def label(self) -> str:
        """As written in the map's legend."""
        return _SITE_LABELS[self]


_SITE_LABELS = {
    SiteStatus.NOT_IN_SERVICE: "Not in service",
    SiteStatus.AVAILABLE: "Available",
    SiteStatus.IN_USE: "In use",
    SiteStatus.UNAVAILABLE: "Unavailable",
    SiteStatus.DISTURBED: "Temporarily unavailable or out of order",
    SiteStatus.FAULTY: "Fault or connection loss",
}

_WORKS = (ReportedStatus.AVAILABLE,)
_IN_USE = (
    ReportedStatus.PREPARING,
    ReportedStatus.CHARGING,
    ReportedStatus.SUSPENDED_EV,
    ReportedStatus.SUSPENDED_EVSE,
    ReportedStatus.FINISHING,
    ReportedStatus.OCCUPIED,
    ReportedStatus.RESERVED,
)


def site_status_of_evse() -> ColumnElement[int]:
    """What an EVSE adds to its location's pin: intent first, then connection, then hardware.

    The ladder of ``app.charging.status.evse_shown_status`` in SQL, so that ten thousand pins are one query.
    """
    return case(
        (
            or_(ChargePoint.status == SystemStatus.DISABLED, Evse.status == EvseStatus.DISABLED),
            SiteStatus.NOT_IN_SERVICE.value,
        ),
        (
            or_(ChargePoint.status == SystemStatus.OUT_OF_ORDER, Evse.status == EvseStatus.OUT_OF_ORDER),
            SiteStatus.DISTURBED.value,
        ),
        (ChargePoint.status == SystemStatus.DEMO, SiteStatus.NOT_IN_SERVICE.value),
        (ChargePointState.connection == ConnectionStatus.NEVER_CONNECTED, SiteStatus.NOT_IN_SERVICE.value),
        (ChargePointState.connection == ConnectionStatus.TEMPORARILY_UNAVAILABLE, SiteStatus.DISTURBED.value),
        (ChargePointState.connection == ConnectionStatus.LONG_TERM_UNAVAILABLE, SiteStatus.FAULTY.value),
        (
            or_(EvseState.status == ReportedStatus.FAULTED, ChargePointState.status == ReportedStatus.FAULTED),
            SiteStatus.FAULTY.value,
        ),
        (
            and_(ChargePointState.status == ReportedStatus.UNAVAILABLE, EvseState.status.not_in(GOES_ON)),
            SiteStatus.UNAVAILABLE.value,
        ),
        (EvseState.status.in_(_IN_USE), SiteStatus.IN_USE.value),
        (EvseState.status.in_(_WORKS), SiteStatus.AVAILABLE.value),
        else_=SiteStatus.UNAVAILABLE.value,
    )


@dataclass(frozen=True, slots=True)
class Pin:
    """A location on the map. Coordinates in degrees."""

    location_id: int
    latitude: float
    longitude: float
    name: str
    status: SiteStatus


def _of_evses(*columns: Any) -> Any:
    """A statement over all EVSEs with everything that decides their status."""
    return (
        select(*columns)
        .select_from(ChargingZone)
        .join(ChargePoint, ChargePoint.zone_id == ChargingZone.id)
        .join(ChargePointState, ChargePointState.charge_point_id == ChargePoint.id)
        .join(Evse, Evse.charge_point_id == ChargePoint.id)
        .join(EvseState, EvseState.evse_id == Evse.id)
    )


def _worst_by_location() -> Any:
    worst = func.max(site_status_of_evse()).label("worst")
    return _of_evses(ChargingZone.location_id, worst).group_by(ChargingZone.location_id).subquery()


def _name(language: str) -> ColumnElement[str]:
    """``app.core.i18n.localized`` in SQL: ten thousand names need not be parsed to take one text of each."""
    texts = func.jsonb_each_text(Location.name).table_valued("key", "value")
    any_text = select(texts.c.value).where(texts.c.value != "").limit(1).scalar_subquery()
    wanted = (func.nullif(Location.name[code].astext, "") for code in dict.fromkeys((language, DEFAULT_LANGUAGE)))
    return func.coalesce(*wanted, any_text, "")


def pins(session: Session, *, language: str) -> list[Pin]:
    """Every location, by id, with the worst status there (one without EVSEs is not in service). One query."""
    worst = _worst_by_location()
    rows = session.execute(
        select(
            Location.id,
            Location.latitude,
            Location.longitude,
            _name(language),
            func.coalesce(worst.c.worst, SiteStatus.NOT_IN_SERVICE.value),
        )
        .outerjoin(worst, worst.c.location_id == Location.id)
        .order_by(Location.id)
    )
    return [
        Pin(number, float(latitude), float(longitude), name, SiteStatus(status))
        for number, latitude, longitude, name, status in rows
    ]


def pin_statuses(session: Session) -> list[tuple[int, int]]:
    """Location ids with their status's number, in the order of ``pins``: what changes while a map is open."""
    worst = _worst_by_location()
    rows = session.execute(
        select(Location.id, func.coalesce(worst.c.worst, SiteStatus.NOT_IN_SERVICE.value))
        .outerjoin(worst, worst.c.location_id == Location.id)
        .order_by(Location.id)
    )
    return [(number, status) for number, status in rows]


@dataclass(frozen=True, slots=True)
class EvseGroup:
    """EVSEs of one kind at a location; power in W."""

    type: EvseType
    max_power_w: int | None
    connectors: tuple[ConnectorType, ...]
    number: int
    available: int
    in_use: int


@dataclass(frozen=True, slots=True)
class Site:
    """What the tooltip of a pin tells."""

    location: Location
    status: SiteStatus
    groups: list[EvseGroup]


def site(session: Session, *, location_id: int) -> Site | None:
    """A location with its EVSEs by kind, the strongest first; None when there is no such location."""
    location = session.get(Location, location_id)
    if location is None:
        return None
    plugs = (
        select(func.array_agg(Connector.type.distinct()))
        .where(Connector.evse_id == Evse.id)
        .correlate(Evse)
        .scalar_subquery()
    )
    each = (
        _of_evses(Evse.type, Evse.max_power_w, plugs.label("plugs"), site_status_of_evse().label("status"))
        .where(ChargingZone.location_id == location_id)
        .subquery()
    )
    rows = session.execute(
        select(
            each.c.type,
            each.c.max_power_w,
            each.c.plugs,
            func.count(),
            func.count().filter(each.c.status == SiteStatus.AVAILABLE.value),
            func.count().filter(each.c.status == SiteStatus.IN_USE.value),
            func.max(each.c.status),
        )
        .group_by(each.c.type, each.c.max_power_w, each.c.plugs)
        .order_by(each.c.max_power_w.desc().nulls_last(), each.c.type)
    ).all()
    worst = max((row[6] for row in rows), default=SiteStatus.NOT_IN_SERVICE.value)
    groups = [
        EvseGroup(kind, power_w, tuple(ConnectorType(plug) for plug in plugs or ()), number, available, in_use)
        for kind, power_w, plugs, number, available, in_use, _ in rows
    ]
    return Site(location, SiteStatus(worst), groups)
