"""CONTENT > FAQ: questions and answers, in the order in which drivers read them."""

from __future__ import annotations

from typing import Any

from flask import abort, make_response, redirect, render_template, request
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import func
from wtforms import validators

from admin_views import formats
from admin_views.base import BaseView, Facts
from admin_views.content.words import SECTION, missing_languages
from admin_views.widgets.access import is_htmx
from admin_views.widgets.rich_text import RichTextField
from app.content import faq
from app.content.models import FaqCategory, FaqEntry
from app.core.i18n import localized


def _order(view: Any, context: Any, entry: FaqEntry, name: str) -> Any:
    if not view.can_edit:
        return str(entry.position)
    return Markup(render_template("content/_order.html", entry=entry, view=view))  # noqa: S704 (a template escapes)


def _languages(view: Any, context: Any, entry: FaqEntry, name: str) -> str:
    missing = missing_languages({code: entry.answer.get(code, "") and text for code, text in entry.question.items()})
    return f"Missing: {', '.join(missing)}" if missing else "All"


class FaqView(BaseView):
    """Questions and answers."""

    resource, singular, plural, icon = "content.faq", "Question", "FAQ", "help-circle"
    section = SECTION
    description = "Frequently asked questions, in the order of the driver’s app and of the public page."
    empty_hint = "A question and its answer in each language; one that is not published is seen by nobody else."
    list_template = "content/faq.html"
    create_template = edit_template = "content/form.html"
    details_template = "content/faq_entry.html"

    column_list = ("question", "category", "published", "languages", "order")
    column_labels = {
        "question": "Question",
        "answer": "Answer",
        "category": "Category",
        "published": "Published",
        "languages": "Languages",
        "order": "Order",
        "position": "Place",
        "created_at": "Created at",
    }
    column_formatters = {"order": _order, "languages": _languages}
    column_sortable_list = ("position", "published", "created_at")
    column_default_sort = "position"
    column_searchable_list = ("question", "answer")
    search_hint = "Search questions and answers"
    column_filters = ("published", "created_at")
    column_export_list = (
        "id",
        "position",
        ("category", lambda entry: localized(entry.category.name) if entry.category else ""),
        ("question", lambda entry: localized(entry.question)),
        "published",
    )
    i18n_fields = ("question",)
    form_columns = ("question", "answer", "category", "published")
    form_overrides = {"answer": RichTextField}
    form_args = {
        "question": {"validators": [validators.InputRequired()], "max_length": 300},
        "answer": {"validators": [validators.InputRequired()]},
        "category": {"description": "A heading under which it stands. Optional."},
        "published": {"default": True, "description": "Drivers read it as soon as it is saved."},
    }
    details_tabs = (
        Facts("Answer", template="content/_faq_answer.html"),
        Facts("General", ("category", "published", "position", "created_at")),
    )

    def on_model_change(self, form: Any, model: FaqEntry, is_created: bool) -> None:
        """A new question is the last."""
        if is_created:
            model.position = faq.next_position(self.db_session)

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With which ends of the list they are at."""
        ends = self.db_session.query(func.min(FaqEntry.position), func.max(FaqEntry.position)).one()
        for entry in rows:
            entry.first, entry.last = entry.position <= (ends[0] or 0), entry.position >= (ends[1] or 0)
        return rows

    @expose("/move/", methods=("POST",))
    def move_view(self) -> Any:
        """One place up or down, or (``to``) to the place that another has."""
        self.require("edit")
        entry = self.get_one(request.args.get("id"))
        actor = current_user._get_current_object()
        if "to" in request.args:
            faq.put(self.db_session, entry=entry, at_place_of=self.get_one(request.args["to"]), actor=actor)
        elif request.args.get("direction") in ("up", "down"):
            faq.move(self.db_session, entry=entry, up=request.args["direction"] == "up", actor=actor)
        else:
            abort(400)
        self.db_session.commit()
        if not is_htmx():
            return redirect(self.get_url(".index_view"), code=303)
        response = make_response("", 200)
        response.headers["HX-Trigger"] = "record-changed"
        return response

    def details_context(self, obj: FaqEntry) -> dict[str, Any]:
        """Which languages are missing."""
        return {**super().details_context(obj), "missing": missing_languages(obj.answer)}


class FaqCategoryView(BaseView):
    """Headings of questions; reached from the FAQ."""

    resource, singular, plural, icon = "content.faq", "Category", "FAQ Categories", "list-details"
    section = SECTION
    description = "Headings under which questions stand, in this order."
    empty_hint = "Such as Charging, Payment, My account."

    column_list = ("name", "position")
    column_labels = {"name": "Name", "position": "Place"}
    column_sortable_list = ("position",)
    column_default_sort = "position"
    column_searchable_list = ("name",)
    column_filters = ("position",)
    column_export_list = ("id", "position", ("name", lambda category: localized(category.name)))
    i18n_fields = ("name",)
    form_columns = ("name", "position")
    form_args = {
        "name": {"validators": [validators.InputRequired()], "max_length": 120},
        "position": {"description": "Categories are shown by this number, the lowest first."},
    }
    details_tabs = (Facts("General", ("name", "position")),)

    def is_visible(self) -> bool:
        """Not in the menu: the FAQ's page leads here."""
        return False

    def create_form(self, obj: Any = None) -> Any:
        """A new one is the last unless said otherwise."""
        form = super().create_form(obj)
        if request.method == "GET" and not form.position.data:
            form.position.data = faq.next_category_position(self.db_session)
        return form

    def delete_warning(self, obj: FaqCategory) -> str:
        """What becomes of its questions."""
        count = self.db_session.query(func.count()).select_from(FaqEntry).filter_by(category_id=obj.id).scalar() or 0
        return f"{formats.number(count)} question{'s' if count != 1 else ''} will have no category." if count else ""
