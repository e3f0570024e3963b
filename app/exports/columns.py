"""What a list's CSV consists of, as data: headers, and what fills them.

A column is a path (``"user.email"``), written by its type, or a function of the row that gives an SQL expression.
Relations are joined when a chosen column leads through them, each once, and always from the left: a row of the list is
a row of the file, whatever it lacks or the reader may not see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, ColumnElement, DateTime, Enum, String, TypeDecorator, cast, inspect, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.core import settings
from app.core.db import Base
from app.core.models import CurrencyRow
from app.core.types import UTCDateTime
from app.exports import cells

Source = str | Callable[["Row"], ColumnElement[Any]]
#: a path of which the header is the last word, or a header with its path or function
Entry = str | tuple[str, Source]


class UnknownColumn(LookupError):
    """The list has no such column; the message says which it has."""


@dataclass(frozen=True)
class World:
    """What expressions depend on beyond the row: the base currency, and how many decimals each currency has."""

    base_currency: str
    exponents: Mapping[str, int]


def world_of(session: Session) -> World:
    """The world as the database has it now."""
    exponents = {row.code: row.exponent for row in session.execute(select(CurrencyRow.code, CurrencyRow.exponent))}
    return World(settings.get_text(session, "system.currency"), exponents)


class Row:
    """A row of the list while a query is made: its attributes by path, and the joins they take."""

    def __init__(self, model: type[Any], world: World) -> None:
        self.model, self.world = model, world
        self.joins: list[tuple[Any, ...]] = []
        self._entities: dict[Any, Any] = {}

    def __call__(self, path: str) -> InstrumentedAttribute[Any]:
        """An attribute, through relations when the path has dots."""
        *relations, name = path.split(".")
        entity: Any = self.model
        for number in range(len(relations)):
            entity = self._through(entity, tuple(relations[: number + 1]))
        found: InstrumentedAttribute[Any] = getattr(entity, name)
        return found

    def _through(self, entity: Any, walked: tuple[str, ...]) -> Any:
        if walked not in self._entities:
            relation = getattr(entity, walked[-1])
            target = aliased(relation.property.mapper.class_)
            self._entities[walked] = target
            self.joins.append((relation.of_type(target),))
        return self._entities[walked]

    def beside(self, target: type[Any], on: Callable[[Any], ColumnElement[bool]]) -> Any:
        """Another table's row, where no relation leads to it; ``on`` must match one at most."""
        if target not in self._entities:
            alias = aliased(target)
            self._entities[target] = alias
            self.joins.append((alias, on(alias)))
        return self._entities[target]

    def amount(self, path: str, currency: str = "currency") -> ColumnElement[Any]:
        """An amount in the currency that stands beside it."""
        return cells.amount(self(path), self(currency), self.world.exponents)


def amount(path: str, currency: str = "currency") -> Callable[[Row], ColumnElement[Any]]:
    """The source of a column of amounts."""
    return lambda row: row.amount(path, currency)


def by(cell: Callable[[Any], ColumnElement[Any]], path: str) -> Callable[[Row], ColumnElement[Any]]:
    """The source of a column that is written by another function of ``cells`` than its type's."""
    return lambda row: cell(row(path))


def written(value: Any) -> ColumnElement[Any]:
    """An attribute as its type is written."""
    kind = value.type
    if isinstance(kind, UTCDateTime | DateTime):
        return cells.moment(value)
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, Enum):
        return cast(value, String)
    if isinstance(kind, String):
        return cells.text(value)
    if isinstance(kind, Boolean):
        return cells.yes_no(value)
    if isinstance(kind, ARRAY):
        return cells.listed(value)
    if isinstance(kind, JSON):
        return cells.english(value)
    plain: ColumnElement[Any] = value.expression if isinstance(value, InstrumentedAttribute) else value
    return plain


@dataclass(frozen=True)
class ExportList:
    """One list. ``time`` is the attribute that ``--from`` and ``--to`` are about; ``where`` what the list is of."""

    model: type[Any]
    entries: tuple[Entry, ...]
    time: str | Callable[[Row], ColumnElement[Any]] | None = None
    where: Callable[[], ColumnElement[bool]] | None = None
    sources: Mapping[str, Source] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, Source] = {}
        for entry in self.entries:
            header, source = entry if isinstance(entry, tuple) else (entry.replace(".", "_"), entry)
            found[header] = source
        object.__setattr__(self, "sources", found)

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns' names, in their order."""
        return tuple(self.sources)

    def chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The columns of these names in the list's order; all without names. Raises UnknownColumn."""
        if not names:
            return self.headers
        unknown = [name for name in names if name not in self.sources]
        if unknown:
            raise UnknownColumn(f"there is no column {unknown[0]!r}; columns are {', '.join(self.headers)}")
        return tuple(name for name in self.headers if name in names)

    def expressions(self, row: Row, names: Sequence[str]) -> list[ColumnElement[Any]]:
        """What fills the columns of these names."""
        found: list[ColumnElement[Any]] = []
        for name in names:
            source = self.sources[name]
            value = written(row(source)) if isinstance(source, str) else source(row)
            found.append(value.label(name))
        return found

    def narrowed(self, query: Any, world: World, names: Sequence[str]) -> Any:
        """A query of the model's rows, filtered and sorted, with these columns instead; None: all rows, by key."""
        row = Row(self.model, world)
        columns = self.expressions(row, names)
        if query is None:
            query = select(*columns).select_from(self.model).order_by(*key_columns(self.model))
            if self.where is not None:
                query = query.where(self.where())
        elif columns:
            query = query.enable_eagerloads(False).with_entities(*columns)
        for join in row.joins:
            query = query.outerjoin(*join)
        return query if not hasattr(query, "statement") else query.statement

    def time_of(self) -> ColumnElement[Any] | None:
        """By what time rows are chosen; None for a list of things that have none."""
        if self.time is None:
            return None
        if isinstance(self.time, str):
            at: ColumnElement[Any] = getattr(self.model, self.time)
            return at
        return self.time(Row(self.model, World("", {})))


def key_columns(model: type[Any]) -> list[Any]:
    """The primary key's columns."""
    mapper = inspect(model)
    return [getattr(model, mapper.get_property_by_column(column).key) for column in mapper.primary_key]


def derived(model: type[Any], entries: Sequence[Any]) -> ExportList | None:
    """The list of a page that only names paths; None where a column needs more than SQL."""
    if not issubclass(model, Base):
        return None
    for entry in entries:
        source = entry[1] if isinstance(entry, tuple) else entry
        if not isinstance(source, str) or not _is_column(model, source):
            return None
    return ExportList(model, tuple(entries))


def _is_column(model: type[Any], path: str) -> bool:
    current = model
    *relations, name = path.split(".")
    for relation in relations:
        mapper = inspect(current)
        if relation not in mapper.relationships or mapper.relationships[relation].uselist:
            return False
        current = mapper.relationships[relation].mapper.class_
    return name in inspect(current).column_attrs
