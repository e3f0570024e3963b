"""CONFIGURATION > Audit log: who changed what from what to what, in one list."""

from __future__ import annotations

import json
from typing import Any

from flask import current_app
from markupsafe import Markup
from sqlalchemy import and_, func, or_

from admin_views import formats
from admin_views.assets.parts import ChoiceWhere, IsWhere
from admin_views.base import BaseView, Facts, pill, url_if
from admin_views.configuration.admins import SECTION
from admin_views.widgets import cells
from admin_views.widgets.filters import like
from app.core import settings
from app.core.models import AuditEntry

EVENTS = {
    "create": ("Created", "green"),
    "change": ("Changed", "blue"),
    "delete": ("Deleted", "red"),
    "login": ("Signed in", "teal"),
    "login_failed": ("Failed sign-in", "orange"),
    "reset_asked": ("Asked for a new password", "yellow"),
    "export": ("Downloaded", "purple"),
}
#: kinds of records that have no page of their own
KINDS = {"setting": "Setting", "list": "List", "admin": "Admin Account"}
CHANGES_SHOWN = 3
LONGEST = 60


def views_by_table() -> dict[str, Any]:
    """The pages of this application by the kind of record they show."""
    pages = current_app.extensions["admin"][0]._views
    return {view.object_type: view for view in pages if isinstance(view, BaseView)}


def kind_of(table: str) -> str:
    """What a kind of record is called."""
    view = views_by_table().get(table)
    return KINDS.get(table) or (view.singular if view is not None else formats.words(table))


def kinds() -> list[tuple[str, str]]:
    """The kinds of records to choose from, by name."""
    found = {table: view.singular for table, view in views_by_table().items()} | KINDS
    return sorted(found.items(), key=lambda pair: pair[1].lower())


def has_words(text: str) -> Any:
    """The entries in which all of these words stand, the last of each perhaps only begun."""
    conditions = []
    for word in text.split()[:8]:
        quoted = "'{}':*".format(word.replace("\\", " ").replace("'", "''"))
        conditions.append(
            or_(
                AuditEntry.words.op("@@")(func.plainto_tsquery("simple", word)),
                AuditEntry.words.op("@@")(func.to_tsquery("simple", quoted)),
            )
        )
    return and_(True, *conditions)


def holds(column: Any, text: str) -> Any:
    """Whether the words stand in this very column: looked at in what the index has found."""
    return and_(True, *(column.ilike(like(word), escape="\\") for word in text.split()[:8]))


class WordsWhere(IsWhere):
    """The words of an entry, by their index."""

    word = "contains"


def record(view: Any, context: Any, entry: AuditEntry, name: str) -> Any:
    """What was changed, as a link where there is a page and the record may still be there."""
    if context is None:
        return entry.object_label
    home = views_by_table().get(entry.object_type)
    url = None
    if entry.object_type == "setting" and view.may("configuration.setting.view"):
        url = url_if("settings.index")
    elif home is not None and home.can_view_details and entry.event != "delete" and home.is_accessible():
        url = url_if(f"{home.endpoint}.details_view", id=entry.object_id)
    return cells.link(url, entry.object_label) if url else entry.object_label


def event(view: Any, context: Any, entry: AuditEntry, name: str) -> Any:
    """What happened, in a word."""
    words, colour = EVENTS.get(entry.event, (formats.sentence(entry.event), "secondary"))
    return words if context is None else pill(words, colour)


def changes(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    """Label, before and after, as the record's own page says them."""
    if entry.object_type == "setting":
        definition = settings.BY_KEY.get(entry.object_id)
        label = definition.label if definition is not None else entry.object_id
        return [(label, (entry.before or {}).get("value"), (entry.after or {}).get("value"))]
    home = views_by_table().get(entry.object_type)
    if home is not None:
        return list(home.changes_of(entry))
    before, after = entry.before or {}, entry.after or {}
    return [(formats.words(key), before.get(key), after.get(key)) for key in dict.fromkeys((*before, *after))]


def short(value: Any) -> str:
    """A value in a cell of the list."""
    if value is None or value == "" or value == []:
        return "—"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def changed(view: Any, context: Any, entry: AuditEntry, name: str) -> Any:
    """From what to what, the first few."""
    found = changes(entry)
    parts = [
        Markup("{}: {} → {}").format(label, short(before), short(after))
        if entry.event == "change"
        else Markup("{}: {}").format(label, short(before if entry.event == "delete" else after))
        for label, before, after in found[:CHANGES_SHOWN]
    ]
    more = len(found) - CHANGES_SHOWN
    return Markup("; ").join([*parts, *([f"and {more} more"] if more > 0 else [])])


class AuditView(BaseView):
    """Append-only: nothing can be made, changed or deleted here."""

    resource, singular, plural = "configuration.audit", "Audit entry", "Audit log"
    section, icon = SECTION, "history"
    description = "Who changed what, from what to what. Sign-ins and downloads of lists are here too."
    empty_hint = "Every change of a record or a setting leaves an entry here."
    can_create = can_edit = can_delete = False
    has_history = False
    count_cap = 10_000
    link_column = "at"
    details_template = "configuration/audit_entry.html"

    column_list = ("at", "admin_label", "event", "object_type", "object_label", "changes")
    column_labels = {
        "id": "ID",
        "at": "When",
        "admin_label": "Who",
        "event": "Event",
        "object_type": "Kind",
        "object_id": "Record’s ID",
        "object_label": "Record",
        "changes": "From what to what",
    }
    column_formatters = {
        "event": event,
        "object_type": lambda view, context, entry, name: kind_of(entry.object_type),
        "object_label": record,
        "changes": changed,
    }
    column_sortable_list = ("at",)
    column_default_sort = ("id", True)
    column_searchable_list = ("object_label",)
    search_hint = "Search records, people, values"
    column_filters = (
        ChoiceWhere(
            AuditEntry.id,
            "Event",
            [(key, words) for key, (words, _) in EVENTS.items()],
            lambda key: AuditEntry.event == key,
        ),
        ChoiceWhere(AuditEntry.id, "Kind", kinds, lambda key: AuditEntry.object_type == key),
        WordsWhere(AuditEntry.id, "Who", lambda text: and_(has_words(text), holds(AuditEntry.admin_label, text))),
        WordsWhere(AuditEntry.id, "Record", lambda text: and_(has_words(text), holds(AuditEntry.object_label, text))),
        IsWhere(AuditEntry.id, "Record’s ID", lambda text: AuditEntry.object_id == text),
        WordsWhere(AuditEntry.id, "Text in changes", has_words),
        "at",
    )
    column_export_list = (
        "id",
        "at",
        ("admin", "admin_label"),
        "event",
        "object_type",
        "object_id",
        "object_label",
        ("before", lambda entry: json.dumps(entry.before or {}, ensure_ascii=False)),
        ("after", lambda entry: json.dumps(entry.after or {}, ensure_ascii=False)),
    )
    details_tabs = (Facts("General", ("at", "admin_label", "event", "object_type", "object_label", "object_id")),)

    def _searched(self, query: Any, joins: dict[Any, Any], search: str) -> tuple[Any, dict[Any, Any]]:
        """By the index over every word."""
        return query.filter(has_words(search)), joins

    def details_context(self, obj: Any) -> dict[str, Any]:
        """With everything that changed."""
        return {**super().details_context(obj), "changes": changes(obj)}
