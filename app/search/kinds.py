"""The kinds of records that have search documents, by the number they carry there.

A new kind: its number and model here, its ``KindSource`` and ``watch`` in a migration, and a group in
``admin_views/search_groups.py`` (CONTRIBUTING, "Something new to search for").
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.billing.models import Receipt, Voucher
from app.crm.models import RfidTag, User, UserGroup
from app.partners.models import Partner
from app.tariffs.models import Tariff, TariffGroup


class Kind(IntEnum):
    """A kind's number; its name in small letters is that of its functions in the database."""

    LOCATION = 1
    CHARGING_ZONE = 2
    CHARGE_POINT = 3
    EVSE = 4
    USER = 5
    RFID_TAG = 6
    VOUCHER = 7
    TARIFF = 8
    TARIFF_GROUP = 9
    USER_GROUP = 10
    RECEIPT = 11
    PARTNER = 12


MODELS: dict[Kind, Any] = {
    Kind.LOCATION: Location,
    Kind.CHARGING_ZONE: ChargingZone,
    Kind.CHARGE_POINT: ChargePoint,
    Kind.EVSE: Evse,
    Kind.USER: User,
    Kind.RFID_TAG: RfidTag,
    Kind.VOUCHER: Voucher,
    Kind.TARIFF: Tariff,
    Kind.TARIFF_GROUP: TariffGroup,
    Kind.USER_GROUP: UserGroup,
    Kind.RECEIPT: Receipt,
    Kind.PARTNER: Partner,
}
