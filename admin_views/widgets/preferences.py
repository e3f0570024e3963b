"""How each admin likes each list: page size, columns, density, saved views."""

from __future__ import annotations

from typing import Any

from flask import session as cookie
from flask_login import current_user
from sqlalchemy import inspect, update
from sqlalchemy.exc import NoInspectionAvailable

MAX_VIEWS = 30


def _all() -> dict[str, Any]:
    stored = getattr(current_user, "preferences", None)
    if stored is None:
        stored = cookie.get("list_preferences")
    return dict(stored) if isinstance(stored, dict) else {}


def of_list(endpoint: str) -> dict[str, Any]:
    """What the current admin chose for a list."""
    lists = _all().get("lists")
    found = lists.get(endpoint) if isinstance(lists, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def save(session: Any, endpoint: str, **changes: Any) -> None:
    """Keep choices with the admin's account; None forgets one. Commits.

    Written past the ORM, so that the admin's row version, which guards its form, stays as it is.
    """
    everything = _all()
    lists = everything.get("lists")
    lists = dict(lists) if isinstance(lists, dict) else {}
    merged = {**of_list(endpoint), **changes}
    lists[endpoint] = {key: value for key, value in merged.items() if value is not None}
    everything["lists"] = lists
    admin = current_user._get_current_object()
    try:
        mapper = inspect(type(admin))
    except NoInspectionAvailable:
        mapper = None
    if mapper is None or "preferences" not in mapper.columns:
        cookie["list_preferences"] = everything
        return
    table = mapper.local_table
    session.execute(update(table).where(table.c.id == admin.id).values(preferences=everything))
    session.commit()
    session.refresh(admin, ["preferences"])
