"""What the universal search looks through, one group per kind of record.

Each group asks through its own page: only for who may open that page, only within what the page shows
(``BaseView.scope``), and each result leads to its record's page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session, joinedload

from admin_views import formats
from admin_views.dashboard.links import page_of
from admin_views.widgets.cells import pill
from admin_views.widgets.lookups import like
from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.billing.codes import normalised
from app.billing.models import Voucher
from app.charging.models import ChargingSession
from app.crm.models import RfidTag, User
from app.tariffs.models import Tariff, TariffGroup

LIMIT = 5
MAX_WORDS = 6
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
    """A kind of record: the page it belongs to, what fits a word, and what is said of a hit."""

    title: str
    icon: str
    endpoint: str
    model: Any
    matches: Callable[[str], ColumnElement[bool]]
    detail: Callable[[Any], str]
    order: Any
    options: tuple[Any, ...] = ()
    title_of: Callable[[Any], str] = str
    status_of: Callable[[Any], Any] | None = None

    def rows(self, page: Any, session: Session, words: Sequence[str]) -> list[Any]:
        """At most one more than LIMIT records that fit every word, within the page's scope."""
        query = page.scope(session.query(self.model)).filter(and_(*(self.matches(word) for word in words)))
        return list(query.options(*self.options).order_by(self.order, self.model.id).limit(LIMIT + 1))

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


def _contains(column: Any, word: str) -> ColumnElement[bool]:
    return column.ilike(like(word), escape="\\")  # type: ignore[no-any-return]


def _texts(column: Any, word: str) -> ColumnElement[bool]:
    """In any language of a multilingual text; its languages' codes are not searched."""
    texts = func.jsonb_each_text(column).table_valued("key", "value")
    return exists(select(texts.c.value).where(texts.c.value.ilike(like(word), escape="\\")))


def _location_like(word: str) -> Any:
    return or_(_texts(Location.name, word), _contains(Location.city, word))


def _at_location(word: str) -> ColumnElement[bool]:
    """Of a charging zone: whether its location fits."""
    found = select(Location.id).where(_texts(Location.name, word))
    return ChargingZone.location_id.in_(found)


def _charge_point(word: str) -> ColumnElement[bool]:
    zones = select(ChargingZone.id).where(or_(_contains(ChargingZone.name, word), _at_location(word)))
    return or_(
        _contains(ChargePoint.name, word), _contains(ChargePoint.identifier, word), ChargePoint.zone_id.in_(zones)
    )


def _user(word: str) -> ColumnElement[bool]:
    return or_(
        _contains(User.email, word),
        _contains(User.first_name, word),
        _contains(User.last_name, word),
        _contains(User.phone, word),
    )


def _session(word: str) -> ColumnElement[bool]:
    number = word.removeprefix("#")
    if not number.isascii() or not number.isdigit() or int(number) > LARGEST_ID:
        return false()
    return ChargingSession.id == int(number)


def _place(location: Location) -> str:
    return ", ".join(part for part in (location.city, location.country) if part)


def _card_of(tag: RfidTag) -> str:
    return f"{tag.user}{f' · Card {tag.card_no}' if tag.card_no else ''}"


GROUPS: tuple[Group, ...] = (
    Group(
        "Charge Points",
        "charging-pile",
        "charge_point",
        ChargePoint,
        _charge_point,
        lambda row: f"{row.identifier} · {row.zone.location}",
        ChargePoint.name,
        options=(joinedload(ChargePoint.zone).joinedload(ChargingZone.location),),
        status_of=lambda row: row.status,
    ),
    Group(
        "EVSEs",
        "plug",
        "evse",
        Evse,
        lambda word: _contains(Evse.code, word),
        lambda row: f"{row.charge_point} · {row.type.label} {formats.power(row.max_power_w, missing='')}".strip(),
        Evse.code,
        options=(joinedload(Evse.charge_point),),
    ),
    Group("Locations", "map-pin", "location", Location, _location_like, _place, Location.id),
    Group(
        "Charging Zones",
        "layout-grid",
        "charging_zone",
        ChargingZone,
        lambda word: or_(_contains(ChargingZone.name, word), _at_location(word)),
        lambda row: str(row.location),
        ChargingZone.name,
        options=(joinedload(ChargingZone.location),),
    ),
    Group(
        "Users",
        "users",
        "user",
        User,
        _user,
        lambda row: row.email,
        User.email,
        title_of=lambda row: row.full_name,
        status_of=lambda row: row.status,
    ),
    Group(
        "RFID Tags",
        "id-badge-2",
        "rfid_tag",
        RfidTag,
        lambda word: or_(_contains(RfidTag.tag_id, word), _contains(RfidTag.card_no, word)),
        _card_of,
        RfidTag.tag_id,
        options=(joinedload(RfidTag.user),),
        status_of=lambda row: row.status,
    ),
    Group(
        "Charging Sessions",
        "bolt",
        "charging_session",
        ChargingSession,
        _session,
        lambda row: f"{row.charge_point} · {formats.energy(row.energy_wh)}",
        ChargingSession.id,
        options=(joinedload(ChargingSession.charge_point),),
        status_of=lambda row: row.status,
    ),
    Group(
        "Tariffs",
        "coin",
        "tariff",
        Tariff,
        lambda word: _contains(Tariff.name, word),
        lambda row: row.type.label,
        Tariff.name,
    ),
    Group(
        "Tariff Groups",
        "stack-2",
        "tariff_group",
        TariffGroup,
        lambda word: _contains(TariffGroup.name, word),
        lambda row: "",
        TariffGroup.name,
    ),
    Group(
        "Vouchers",
        "gift",
        "voucher",
        Voucher,
        lambda word: Voucher.code == normalised(word),
        lambda row: f"{row.type.label} · {formats.money(row.amount, row.currency)}",
        Voucher.code,
        status_of=lambda row: row.status,
    ),
)
