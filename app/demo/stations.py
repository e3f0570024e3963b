"""What the simulator is told of the demo's stations, and what keeps its drivers solvent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from app.assets.models import ChargePoint, Evse, SystemStatus
from app.billing import ledger
from app.billing.models import BalanceAccount
from app.core import settings
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus
from app.demo.catalogue import PLACES, Model, specials
from app.demo.fleet import station_identifier, station_password

_LOW = Decimal(25)
_TOP_UP = Decimal(100)


@dataclass(frozen=True)
class DemoEvse:
    """An EVSE: the number the station knows it by, "AC" or "DC", what it can deliver in W."""

    network_id: int
    kind: str
    max_power_w: int


@dataclass(frozen=True)
class DemoStation:
    """A station of the demo. ``make`` is the simulator's key; vendor and model are what it says of itself.

    ``protocol`` is the network protocol it is stored with.
    """

    identifier: str
    password: str | None
    make: str
    protocol: str
    vendor: str
    model: str
    firmware: str
    evses: tuple[DemoEvse, ...]
    id_tags: tuple[str, ...]


def demo_stations(session: Session, *, secret_key: str) -> list[DemoStation]:
    """The demo's stations that are in service, as they are stored now, with cards of drivers of their country."""
    planned: dict[str, tuple[Model, str]] = {}
    for place in PLACES:
        for number, station in enumerate(place.stations, start=1):
            planned[station_identifier(place, number)] = specials(station)[0], place.country
    stored = session.scalars(
        select(ChargePoint)
        .where(ChargePoint.identifier.in_(planned), ChargePoint.status == SystemStatus.ACTIVE)
        .options(selectinload(ChargePoint.evses))
        .order_by(ChargePoint.id)
    )
    tags = {country: _tags(session, locale) for country, locale in (("BG", "bg"), ("GB", "en"), ("GR", "el"))}
    found = []
    for charge_point in stored:
        model, country = planned[charge_point.identifier]
        found.append(
            DemoStation(
                identifier=charge_point.identifier,
                password=station_password(charge_point.identifier, secret_key) if charge_point.password_hash else None,
                make=model.make,
                protocol=charge_point.protocol.value,
                vendor=model.vendor,
                model=model.name,
                firmware=model.firmware,
                evses=tuple(map(_evse, charge_point.evses)),
                id_tags=tags[country],
            )
        )
    return found


def _evse(evse: Evse) -> DemoEvse:
    return DemoEvse(evse.network_id, evse.type.value, evse.max_power_w or 22_000)


def _tags(session: Session, locale: str) -> tuple[str, ...]:
    """Cards that are accepted, of drivers of one language."""
    rows = session.scalars(
        select(RfidTag.tag_id)
        .join(User, User.id == RfidTag.user_id)
        .where(
            User.locale == locale,
            User.status == UserStatus.ACTIVE,
            RfidTag.status == RfidTagStatus.ACTIVE,
            RfidTag.expires_on.is_(None),
        )
        .order_by(RfidTag.id)
    )
    return tuple(rows)


def top_up_low_balances(session: Session, *, now: datetime) -> int:
    """Top up whoever has less than 25, as drivers do in their app; flushes. Returns how many.

    For the simulator to call now and then: its cars come more often than any real driver's, and everybody would soon
    be turned away for an outstanding amount.
    """
    currency = settings.get_text(session, "system.currency")
    low = session.execute(
        select(BalanceAccount.user_id)
        .join(User, User.id == BalanceAccount.user_id)
        .where(BalanceAccount.currency == currency, BalanceAccount.balance < _LOW, User.status == UserStatus.ACTIVE)
        .order_by(BalanceAccount.user_id)
    ).all()
    for (user_id,) in low:
        owed = ledger.outstanding(session, user_id=user_id, currency=currency)
        ledger.add_balance(
            session,
            user=session.get_one(User, user_id),
            amount=_TOP_UP + owed,
            currency=currency,
            reason="The demo's drivers never run dry",
            actor=None,
            now=now,
        )
    return len(low)
