"""The search box of lists whose records have search documents, or belong to such that have.

A list declares ``search_kind`` (its own records), or ``search_related`` (kinds and the columns that lead to them),
``search_numbers`` (columns that are compared with a whole number), ``search_same`` (columns that are compared with the
whole text as it stands) and ``search_whole`` (in capitals or small letters, too). What any of them leads to is shown.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, or_, select

from app.search.find import matching
from app.search.kinds import MODELS, Kind

#: so many ids are handed over as they are: the database then uses the index of each column
FEW = 1_000
LARGEST = 2**63 - 1


def declared(view: Any) -> bool:
    """Whether the list is searched by documents."""
    return view.search_kind is not None or bool(view.search_related)


def condition(view: Any, typed: str) -> ColumnElement[bool]:
    """What rows of the list fit what was typed."""
    session, model = view.db_session, view.model
    found: list[ColumnElement[bool]] = []
    if view.search_kind is not None:
        found.append(matching(session, typed, view.search_kind).condition(model.id))
    found += [_leads_to(session, typed, kind, getattr(model, name)) for kind, name in view.search_related]
    digits = typed.strip().removeprefix("#")
    if digits.isascii() and digits.isdigit() and int(digits) <= LARGEST:
        found += [getattr(model, name) == int(digits) for name in view.search_numbers]
    found += [getattr(model, name) == typed.strip() for name in view.search_same]
    spellings = {typed.strip(), typed.strip().upper(), typed.strip().lower()}
    found += [getattr(model, name).in_(spellings) for name in view.search_whole]
    return or_(*found)


def _leads_to(session: Any, typed: str, kind: Kind, column: Any) -> ColumnElement[bool]:
    key = MODELS[kind].id
    fits = select(key).where(matching(session, typed, kind).condition(key))
    few = list(session.scalars(fits.limit(FEW + 1)))
    return column.in_(few if len(few) <= FEW else fits)  # type: ignore[no-any-return]
