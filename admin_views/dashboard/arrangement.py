"""Which cards are on an admin's dashboard, in which order: its role's default and its own choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from admin_views.dashboard.cards import REVENUE, Board, Shown, permitted
from app.core.models import Admin
from app.core.permissions import Permission
from app.dashboard import choices, layout
from app.dashboard.layout import Layout

MAP = "map"
MAP_TITLE = "Locations map"

#: who keeps the network running sees first what needs attention
ORDER = (
    "faults", "active", "charge_points", "users", "sessions", "energy", REVENUE, MAP, "power", "access", "cities",
)  # fmt: skip
#: an owner asks first what came in, an analyst too; their operator looks after stations
_TURNOVER = (
    "sessions", "energy", REVENUE, "faults", "active", "charge_points", MAP, "power", "access", "cities", "users",
)  # fmt: skip
ORDER_OF_ROLE = {"Partner Owner": _TURNOVER, "Partner Analyst": _TURNOVER}
#: what few sites make little of; shown when it is asked for
HIDDEN_OF_ROLE = {
    "Partner Owner": frozenset({"cities"}),
    "Partner Operator": frozenset({"cities", "charge_points"}),
    "Partner Analyst": frozenset({"cities"}),
}


class NotUnderstood(ValueError):
    """A change that names no card or nothing to do."""


@dataclass(frozen=True, slots=True)
class Filled:
    """The dashboard's content: names in order, and what each card shows (the map has no entry)."""

    names: tuple[str, ...]
    cards: dict[str, Shown]
    topics: set[str] = field(default_factory=set)
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Tile:
    """A card while the dashboard is customised."""

    name: str
    title: str
    wide: bool


@dataclass(frozen=True, slots=True)
class Arranged:
    """All cards of an admin as tiles."""

    shown: list[Tile]
    hidden: list[Tile]
    by_default: bool


def fill(session: Session, admin: Admin) -> Filled:
    """The cards that an admin's role includes and that it has not hidden, with their numbers."""
    own = choices.layout_of(admin)
    hidden = {*own.hidden, *(_hidden(admin) - set(own.shown))}
    wanted = [card for card in permitted(admin) if card.name == REVENUE or card.name not in hidden]
    shown = Board(session, admin).shown(wanted)
    found = {each.name: each for cards in shown.values() for each in cards}
    titles = {**dict.fromkeys(hidden - found.keys(), ""), **dict.fromkeys(found, "")}
    put = layout.arrange(_available(admin, titles), own, hidden=_hidden(admin))
    topics = {found[name].card.topic for name in put.shown if name in found and found[name].card.topic}
    return Filled(put.shown, found, topics, len(put.hidden))


def arranged(session: Session, admin: Admin) -> Arranged:
    """The same without numbers, the hidden ones too."""
    titles = _titles(session, admin)
    put = _put(admin, titles)
    return Arranged(
        [Tile(name, titles[name], name == MAP) for name in put.shown],
        [Tile(name, titles[name], name == MAP) for name in put.hidden],
        by_default=choices.layout_of(admin) == Layout(),
    )


def change(session: Session, admin: Admin, form: Mapping[str, str]) -> None:
    """Do one change and keep it: ``do`` is earlier, later, hide, show, place (``before`` a card) or reset.

    Raises NotUnderstood. The caller commits.
    """
    do, card = form.get("do", ""), form.get("card", "")
    if do == "reset":
        choices.keep_layout(session, admin=admin, layout=None)
        return
    put = _put(admin, _titles(session, admin))
    try:
        if do in ("earlier", "later"):
            put = layout.move(put, card, -1 if do == "earlier" else 1)
        elif do == "place":
            put = layout.place(put, card, form.get("before") or None)
        elif do in ("hide", "show"):
            put = {"hide": layout.hide, "show": layout.show}[do](put, card)
        else:
            raise NotUnderstood("That cannot be done with a card.")
    except layout.UnknownCard:
        raise NotUnderstood("There is no such card on your dashboard.") from None
    choices.keep_layout(session, admin=admin, layout=put)


def _put(admin: Admin, titles: Iterable[str]) -> Layout:
    return layout.arrange(_available(admin, titles), choices.layout_of(admin), hidden=_hidden(admin))


def _hidden(admin: Admin) -> frozenset[str]:
    return HIDDEN_OF_ROLE.get(admin.role.name, frozenset())


def _titles(session: Session, admin: Admin) -> dict[str, str]:
    """Every card that the admin may see, by name; Total Revenue per currency in use, or put away once."""
    titles: dict[str, str] = {}
    for card in permitted(admin):
        if card.name != REVENUE:
            titles[card.name] = card.title
            continue
        own = choices.layout_of(admin)
        known = [name for name in (*own.shown, *own.hidden) if name.startswith(REVENUE) and name != REVENUE]
        for name in dict.fromkeys((*Board(session, admin).revenue_names(), *known)):
            titles[name] = f"{card.title} ({name.removeprefix(REVENUE)})"
    if Permission.LOCATION_VIEW in admin.permissions:
        titles[MAP] = MAP_TITLE
    return titles


def _available(admin: Admin, names: Iterable[str]) -> list[str]:
    """The cards there are, in the default order of the role."""
    there = list(names)
    if Permission.LOCATION_VIEW in admin.permissions:
        there.append(MAP)
    order = ORDER_OF_ROLE.get(admin.role.name, ORDER)
    found = [
        name for entry in order for name in there if name == entry or (entry == REVENUE and name.startswith(REVENUE))
    ]
    return list(dict.fromkeys(found))
