"""The cards: who may see which, what each shows, and the lists behind their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from admin_views import formats
from admin_views.dashboard.links import Where, list_url
from admin_views.dashboard.sparkline import Sparkline, sparkline
from app.core import settings
from app.core.models import Admin, CurrencyRow
from app.core.permissions import Permission
from app.dashboard import choices, queries, stations
from app.dashboard.periods import Comparison, Period, compare

REVENUE = "revenue-"
#: sessions of Demo stations are not counted
NOT_DEMO = Where("Demo", "0")
TOP_CITIES = 3
#: what is shown as 0.0%
_NO_CHANGE = 0.0005
TOP_POWERS = 6


@dataclass(frozen=True)
class Card:
    """A card: ``kind`` is its template, ``topic`` the live event that makes it fetch itself again."""

    name: str
    title: str
    kind: str
    needs: tuple[Permission, ...]
    icon: str = ""
    topic: str = ""

    @property
    def has_period(self) -> bool:
        """Whether it has a menu of periods."""
        return self.kind == "figure"


CARDS = (
    Card("faults", "Faults & connectivity loss", "faults", (Permission.CHARGE_POINT_VIEW,), topic="charge_points"),
    Card("active", "Active Charging Sessions", "active", (Permission.SESSION_VIEW,), topic="sessions"),
    Card("charge_points", "New charge points", "figure", (Permission.CHARGE_POINT_VIEW,)),
    Card("users", "New users", "figure", (Permission.USER_VIEW,)),
    Card("sessions", "Charging Sessions", "figure", (Permission.SESSION_VIEW,)),
    Card("energy", "Total Energy", "figure", (Permission.SESSION_VIEW,)),
    Card(REVENUE, "Total Revenue", "figure", (Permission.SESSION_VIEW, Permission.TRANSACTION_VIEW)),
    Card("power", "EVSEs by max power (kW)", "breakdown", (Permission.CHARGE_POINT_VIEW,)),
    Card("access", "Charge points by access type", "breakdown", (Permission.CHARGE_POINT_VIEW,)),
    Card("cities", "Locations by city", "breakdown", (Permission.LOCATION_VIEW,)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a breakdown; ``share`` is its part of all in percent."""

    label: str
    number: int
    share: int
    url: str | None


@dataclass(slots=True)
class Shown:
    """A card with what it shows. ``value`` is formatted; the rest depends on its kind."""

    card: Card
    name: str
    title: str
    value: str = ""
    url: str | None = None
    period: Period | None = None
    change: str = ""
    direction: str = "flat"
    compared: str = ""
    line: Sparkline | None = None
    details: str = ""
    parts: tuple[tuple[str, int, str], ...] = ()
    rows: tuple[Row, ...] = ()
    more: int = 0


def permitted(admin: Admin) -> list[Card]:
    """The cards that an admin's role includes."""
    return [card for card in CARDS if admin.permissions.issuperset(card.needs)]


def find(session: Session, admin: Admin, name: str) -> Card | None:
    """The card of that name, if the admin may see it; Total Revenue has one name per currency ("revenue-EUR")."""
    key = name
    if name.startswith(REVENUE):
        key = REVENUE
        if session.get(CurrencyRow, name.removeprefix(REVENUE)) is None:
            return None
    return next((card for card in permitted(admin) if card.name == key), None)


class Board:
    """Fills cards with as few queries as they need together."""

    def __init__(self, session: Session, admin: Admin, *, now: datetime | None = None) -> None:
        self.session = session
        self.admin = admin
        self.zone = settings.get_text(session, "system.timezone")
        self.currency = settings.get_text(session, "system.currency")
        self.now = (now or datetime.now(UTC)).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        self._chosen = choices.chosen(admin)
        self._figures: dict[str, queries.SessionFigures] = {}
        self._growth: dict[str, queries.Figure] = {}
        self._fleet: queries.Fleet | None = None

    def shown(self, cards: Sequence[Card], *, only: str = "") -> dict[str, list[Shown]]:
        """The cards by name; Total Revenue is one per currency in use. ``only`` narrows it to one currency."""
        self._load({card.name for card in cards}, only)
        return {card.name: list(self._fill(card, only)) for card in cards}

    def revenue_names(self) -> list[str]:
        """The names of the cards of Total Revenue, one per currency in use."""
        self._load({REVENUE}, "")
        return self._revenue_names()

    def _comparison(self, name: str) -> Comparison:
        return compare(self._chosen.get(name, choices.DEFAULT_PERIOD), self.now)

    def currencies(self) -> list[str]:
        """The base currency, and those whose cards the admin has touched."""
        touched = [name.removeprefix(REVENUE) for name in self._chosen if name.startswith(REVENUE)]
        return list(dict.fromkeys((self.currency, *touched)))

    def _load(self, names: set[str], only: str) -> None:
        wanted = {self._comparison(name) for name in names & {"sessions", "energy"}}
        if REVENUE in names:
            known = [only] if only else [*(REVENUE + code for code in self.currencies()), REVENUE]
            wanted |= {self._comparison(name) for name in known}
        self._figures = queries.session_figures(self.session, comparisons=wanted, zone=self.zone)
        self._growth = queries.growth(
            self.session,
            charge_points=self._comparison("charge_points") if "charge_points" in names else None,
            users=self._comparison("users") if "users" in names else None,
            zone=self.zone,
        )
        if names & {"power", "access", "cities"}:
            self._fleet = queries.fleet(self.session)

    def _fill(self, card: Card, only: str) -> Iterable[Shown]:
        if card.name == REVENUE:
            return (self._revenue(card, name) for name in ([only] if only else self._revenue_names()))
        return [getattr(self, f"_{card.name}")(card)]

    # --- now

    def _faults(self, card: Card) -> Shown:
        found = stations.faults(self.session)
        parts = (
            ("Hardware fault", found.faulted, "red"),
            ("Connection lost", found.disconnected, "orange"),
            ("Never connected", found.never_connected, "secondary"),
        )
        return Shown(card, card.name, card.title, f"{found.total:,}", list_url("faults"), parts=parts)

    def _active(self, card: Card) -> Shown:
        found = queries.active_sessions(self.session)
        url = list_url("charging_session", Where("Running", "1"), Where("status", "pending", "is not"), NOT_DEMO)
        details = f"{formats.power(found.power_w)} in total"
        return Shown(card, card.name, card.title, f"{found.sessions:,}", url, details=details)

    # --- periods

    def _sessions(self, card: Card) -> Shown:
        figure = self._figures_of(card.name).sessions
        return self._figure(card, card.name, figure, self._sessions_url(figure.comparison), _count)

    def _energy(self, card: Card) -> Shown:
        figure = self._figures_of(card.name).energy_wh
        return self._figure(card, card.name, figure, self._sessions_url(figure.comparison), _energy)

    def _revenue_names(self) -> list[str]:
        earned = self._figures_of(REVENUE).revenue
        return [REVENUE + code for code in dict.fromkeys((*self.currencies(), *sorted(earned)))]

    def _revenue(self, card: Card, name: str) -> Shown:
        code = name.removeprefix(REVENUE)
        figure = self._figures_of(name).revenue_in(code)
        url = self._sessions_url(figure.comparison, Where("currency", code))
        shown = self._figure(card, name, figure, url, lambda amount: formats.money(amount, code))
        shown.title = f"{card.title} ({code})"
        return shown

    def _charge_points(self, card: Card) -> Shown:
        figure = self._growth["charge_points"]
        url = list_url("charge_point", *self._within("created_at", figure.comparison))
        return self._figure(card, card.name, figure, url, _count)

    def _users(self, card: Card) -> Shown:
        figure = self._growth["users"]
        url = list_url("user", *self._within("created_at", figure.comparison))
        return self._figure(card, card.name, figure, url, _count)

    def _figures_of(self, name: str) -> queries.SessionFigures:
        return self._figures[self._comparison(name).period.value]

    def _figure(
        self, card: Card, name: str, figure: queries.Figure, url: str | None, show: Callable[[Decimal], Any]
    ) -> Shown:
        comparison = figure.comparison
        ratio = figure.change
        if ratio is not None and abs(ratio) < _NO_CHANGE:
            ratio = 0.0  # "-0.0%" in red would say that something fell
        before = comparison.preceding
        return Shown(
            card,
            name,
            card.title,
            str(show(figure.current)),
            url,
            period=comparison.period,
            change="" if ratio is None else str(formats.percent(ratio, sign=True)),
            direction="flat" if not ratio else "up" if ratio > 0 else "down",
            compared=f"{before.start:%Y-%m-%d %H:%M} to {before.end:%Y-%m-%d %H:%M}: {show(figure.preceding)}",
            line=sparkline(figure.points, comparison.grain, show),
        )

    def _sessions_url(self, comparison: Comparison, *more: Where) -> str | None:
        finished = Where("status", "finished")
        return list_url("charging_session", finished, *self._within("stopped_at", comparison), *more, NOT_DEMO)

    def _within(self, column: str, comparison: Comparison) -> tuple[Where, Where]:
        """The filters for a period, as moments with offset: the list may be read in another time zone."""
        zone = ZoneInfo(self.zone)
        start, end = (at.replace(tzinfo=zone).isoformat() for at in (comparison.current.start, comparison.current.end))
        return Where(column, start, "since"), Where(column, end, "before")

    # --- breakdowns

    def _power(self, card: Card) -> Shown:
        shares = self._fleet.evses_by_power if self._fleet else []
        most = sorted(shares, key=lambda share: -share.number)[:TOP_POWERS]
        kept = [share for share in shares if share in most]
        return self._breakdown(
            card,
            kept,
            sum(share.number for share in shares),
            label=lambda key: "Not given" if key is None else str(formats.power(int(key))),
            url=lambda key: None if key is None else list_url("evse", Where("max_power_w", key)),
        )

    def _access(self, card: Card) -> Shown:
        shares = self._fleet.charge_points_by_access if self._fleet else []
        return self._breakdown(
            card,
            shares,
            sum(share.number for share in shares),
            label=lambda key: formats.sentence(key or "Not given"),
            url=lambda key: list_url("charge_point", Where("access_type", key or "")),
        )

    def _cities(self, card: Card) -> Shown:
        shares = self._fleet.locations_by_city if self._fleet else []
        return self._breakdown(
            card,
            shares[:TOP_CITIES],
            sum(share.number for share in shares),
            label=lambda key: key or "No city",
            url=lambda key: list_url("location", Where("city", key)) if key else None,
        )

    def _breakdown(
        self,
        card: Card,
        shares: Sequence[queries.Share],
        total: int,
        *,
        label: Callable[[str | None], str],
        url: Callable[[str | None], str | None],
    ) -> Shown:
        rows = tuple(
            Row(label(share.key), share.number, round(100 * share.number / total), url(share.key)) for share in shares
        )
        more = total - sum(share.number for share in shares)
        return Shown(card, card.name, card.title, f"{total:,}", rows=rows, more=more)


def _count(value: Decimal) -> str:
    return f"{int(value):,}"


def _energy(energy_wh: Decimal) -> str:
    """Wh for a card: from a thousand kWh on, the decimals say nothing."""
    if energy_wh < 1_000_000 or energy_wh >= 1_000_000_000:
        return str(formats.energy(energy_wh))
    return f"{formats.number(energy_wh / 1000, 0)} kWh"
