"""The universal search of the page's header. Manual, "Universal Search"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, abort, render_template, request
from flask_login import current_user

from admin_views import search_groups
from admin_views.search_marks import marked
from admin_views.search_recent import note, recent
from admin_views.widgets.access import refuse_anonymous, wants_partial
from app.core.db import session
from app.search.find import Word, find, words_of

MINIMUM_LENGTH = 2
MAXIMUM_LENGTH = 100

blueprint = Blueprint("search", __name__)


@dataclass(frozen=True, slots=True)
class Results:
    """A group of results with its heading; ``more`` says that there are others, ``all_url`` where."""

    group: search_groups.Group
    hits: list[search_groups.Hit]
    more: bool
    all_url: str | None


def results(text: str, words: Sequence[Word]) -> list[Results]:
    """What the current admin may see of what fits the words, group by group; groups without hits are left out."""
    pages = [(group, search_groups.page_for(group)) for group in search_groups.GROUPS]
    open_to_me = [(group, page) for group, page in pages if page is not None]
    kinds = [group.kind for group, _ in open_to_me if group.kind is not None]
    found = find(session(), words, kinds, limit=search_groups.LIMIT)
    shown = []
    for group, page in open_to_me:
        more = False
        if group.kind is None:
            rows = group.rows_by_key(page, session(), text)
            rows, more = rows[: search_groups.LIMIT], len(rows) > search_groups.LIMIT
        elif group.kind in found:
            rows, more = group.rows(page, session(), found[group.kind].ids), found[group.kind].more
        else:
            continue
        if rows:
            hits = [group.hit(page, row) for row in rows]
            shown.append(Results(group, hits, more, search_groups.all_url(page, text) if more else None))
    return shown


def _long_enough(text: str) -> bool:
    """A letter of most alphabets says nothing; a digit is a number, and a Chinese character is a word."""
    return len(text) >= MINIMUM_LENGTH or text.isdigit() or any(character >= "\u2e80" for character in text)


@blueprint.get("/search")
def search() -> Any:
    """The results: beneath the search box for htmx, as a page of their own otherwise."""
    if not current_user.is_authenticated:
        return refuse_anonymous()
    text = request.args.get("q", "").strip()
    if "\x00" in text:
        abort(400, description="The search contains a character that cannot be searched for.")
    text = text[:MAXIMUM_LENGTH]
    long_enough = _long_enough(text)
    words = words_of(session(), text) if long_enough else []
    found = results(text, words) if long_enough else []
    return render_template(
        "search/_results.html" if wants_partial() else "search/page.html",
        page_title="Search",
        text=text,
        found=found,
        count=sum(len(each.hits) for each in found),
        more=any(each.more for each in found),
        mark=lambda shown: marked(shown, words),
        recent=recent() if not text else [],
        long_enough=long_enough,
        minimum=MINIMUM_LENGTH,
        limit=search_groups.LIMIT,
    )


def init_app(app: Flask) -> None:
    """Serve it, and remember what is opened."""
    app.register_blueprint(blueprint)
    app.after_request(note)
