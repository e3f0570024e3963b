"""What anybody may read of an EVSE behind the QR code on its sticker. Nothing here is about a person.

What is not there for drivers (Disabled, or Private without notice) is not there at all. Manual, "Adding a Charge
Point" (Access Type, Status, Managed By Operator, ID (QR Code)), "Charge Point details" (Connection), "Charging Zones".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargingZone,
    Connector,
    Evse,
    EvseStatus,
    Location,
    LocationImage,
    LocationPhoto,
    ReportedStatus,
    SystemStatus,
    ZoneStatus,
)
from app.charging import queries
from app.charging.reservations import reserved
from app.charging.status import HardwareStatus, ShownStatus, hardware_status, stricter_system_status
from app.tariffs.models import Tariff, TariffGroupTariff

_CODE = re.compile(r"[A-Za-z0-9*_-]{1,40}")


class PublicStatus(StrEnum):
    """An EVSE as its driver needs to know it."""

    AVAILABLE = "available"
    CHARGING = "charging"
    IN_USE = "in_use"
    RESERVED = "reserved"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    UNAVAILABLE = "unavailable"
    OUT_OF_ORDER = "out_of_order"
    #: not connected to us: a point of interest, of which nobody knows whether it is free
    NOT_MANAGED = "not_managed"


_OF_SHOWN = {
    ShownStatus.AVAILABLE: PublicStatus.AVAILABLE,
    ShownStatus.CHARGING: PublicStatus.CHARGING,
    ShownStatus.OCCUPIED: PublicStatus.IN_USE,
    ShownStatus.RESERVED: PublicStatus.RESERVED,
    ShownStatus.UNAVAILABLE: PublicStatus.UNAVAILABLE,
    ShownStatus.UNKNOWN: PublicStatus.UNAVAILABLE,
    ShownStatus.FAULTED: PublicStatus.OUT_OF_ORDER,
    ShownStatus.OUT_OF_ORDER: PublicStatus.OUT_OF_ORDER,
    ShownStatus.TEMPORARILY_UNAVAILABLE: PublicStatus.TEMPORARILY_UNAVAILABLE,
    ShownStatus.LONG_TERM_UNAVAILABLE: PublicStatus.OUT_OF_ORDER,
    ShownStatus.NEVER_CONNECTED: PublicStatus.OUT_OF_ORDER,
}


@dataclass(frozen=True)
class PublicEvse:
    """An EVSE that drivers may see, with its site loaded; ``tariff`` is the base tariff, None without a price."""

    evse: Evse
    status: PublicStatus
    connectors: tuple[Connector, ...]
    tariff: Tariff | None
    notice: dict[str, str] | None

    @property
    def charge_point(self) -> ChargePoint:
        """The device."""
        return self.evse.charge_point

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.evse.charge_point.zone.location

    @property
    def only_invited(self) -> bool:
        """Whether only users invited by its owner may charge here."""
        return self.charge_point.access_type is AccessType.PRIVATE


def public_evse(session: Session, code: str, *, now: datetime) -> PublicEvse | None:
    """The EVSE of that ID, whatever its case; None when there is none for drivers."""
    if not _CODE.fullmatch(code):
        return None
    evse = session.scalars(
        select(Evse)
        .where(func.upper(Evse.code) == code.upper())
        .options(
            joinedload(Evse.charge_point).options(
                joinedload(ChargePoint.state),
                joinedload(ChargePoint.notice),
                joinedload(ChargePoint.zone)
                .joinedload(ChargingZone.location)
                .options(
                    joinedload(Location.image).joinedload(LocationImage.file),
                    selectinload(Location.photos).joinedload(LocationPhoto.file),
                ),
            ),
            joinedload(Evse.state),
            selectinload(Evse.connectors),
        )
    ).one_or_none()
    if evse is None or not is_visible(evse.charge_point, evse):
        return None
    station = evse.charge_point
    kept = evse.id in reserved.open_by_evse(session, [evse.id], now=now)
    return PublicEvse(
        evse=evse,
        status=public_status(station, evse, kept=kept),
        connectors=tuple(each for each in evse.connectors if each.status is not EvseStatus.DISABLED),
        tariff=_base_tariff(session, evse.tariff_group_id) if station.managed_by_operator else None,
        notice=station.notice.message if station.notice is not None else None,
    )


def is_visible(station: ChargePoint, evse: Evse) -> bool:
    """Whether drivers may see it: nothing of it is Disabled, and a Private one is shown with notice."""
    intent = stricter_system_status(station.status.value, evse.status.value)
    if intent is SystemStatus.DISABLED or station.zone.status is ZoneStatus.DISABLED:
        return False
    return station.access_type is AccessType.PUBLIC or station.show_to_public_with_notice


def public_status(station: ChargePoint, evse: Evse, *, kept: bool = False) -> PublicStatus:
    """What drivers are told; ``kept``: a reservation is open, whether or not the station reports it.

    Long-term unavailable is Out of order; so is what has never connected, and an EVSE without an Active connector.
    """
    intent = stricter_system_status(station.status.value, evse.status.value)
    if intent is SystemStatus.OUT_OF_ORDER:
        return PublicStatus.OUT_OF_ORDER
    if intent is SystemStatus.DEMO:
        return _of_demo(evse.state.status)
    if not station.managed_by_operator:
        return PublicStatus.NOT_MANAGED
    if evse.connectors and not any(each.status is EvseStatus.ACTIVE for each in evse.connectors):
        return PublicStatus.OUT_OF_ORDER
    found = _OF_SHOWN[queries.shown_evse(station, evse).status]
    return PublicStatus.RESERVED if kept and found is PublicStatus.AVAILABLE else found


def _of_demo(reported: ReportedStatus) -> PublicStatus:
    """There is no hardware that could be lost: it is free unless a mock session runs."""
    hardware = hardware_status(reported)
    return PublicStatus.AVAILABLE if hardware is HardwareStatus.UNKNOWN else _OF_SHOWN[ShownStatus(hardware.value)]


def _base_tariff(session: Session, tariff_group_id: int | None) -> Tariff | None:
    if tariff_group_id is None:
        return None
    return session.scalars(
        select(Tariff)
        .join(TariffGroupTariff, TariffGroupTariff.tariff_id == Tariff.id)
        .where(TariffGroupTariff.tariff_group_id == tariff_group_id, TariffGroupTariff.is_base)
        .options(selectinload(Tariff.levels))
    ).one_or_none()
