"""What stands in a cell of a list or a fact of a details page: pills, links, times, dashes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import url_for
from markupsafe import Markup, escape
from sqlalchemy import inspect
from sqlalchemy.exc import NoInspectionAvailable

from admin_views import formats
from admin_views.widgets.lookups import home_of

#: status words (value or name, lower case) → Tabler colour
_WORDS_BY_COLOUR = {
    "green": "active available finished paid accepted connected online enabled valid answered success succeeded "
    "captured redeemed free approved completed installed uploaded sent recovered",
    "azure": "charging occupied preparing finishing suspendedev suspendedevse suspended_ev suspended_evse reserved "
    "demo in_progress running info downloading downloaded installing rebooting uploading",
    "yellow": "pending temporarily_unavailable temp_unavailable stopping scheduled expiring unstable unavailable "
    "unpaid partially_paid processing warning requested waiting",
    "orange": "out_of_order timed_out not_connected degraded expired locked",
    "red": "faulted failed rejected long_term_unavailable blocked declined error failure invalid offline "
    "lost charge_failed refused given_up",
    "secondary": "disabled inactive unknown archived none never_connected",
}
COLOURS: dict[str, str] = {word: colour for colour, words in _WORDS_BY_COLOUR.items() for word in words.split()}


def colour_of(value: Any) -> str:
    """The colour a status is shown in; an enum member may say its own by ``colour``."""
    own = getattr(value, "colour", None)
    if isinstance(own, str):
        return own
    text = value.value if isinstance(value, enum.Enum) and isinstance(value.value, str) else str(value)
    key = text.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "")
    return COLOURS.get(key, "secondary")


def pill(value: Any, colour: str | None = None, *, text: str | None = None, title: str = "") -> Markup:
    """A status with a coloured dot; the word carries the meaning, the colour only helps."""
    if value is None and text is None:
        return formats.NOTHING
    if text is None:
        text = formats.label(value)
        text = formats.sentence(text) if text.islower() else text
    hover = Markup(' title="{}"').format(title) if title else ""
    return Markup('<span class="status status-{}"{}><span class="status-dot"></span>{}</span>').format(
        colour or colour_of(value), hover, text
    )


def link(url: str, text: Any, *, css: str = "") -> Markup:
    """A link with escaped text."""
    return Markup('<a href="{}"{}>{}</a>').format(url, Markup(' class="{}"').format(css) if css else "", text)


def details_url(obj: Any) -> str | None:
    """The page of a record, when its model has one that the admin may open."""
    view = home_of(type(obj)) if obj is not None else None
    if view is None or not view.can_view_details or not view.is_accessible():
        return None
    return url_for(f"{view.endpoint}.details_view", id=view.get_pk_value(obj))


def record(obj: Any, *, css: str = "") -> Any:
    """A record by name, as a link where the admin may follow it."""
    if obj is None:
        return formats.NOTHING
    url = details_url(obj)
    return link(url, str(obj), css=css) if url else escape(str(obj))


def records(items: Any) -> Any:
    """Several records by name."""
    shown = [record(item) for item in items]
    return Markup(", ").join(shown) if shown else formats.NOTHING


def is_record(value: Any) -> bool:
    """Whether a value is a mapped object."""
    if value is None or isinstance(value, str | int | float | Decimal | bool | date | enum.Enum | Markup):
        return False
    try:
        return bool(inspect(value).mapper)
    except (NoInspectionAvailable, AttributeError):
        return False


def cell(value: Any) -> Any:  # one branch per type reads best
    """Any value as the screen shows it; never 'None', never a raw enum name."""
    if isinstance(value, Markup):
        return value
    if value is None or value == "" or value == {} or value == []:
        return formats.NOTHING
    if isinstance(value, bool):
        return formats.yes_no(value)
    if isinstance(value, enum.Enum):
        return formats.label(value)
    if isinstance(value, datetime):
        return formats.when(value)
    if isinstance(value, date):
        return formats.day(value)
    if isinstance(value, timedelta):
        return formats.duration(value)
    if isinstance(value, Decimal):
        return formats.number(value)
    if isinstance(value, dict):
        return formats.translated(value) or formats.NOTHING
    if isinstance(value, list | tuple | set):
        return records(value) if all(is_record(item) for item in value) else ", ".join(map(formats.label, value))
    return record(value) if is_record(value) else value


Formatter = Callable[[Any, Any, Any, str], Any]


def pill_formatter(path: str) -> Formatter:
    """A column formatter that shows an attribute, also of a relation ("state.status"), as a pill."""

    def show(view: Any, context: Any, obj: Any, name: str) -> Any:
        value = follow(obj, path)
        return value if context is None else pill(value)

    return show


def text_formatter(function: Callable[[Any], Any], path: str) -> Formatter:
    """A column formatter from one of ``formats``' functions (``formats.energy``, …)."""

    def show(view: Any, context: Any, obj: Any, name: str) -> Any:
        value = follow(obj, path)
        return value if context is None else function(value)

    return show


def follow(obj: Any, path: str) -> Any:
    """An attribute, through relations when the path has dots; None where a relation is empty."""
    for name in path.split("."):
        if obj is None:
            return None
        obj = getattr(obj, name)
    return obj
