"""From text to a checked document: every mistake is noted, and what is right beside it is still read.

Reading goes on after a mistake by taking the wrong part out of the tree, so that the next step can find
mistakes of other kinds in the rest; nothing is stored once there is any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.provisioning.document import Document, Terms
from app.provisioning.mistakes import Mistakes, at
from app.provisioning.tree import PATH, read_tree
from app.tariffs.models import TariffType
from app.tariffs.validation import validate_tariff

Step = int | str

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "list_type": "a list is expected",
    "model_type": "a mapping (key: value) is expected",
    "dict_type": "a mapping (key: value) is expected",
    "string_type": "text is expected",
}

#: the prices each type has, by their names in the file
_FIELDS_OF_TYPE: dict[TariffType, frozenset[str]] = {
    TariffType.FREE: frozenset(),
    TariffType.FLAT: frozenset({"price_per_session"}),
    TariffType.DURATION_ENERGY: frozenset({"price_per_minute", "price_per_kwh", "connection_fee"}),
    TariffType.DURATION_ENERGY_TOD: frozenset({"day", "night", "connection_fee"}),
    TariffType.POWER_LEVELS: frozenset({"levels"}),
}
_FIELDS_OF_SOME_TYPE = frozenset().union(*_FIELDS_OF_TYPE.values())

#: where the file has a tariff's column
_FILE_NAMES = {
    "day_starts": "day.starts",
    "night_starts": "night.starts",
    "night_price_per_minute": "night.price_per_minute",
    "night_price_per_kwh": "night.price_per_kwh",
}


@dataclass(frozen=True)
class Source:
    """What could be read, and the names the file gives even where their entries are wrong."""

    document: Document
    tariff_names: frozenset[str]
    tariff_group_names: frozenset[str]
    user_group_names: frozenset[str]


def read(text: str, mistakes: Mistakes) -> Source:
    """Read and check a file by itself. Raises ProvisioningError where no reading on is possible."""
    tree = read_tree(text, mistakes)
    names = {
        "tariff_names": frozenset(_raw_names(tree.get("tariffs"))),
        "tariff_group_names": frozenset(_raw_names(tree.get("tariff_groups"))),
        "user_group_names": frozenset(_raw_names(tree.get("user_groups"))),
    }
    document = _validated(tree, mistakes)
    _check_tariffs(document, mistakes)
    _check_duplicates(document, mistakes)
    return Source(document=document, **names)


def _raw_names(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        name = entry.get("name") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield name.strip()


def _validated(tree: dict[str, Any], mistakes: Mistakes) -> Document:
    """The document of what is right in the tree."""
    removed: set[tuple[int, Step]] = set()
    while True:
        try:
            return Document.model_validate(tree)
        except ValidationError as error:
            places = [_Place.of(tree, detail) for detail in error.errors(include_url=False)]
        for place in places:
            if (id(place.holder), place.step) not in removed:
                mistakes.add(place.path, place.message)
        for holder, step in [place.to_remove() for place in places]:
            removed.add((id(holder), step))
            if isinstance(holder, dict):
                holder.pop(str(step), None)
            elif not isinstance(holder[int(step)], _Gone):
                holder[int(step)] = _Gone()
        _close_gaps(tree)


class _Gone:
    """Stands where a wrong entry was, until all of a round are out: indices must not shift meanwhile."""


def _close_gaps(node: Any) -> None:
    if isinstance(node, list):
        node[:] = [each for each in node if not isinstance(each, _Gone)]
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close_gaps(each)


@dataclass(frozen=True)
class _Place:
    """Where in the tree a mistake is: its holder, the step in it, and the same one level up."""

    path: str
    message: str
    holder: Any
    step: Step
    above: tuple[Any, Step] | None

    @classmethod
    def of(cls, tree: dict[str, Any], detail: ErrorDetails) -> _Place:
        *way, step = detail["loc"]
        holder: Any = tree
        above: tuple[Any, Step] | None = None
        path = ""
        for part in way:
            above, holder = (holder, part), holder[part]
            # an entry knows its path in the file, also after others of its list were taken out
            path = holder[PATH] if isinstance(holder, dict) else at(path, part)
        message = _WORDS.get(detail["type"], detail["msg"])
        if detail["type"] == "value_error":
            message = str(detail["ctx"]["error"])
        inner = holder[int(step)] if isinstance(holder, list) else holder.get(step)
        return cls(
            path=inner[PATH] if isinstance(inner, dict) else at(path, step),
            message=message,
            holder=holder,
            step=step,
            above=above,
        )

    def to_remove(self) -> tuple[Any, Step]:
        """The wrong part; where a required field is what is missing, the entry that lacks it."""
        if isinstance(self.holder, dict) and self.step not in self.holder:
            assert self.above is not None, "the file itself has no required field"
            return self.above
        return self.holder, self.step


def _check_tariffs(document: Document, mistakes: Mistakes) -> None:
    for tariff in document.tariffs:
        _check_terms(tariff, tariff.name, mistakes)
    for group in document.tariff_groups:
        if group.base is not None:
            _check_terms(group.base, group.name, mistakes)


def _check_terms(terms: Terms, name: str, mistakes: Mistakes) -> None:
    """A price that the type does not have would silently not be charged, so it is refused."""
    for field in sorted(_FIELDS_OF_SOME_TYPE - _FIELDS_OF_TYPE[terms.type]):
        if getattr(terms, field):
            mistakes.add(at(terms.path, field), f"does not apply to a tariff of type {terms.type}")
    for field, message in validate_tariff({**columns_of(terms), "name": name}).items():
        mistakes.add(at(terms.path, _FILE_NAMES.get(field, field)), message)


def columns_of(terms: Terms) -> dict[str, Any]:
    """What a tariff charges, by the names of its columns; ``levels`` are pairs in mappings."""
    day, night = terms.day, terms.night
    return {
        "type": terms.type,
        "price_per_session": terms.price_per_session,
        "price_per_minute": day.price_per_minute if day else terms.price_per_minute,
        "price_per_kwh": day.price_per_kwh if day else terms.price_per_kwh,
        "connection_fee": terms.connection_fee,
        "day_starts": day.starts if day else None,
        "night_starts": night.starts if night else None,
        "night_price_per_minute": night.price_per_minute if night else None,
        "night_price_per_kwh": night.price_per_kwh if night else None,
        "idle_fee_per_minute": terms.idle_fee_per_minute,
        "idle_grace_minutes": terms.idle_grace_minutes,
        "levels": [{"max_power_w": level.max_kw, "price_per_minute": level.price_per_minute} for level in terms.levels],
        "max_minutes": terms.max_minutes,
        "max_energy_kwh": terms.max_energy_kwh,
        "stop_below_preauthorization": terms.stop_below_preauthorization,
        "minimum_balance_to_start": terms.minimum_balance_to_start,
        "auto_stop_amount": terms.auto_stop_amount,
        "learn_more_url": terms.learn_more_url,
    }


def _check_duplicates(document: Document, mistakes: Mistakes) -> None:
    """Each natural key once in its scope; letters' case does not tell two apart where a station's does not."""
    _once(mistakes, ((t.path, "name", t.name) for t in document.tariffs))
    _once(mistakes, ((g.path, "name", g.name) for g in document.tariff_groups))
    for group in document.tariff_groups:
        _once(mistakes, ((group.path, f"tariffs[{i}]", name) for i, name in enumerate(group.tariffs)))
    _once(mistakes, (("", f"user_groups[{i}]", name) for i, name in enumerate(document.user_groups)))
    _once(mistakes, ((loc.path, "name", loc.name["en"]) for loc in document.locations))
    for location in document.locations:
        _once(mistakes, ((zone.path, "name", zone.name) for zone in location.zones))
    stations = [station for loc in document.locations for zone in loc.zones for station in zone.charge_points]
    _once(mistakes, ((cp.path, "id", cp.id.lower()) for cp in stations))
    for station in stations:
        _once(mistakes, ((e.path, "network_id", str(e.network_id)) for e in station.evses))
    evses = [evse for station in stations for evse in station.evses]
    _once(mistakes, ((evse.path, "id", evse.id.upper()) for evse in evses if evse.id is not None))
    _once(mistakes, ((user.path, "email", user.email.lower()) for user in document.users))
    tags = [tag for user in document.users for tag in user.rfid_tags]
    _once(mistakes, ((tag.path, "tag_id", tag.tag_id.upper()) for tag in tags))


def _once(mistakes: Mistakes, keys: Iterable[tuple[str, str, str]]) -> None:
    first: dict[str, str] = {}
    for path, field, key in keys:
        where = at(path, field)
        if key in first:
            mistakes.add(where, f"the same as {first[key]}")
        else:
            first[key] = where
