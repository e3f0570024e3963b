"""Which cards are on somebody's dashboard, and in which order. Pure: names in and out.

Manual, "Quick Stats Cards": which cards are shown, and their order, depends on the configuration and on the role.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

#: more than there are, and short enough to be kept with the admin
MOST = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """Cards as an admin has put them: shown, in that order, and hidden."""

    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @classmethod
    def stored(cls, value: Any) -> Layout:
        """What was kept; what is not understood is left out."""
        kept = value if isinstance(value, dict) else {}
        return cls(_names(kept.get("shown")), _names(kept.get("hidden")))

    def to_store(self) -> dict[str, list[str]]:
        """As it is kept."""
        return {"shown": list(self.shown[:MOST]), "hidden": list(self.hidden[:MOST])}


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(dict.fromkeys(name for name in value if isinstance(name, str)))


def arrange(available: Sequence[str], chosen: Layout, *, hidden: Collection[str] = ()) -> Layout:
    """All cards that there are, as chosen; one that the choice does not know stands after its neighbour by default.

    ``available`` is in the default order; ``hidden`` are those that are not shown unless they are asked for.
    """
    there = set(available)
    shown = [name for name in chosen.shown if name in there]
    away = [name for name in chosen.hidden if name in there and name not in shown]
    for position, name in enumerate(available):
        if name in shown or name in away:
            continue
        if name in hidden:
            away.append(name)
            continue
        before = next((each for each in reversed(available[:position]) if each in shown), None)
        shown.insert(0 if before is None else shown.index(before) + 1, name)
    return Layout(tuple(shown), tuple(away))


class UnknownCard(LookupError):
    """There is no such card on this dashboard."""


def move(layout: Layout, card: str, by: int) -> Layout:
    """A shown card earlier (negative) or later by so many places, as far as there are. Raises UnknownCard."""
    position = _position(layout.shown, card)
    rest = _without(layout.shown, card)
    to = min(max(position + by, 0), len(rest))
    return replace(layout, shown=(*rest[:to], card, *rest[to:]))


def place(layout: Layout, card: str, before: str | None) -> Layout:
    """A card, shown or hidden, before another one (None: at the end). Raises UnknownCard."""
    if card not in layout.shown:
        layout = show(layout, card)
    rest = _without(layout.shown, card)
    to = len(rest) if before is None or before == card else _position(rest, before)
    if before == card:
        return layout
    return replace(layout, shown=(*rest[:to], card, *rest[to:]))


def hide(layout: Layout, card: str) -> Layout:
    """A shown card hidden. Raises UnknownCard."""
    _position(layout.shown, card)
    return Layout(_without(layout.shown, card), (*layout.hidden, card))


def show(layout: Layout, card: str) -> Layout:
    """A hidden card shown, at the end. Raises UnknownCard."""
    _position(layout.hidden, card)
    return Layout((*layout.shown, card), _without(layout.hidden, card))


def _position(names: Sequence[str], card: str) -> int:
    if card not in names:
        raise UnknownCard(card)
    return list(names).index(card)


def _without(names: Iterable[str], card: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != card)
