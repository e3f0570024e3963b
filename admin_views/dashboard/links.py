"""Addresses of the lists behind the dashboard's numbers, filtered to exactly what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import inspect

from admin_views.widgets.filters import Filter


@dataclass(frozen=True)
class Where:
    """A filter of a list: ``name`` is an attribute of its model (or the filter's own heading), with a value.

    ``operation`` is the filter's word ("is", "since", "before", "is not").
    """

    name: str
    value: str
    operation: str = "is"


def page_of(endpoint: str) -> Any | None:
    """The page of that endpoint, if there is one and the admin may open it."""
    admins = current_app.extensions.get("admin") or []
    found = next((view for view in admins[0]._views if view.endpoint == endpoint), None) if admins else None
    return found if found is not None and found.is_accessible() else None


def list_url(endpoint: str, *conditions: Where) -> str | None:
    """The list's address; None when the admin may not open it or it lacks one of the filters."""
    view = page_of(endpoint)
    if view is None:
        return None
    arguments: dict[str, str] = {}
    for position, condition in enumerate(conditions):
        name = _argument(view, condition)
        if name is None:
            return None
        arguments[f"flt{position}_{name}"] = condition.value
    return str(view.get_url(f"{endpoint}.index_view", **arguments))


def _argument(view: Any, condition: Where) -> str | None:
    """How the list calls a filter in its address."""
    wanted = _column(view.model, condition.name)
    for index, flt in enumerate(view._filters or ()):
        if not isinstance(flt, Filter) or flt.operation() != condition.operation:
            continue
        if str(flt.name) == condition.name or (wanted is not None and _plain(flt.column) is wanted):
            return str(view.get_filter_arg(index, flt))
    return None


def _column(model: type, name: str) -> Any | None:
    attribute = inspect(model).column_attrs.get(name)
    return attribute.columns[0] if attribute is not None else None


def _plain(column: Any) -> Any:
    """The table's column behind an attribute."""
    found = getattr(getattr(column, "property", None), "columns", None)
    return found[0] if found else column
