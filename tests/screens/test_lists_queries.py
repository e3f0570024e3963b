"""No list asks the database more than a handful of questions, whatever it shows and however it is narrowed."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from admin_views.base import BaseView
from tests.screens.test_assets_smoke import MAX_QUERIES, counted_queries
from tests.support.factories_assets import make_session, make_station, make_user
from tests.support.factories_dashboard import make_admin, signed_in
from tests.support.one_of_each import make_one_of_each


def lists(app: Flask) -> list[Any]:
    """Every list of the back office."""
    return [view for view in app.extensions["admin"][0]._views if isinstance(view, BaseView)]


def test_no_list_asks_more_than_a_handful_of_questions(session: Session, clean: Flask) -> None:
    """A relation that a cell loads by itself shows here as soon as there is one row."""
    make_one_of_each(session)
    olga = signed_in(clean, make_admin(session))
    too_many: list[str] = []
    for view in lists(clean):
        own = view._filter_args or {}
        first = next((f"?flt0_{name}=a" for name in own if name.endswith("_contains")), "")
        for query in dict.fromkeys(("", "?search=a" if view._search_supported else "", first)):
            olga.get(f"{view.url}/{query}")
            with counted_queries() as seen:
                answer = olga.get(f"{view.url}/{query}")
            assert answer.status_code == 200, f"{view.url}/{query}"
            # a word may name a user, a card, a charge point: each is looked up once, whatever the number of rows
            if len(seen) > MAX_QUERIES + (4 if "search" in query else 1 if query else 0):
                too_many.append(f"{view.url}/{query}: {len(seen)}")
    assert too_many == []


PATHS = ("/assets/charge-points/", "/assets/evses/", "/activity/charging-sessions/", "/crm/users/")


@pytest.mark.parametrize("path", PATHS)
def test_twice_the_rows_ask_no_more(session: Session, clean: Flask, path: str) -> None:
    """Never one query more for one row more."""
    olga = signed_in(clean, make_admin(session))
    counts = []
    for _ in range(2):
        for _ in range(3):
            one_more(session)
        olga.get(path)
        with counted_queries() as seen:
            assert olga.get(path).status_code == 200
        counts.append(len(seen))
    # settings may be read anew in between
    assert counts[1] <= counts[0] + 1 and max(counts) <= MAX_QUERIES


def one_more(session: Session) -> None:
    """A station with a driver and a session, beside those that are there."""
    station = make_station(session, evses=2)
    make_session(session, station.evses[0], make_user(session))
    session.commit()
