"""What the universal search shows, one group per kind of record. Manual, "Universal Search".

Which records fit, the search documents say (``app.search``); each group then asks for them through its own page: only
for who may open that page, only within what the page shows (``BaseView.scope``). Each result leads to its record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session, joinedload

from admin_views import formats
from admin_views.dashboard.links import page_of
from admin_views.widgets.cells import pill
from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.billing.models import Receipt, Transaction, Voucher
from app.charging.models import ChargingSession
from app.crm.models import RfidTag, User, UserGroup
from app.partners.models import Partner
from app.search.kinds import Kind
from app.tariffs.models import Tariff, TariffGroup

LIMIT = 5
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A result: where it leads, its name, what helps to tell it from others, and its status."""

    url: str
    title: str
    detail: str
    status: Any = None


@dataclass(frozen=True)
class Group:
    """A kind of record: its page, and what is said of a hit.

    What fits is found by search documents of ``kind``; without a kind, ``by_key`` says which rows have the number that
    was typed: tables of millions are asked by their key.
    """

    title: str
    icon: str
    endpoint: str
    model: Any
    detail: Callable[[Any], str] = lambda row: ""
    kind: Kind | None = None
    by_key: Callable[[str], Any] | None = None
    options: tuple[Any, ...] = ()
    title_of: Callable[[Any], str] = str
    status_of: Callable[[Any], Any] | None = None

    def rows(self, page: Any, session: Session, ids: Sequence[int]) -> list[Any]:
        """The records of these ids in their order, within the page's scope."""
        query = page.scope(session.query(self.model)).filter(self.model.id.in_(ids)).options(*self.options)
        by_id = {row.id: row for row in query}
        return [by_id[each] for each in ids if each in by_id]

    def rows_by_key(self, page: Any, session: Session, typed: str) -> list[Any]:
        """The records of that number, the newest first, at most one more than LIMIT; within the page's scope."""
        condition = self.by_key(typed) if self.by_key is not None else None
        if condition is None:
            return []
        query = page.scope(session.query(self.model)).filter(condition).options(*self.options)
        return list(query.order_by(self.model.id.desc()).limit(LIMIT + 1))

    def hit(self, page: Any, row: Any) -> Hit:
        """The result as shown."""
        status = self.status_of(row) if self.status_of else None
        url = page.get_url(f"{self.endpoint}.details_view", id=page.get_pk_value(row))
        return Hit(url, self.title_of(row), self.detail(row), pill(status) if status is not None else None)


def page_for(group: Group) -> Any | None:
    """The group's page, when the admin may open its records."""
    page = page_of(group.endpoint)
    return page if page is not None and page.can_view_details else None


def all_url(page: Any, text: str) -> str | None:
    """The page's own list, searched for the same words, where it can be searched."""
    return page.get_url(f"{page.endpoint}.index_view", search=text) if page._search_supported else None


def _number(typed: str) -> int | None:
    digits = typed.strip().removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and int(digits) <= LARGEST_ID else None


def _session(typed: str) -> Any:
    number = _number(typed)
    return ChargingSession.id == number if number is not None else None


def _transaction(typed: str) -> Any:
    number = _number(typed)
    if number is not None:
        return Transaction.id == number
    return Transaction.processor_reference == typed.strip()


def _place(location: Location) -> str:
    return ", ".join(part for part in (location.city, location.country) if part)


def _card_of(tag: RfidTag) -> str:
    return f"{tag.user}{f' · Card {tag.card_no}' if tag.card_no else ''}"


def _evse(evse: Evse) -> str:
    return f"{evse.charge_point} · {evse.type.label} {formats.power(evse.max_power_w, missing='')}".strip()


GROUPS: tuple[Group, ...] = (
    Group(
        "Charge Points", "charging-pile", "charge_point", ChargePoint, kind=Kind.CHARGE_POINT,
        detail=lambda row: f"{row.identifier} · {row.zone.location}",
        options=(joinedload(ChargePoint.zone).joinedload(ChargingZone.location),),
        status_of=lambda row: row.status,
    ),
    Group("EVSEs", "plug", "evse", Evse, _evse, Kind.EVSE, options=(joinedload(Evse.charge_point),)),
    Group("Locations", "map-pin", "location", Location, _place, Kind.LOCATION),
    Group(
        "Charging Zones", "layout-grid", "charging_zone", ChargingZone, kind=Kind.CHARGING_ZONE,
        detail=lambda row: str(row.location), options=(joinedload(ChargingZone.location),),
    ),
    Group(
        "Users", "users", "user", User, kind=Kind.USER,
        detail=lambda row: f"{row.email}{f' · {row.phone}' if row.phone else ''}",
        title_of=lambda row: row.full_name, status_of=lambda row: row.status,
    ),
    Group(
        "RFID Tags", "id-badge-2", "rfid_tag", RfidTag, _card_of, Kind.RFID_TAG,
        options=(joinedload(RfidTag.user),), status_of=lambda row: row.status,
    ),
    Group("User Groups", "users", "user_group", UserGroup, kind=Kind.USER_GROUP),
    Group(
        "Partners", "building-store", "partner", Partner, kind=Kind.PARTNER,
        detail=lambda row: row.company_name or "",
    ),
    Group(
        "Charging Sessions", "bolt", "charging_session", ChargingSession, by_key=_session,
        detail=lambda row: f"{row.charge_point} · {formats.energy(row.energy_wh)}",
        options=(joinedload(ChargingSession.charge_point),), status_of=lambda row: row.status,
    ),
    Group(
        "Transactions", "receipt", "transaction", Transaction, by_key=_transaction,
        detail=lambda row: f"{row.type.label} · {formats.money(row.amount, row.currency)}",
        status_of=lambda row: row.status,
    ),
    Group(
        "Receipts", "receipt", "receipt", Receipt, kind=Kind.RECEIPT,
        detail=lambda row: f"{row.recipient} · {formats.money(row.total_gross, row.currency)}",
        title_of=lambda row: row.full_number,
    ),
    Group("Tariffs", "coin", "tariff", Tariff, lambda row: row.type.label, Kind.TARIFF),
    Group("Tariff Groups", "stack-2", "tariff_group", TariffGroup, kind=Kind.TARIFF_GROUP),
    Group(
        "Vouchers", "gift", "voucher", Voucher, kind=Kind.VOUCHER,
        detail=lambda row: f"{row.type.label} · {formats.money(row.amount, row.currency)}",
        status_of=lambda row: row.status,
    ),
)  # fmt: skip
