"""What each admin chose on the dashboard: the period of each card, which cards there are, and their order."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.models import Admin
from app.dashboard.layout import Layout
from app.dashboard.periods import DEFAULT_PERIOD, Period

_KEEP = text("""
UPDATE admin SET preferences = preferences || jsonb_build_object('dashboard',
  coalesce(CASE WHEN jsonb_typeof(preferences->'dashboard') = 'object' THEN preferences->'dashboard' END, '{}'::jsonb)
  || jsonb_build_object(CAST(:card AS text), CAST(:period AS text)))
WHERE id = :id
""")

#: a key of its own: the periods are kept under the cards' names
_LAYOUT = "dashboard_layout"
_KEEP_LAYOUT = text("""
UPDATE admin SET preferences = preferences || jsonb_build_object(CAST(:key AS text), CAST(:layout AS jsonb))
WHERE id = :id
""")
_FORGET_LAYOUT = text("UPDATE admin SET preferences = preferences - CAST(:key AS text) WHERE id = :id")


def layout_of(admin: Admin) -> Layout:
    """How the admin has put the cards; empty when it has not: the default of its role."""
    return Layout.stored(admin.preferences.get(_LAYOUT))


def keep_layout(session: Session, *, admin: Admin, layout: Layout | None) -> None:
    """Keep how the cards are put; None: as the role has it by default. Past the ORM, like ``choose``."""
    if layout is None:
        session.execute(_FORGET_LAYOUT, {"id": admin.id, "key": _LAYOUT})
    else:
        session.execute(_KEEP_LAYOUT, {"id": admin.id, "key": _LAYOUT, "layout": json.dumps(layout.to_store())})
    session.refresh(admin, ["preferences"])


def chosen(admin: Admin) -> dict[str, Period]:
    """The periods chosen, by card; what an older version stored and nobody knows any more is left out."""
    stored: Any = admin.preferences.get("dashboard")
    known = {period.value: period for period in Period}
    if not isinstance(stored, dict):
        return {}
    return {str(card): known[value] for card, value in stored.items() if isinstance(value, str) and value in known}


def period_of(admin: Admin, card: str) -> Period:
    """The period of a card."""
    return chosen(admin).get(card, DEFAULT_PERIOD)


def choose(session: Session, *, admin: Admin, card: str, period: Period) -> None:
    """Keep the period of a card. Past the ORM: the row's version guards the admin's form, not its tastes."""
    session.execute(_KEEP, {"id": admin.id, "card": card, "period": period.value})
    session.refresh(admin, ["preferences"])
