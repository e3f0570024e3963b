"""The universal search of the page's header. Manual, "Universal Search"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, abort, render_template, request
from flask_login import current_user

from admin_views import search_groups
from admin_views.widgets.access import refuse_anonymous, wants_partial
from app.core.db import db

MINIMUM_LENGTH = 2
MAXIMUM_LENGTH = 100

blueprint = Blueprint("search", __name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A group of results with its heading; ``more`` says that there are others, ``all_url`` where."""

    group: search_groups.Group
    hits: list[search_groups.Hit]
    more: bool
    all_url: str | None


def find(text: str) -> list[Found]:
    """What the current admin may see of what fits the words, group by group; groups without hits are left out."""
    words = text.split()[: search_groups.MAX_WORDS]
    found = []
    for group in search_groups.GROUPS:
        page = search_groups.page_for(group)
        if page is None:
            continue
        rows = group.rows(page, db.session(), words)
        if rows:
            hits = [group.hit(page, row) for row in rows[: search_groups.LIMIT]]
            more = len(rows) > search_groups.LIMIT
            found.append(Found(group, hits, more, search_groups.all_url(page, text) if more else None))
    return found


@blueprint.get("/search")
def search() -> Any:
    """The results: beneath the search box for htmx, as a page of their own otherwise."""
    if not current_user.is_authenticated:
        return refuse_anonymous()
    text = request.args.get("q", "").strip()
    if "\x00" in text:
        abort(400)
    text = text[:MAXIMUM_LENGTH]
    long_enough = len(text) >= MINIMUM_LENGTH or text.isdigit()
    return render_template(
        "search/_results.html" if wants_partial() else "search/page.html",
        page_title="Search",
        text=text,
        found=find(text) if long_enough else [],
        long_enough=long_enough,
        minimum=MINIMUM_LENGTH,
        limit=search_groups.LIMIT,
    )


def init_app(app: Flask) -> None:
    """Serve it."""
    app.register_blueprint(blueprint)
