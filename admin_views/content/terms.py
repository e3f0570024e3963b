"""CONTENT > Terms & Policies: a draft, its published versions, and what changed between them."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import abort, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy.orm import selectinload
from wtforms import DateField, validators

from admin_views import formats
from admin_views.base import BaseView, Facts, ReasonForm, RecordAction
from admin_views.content.words import SECTION, default_language, missing_languages
from admin_views.widgets.rich_text import RichTextField
from app.content import rich_text, terms
from app.content.models import TermsDocument
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import LANGUAGES, localized
from app.core.models import Admin


class PublishForm(ReasonForm):
    """From which day on."""

    valid_from = DateField(
        "In force from",
        [validators.InputRequired("Enter the day from which it is in force.")],
        default=lambda: terms.today(db.session(), utcnow()),
        description="From the beginning of that day, in the system’s time zone.",
    )


def publish(obj: TermsDocument, form: PublishForm, *, reason: str, actor: Admin) -> str:
    """Make the draft a version."""
    version = terms.publish(
        db.session(), document=obj, valid_from=form.valid_from.data, reason=reason, actor=actor, now=utcnow()
    )
    return f"Version {version.number} is published, in force from {version.valid_from:%Y-%m-%d}."


def _now(view: Any, context: Any, obj: TermsDocument, name: str) -> Any:
    found = terms.in_force(db.session(), document_id=obj.id, on=terms.today(db.session(), utcnow()))
    return f"Version {found.number}" if found else formats.NOTHING


def _changed(view: Any, context: Any, obj: TermsDocument, name: str) -> str:
    last = obj.versions[0] if obj.versions else None
    if last is None:
        return "Never published"
    return "As published" if (last.texts, last.name) == (obj.draft, obj.name) else "Changed since"


class TermsView(BaseView):
    """Documents that drivers agree to or read."""

    resource, singular, plural = "content.terms", "Document", "Terms & Policies"
    section, icon = SECTION, "file-text"
    description = "Shown to drivers when they sign up, and on public pages. A draft is published as a version."
    empty_hint = "Such as Terms of Service and Privacy Policy."
    create_template = edit_template = "content/form.html"
    details_template = "content/terms.html"

    column_list = ("name", "in_force", "draft", "kind")
    column_labels = {
        "name": "Name",
        "in_force": "In force",
        "draft": "Draft",
        "kind": "Public address",
        "created_at": "Created at",
    }
    column_formatters = {
        "in_force": _now,
        "draft": _changed,
        "kind": lambda view, context, obj, name: f"/public/terms/{obj.kind}",
    }
    column_sortable_list = ("kind",)
    column_default_sort = "id"
    column_searchable_list = ("kind",)
    search_hint = "Search by address"
    column_filters = ("kind", "created_at")
    column_export_list = (
        "id",
        "kind",
        ("name", lambda document: localized(document.name)),
        ("version", lambda document: document.versions[0].number if document.versions else ""),
        ("valid_from", lambda document: document.versions[0].valid_from if document.versions else ""),
    )
    load_options = (selectinload(TermsDocument.versions),)
    details_load_options = (selectinload(TermsDocument.versions),)
    i18n_fields = ("name",)
    form_columns = ("name", "draft")
    form_overrides = {"draft": RichTextField}
    form_args = {
        "name": {
            "validators": [validators.InputRequired()],
            "max_length": 120,
            "description": "Such as Terms of Service or Privacy Policy. The public address is made of the English name "
            "and stays.",
        },
        "draft": {
            "label": "Text",
            "description": "Written here, or pasted from a word processor: headings, bold, italic, lists, links and "
            "tables are kept. Drivers read it once it is published.",
        },
    }
    details_tabs = (
        Facts("Draft", template="content/_draft.html"),
        Facts("Versions", template="content/_versions.html"),
    )
    refusals = (terms.DocumentPublished,)
    actions = (
        RecordAction(
            "publish",
            "Publish",
            publish,
            form=PublishForm,
            icon="broadcast",
            bulk=False,
            button="Publish",
            help="The draft becomes a version that nobody can change. The reason stands in the history of versions.",
            refusals=(terms.NotPublishable,),
        ),
    )

    def on_model_change(self, form: Any, model: TermsDocument, is_created: bool) -> None:
        """A new document has an address of its own."""
        if not is_created:
            return
        model.kind = terms.kind_of(model.name.get("en", ""))
        if not model.kind:
            raise validators.ValidationError("The English name needs letters: the public address is made of them.")
        taken = self.db_session.query(TermsDocument.id).filter(TermsDocument.kind == model.kind)
        if model.id is None and self.db_session.query(taken.exists()).scalar():
            raise validators.ValidationError(f"There is a document at /public/terms/{model.kind} already.")

    def can_delete_row(self, obj: Any) -> bool:
        """Only what was never published."""
        return self.can_delete and not obj.versions

    def on_model_delete(self, model: Any) -> None:
        """The same, whoever asks."""
        terms.require_unpublished(self.db_session, document=model)

    def details_context(self, obj: TermsDocument) -> dict[str, Any]:
        """Which version is in force, and what is missing in the draft."""
        session = self.db_session
        language = self._language(obj.draft)
        asked = request.args.get("on", "")
        day = _day(asked) or terms.today(session, utcnow())
        return {
            **super().details_context(obj),
            "language": language,
            "languages": LANGUAGES,
            "draft_text": obj.draft.get(language, ""),
            "missing": missing_languages(obj.draft),
            "default_language": LANGUAGES[default_language()],
            "in_force": terms.in_force(session, document_id=obj.id, on=terms.today(session, utcnow())),
            "day": day,
            "on_that_day": terms.in_force(session, document_id=obj.id, on=day),
            "draft_state": _changed(self, {}, obj, "draft"),
        }

    @expose("/version/")
    def version_view(self) -> str:
        """One version: its text and what changed from the one before."""
        document = self.get_one(request.args.get("id"))
        number = request.args.get("number", "")
        version = next((each for each in document.versions if str(each.number) == number), None)
        if version is None:
            abort(404)
        before = terms.version_before(self.db_session, version=version)
        language = self._language(version.texts)
        return self.render(
            "content/version.html",
            page_title=str(version),
            document=document,
            version=version,
            before=before,
            language=language,
            languages=LANGUAGES,
            text=version.texts.get(language, ""),
            changes=rich_text.difference(before.texts.get(language, ""), version.texts.get(language, ""))
            if before
            else None,
        )

    @staticmethod
    def _language(texts: dict[str, str]) -> str:
        """The language asked for, else the admin's own where there is a text, else the default."""
        asked = request.args.get("language", "")
        if asked in LANGUAGES:
            return asked
        own = current_user.locale if current_user.is_authenticated else ""
        return own if own in LANGUAGES and texts.get(own) else default_language()


def _day(text: str) -> date | None:
    """A day of an address, or None for what is none."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
