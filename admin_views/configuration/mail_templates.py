"""CONFIGURATION > Mail Templates: the words of each mail in each language, the product's or the operator's own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from flask import abort, flash, redirect, request
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import select

from admin_views.base import PageView
from admin_views.configuration.admins import SECTION
from admin_views.configuration.outbox import preview
from app.core import mail_words
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import LANGUAGES
from app.core.mail import queue_mail
from app.core.mail_kinds import KINDS, Audience, MailKind
from app.core.mail_words import Words, WordsChanged, WordsInvalid
from app.core.messages import MailTemplate
from app.core.models import AuditEntry

HISTORY_ROWS = 20
AUDIENCES = {Audience.DRIVER: "To drivers", Audience.ADMIN: "To the operator"}


@dataclass(frozen=True, slots=True)
class Tongue:
    """A mail in one language: whose words it has there."""

    code: str
    name: str
    own: bool
    product: bool

    @property
    def said(self) -> str:
        """In words, for who does not see the colour."""
        return "your own words" if self.own else "the product’s words" if self.product else "no words of its own"


class MailTemplatesView(PageView):
    """A list of the mails, and a page for each mail and language."""

    resource, title, section, icon = "configuration.mail_template", "Mail Templates", SECTION, "template"

    @expose("/")
    def index(self) -> str:
        """Every mail with its languages."""
        self.require("view")
        own = {(row.name, row.language) for row in db.session.scalars(select(MailTemplate))}
        groups = {
            label: [(kind, _tongues(kind, own)) for kind in KINDS.values() if kind.audience is audience]
            for audience, label in AUDIENCES.items()
        }
        return self.render("configuration/mail_templates.html", groups=groups)

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Any:
        """One mail in one language; POST saves it."""
        self.require("view")
        kind, language = self._asked()
        if request.method == "GET":
            return self._page(kind, language, self._words(kind, language))
        self.require("edit")
        words = self._posted(language)
        try:
            mail_words.change_words(
                db.session(),
                name=kind.name,
                language=language,
                subject=words.subject,
                body=words.body,
                actor=current_user._get_current_object(),
                expected=request.form.get("_version", 0, type=int),
            )
        except (WordsInvalid, WordsChanged) as error:
            db.session.rollback()
            return self._page(kind, language, words, problem=str(error)), 422
        db.session.commit()
        flash(f"Saved: {kind.title} in {LANGUAGES[language]}. The next mail has these words.", "success")
        return redirect(self._url(kind, language), code=303)

    @expose("/reset/", methods=("POST",))
    def reset_view(self) -> Any:
        """Back to the product's own words."""
        self.require("edit")
        kind, language = self._asked()
        actor = current_user._get_current_object()
        if mail_words.reset_words(db.session(), name=kind.name, language=language, actor=actor):
            db.session.commit()
            flash(f"{kind.title} in {LANGUAGES[language]} has the product’s words again.", "success")
        return redirect(self._url(kind, language), code=303)

    @expose("/preview/", methods=("GET", "POST"))
    def preview_view(self) -> Any:
        """The mail with example data, as its recipient would see it: the words as posted, else those in force."""
        self.require("view")
        kind, language = self._asked()
        words = self._posted(language) if request.method == "POST" else self._words(kind, language)
        try:
            subject, body = mail_words.check(kind, subject=words.subject, body=words.body)
        except WordsInvalid as error:
            return preview(Markup('<!doctype html><html lang="en"><title>Error</title><p>{}</p></html>').format(error))
        return preview(mail_words.filled(kind, Words(language, subject, body), kind.examples).html)

    @expose("/test/", methods=("POST",))
    def test_view(self) -> Any:
        """Send the words as they stand in the form, with example data, to whoever asks."""
        self.require("edit")
        kind, language = self._asked()
        words = self._posted(language)
        try:
            subject, body = mail_words.check(kind, subject=words.subject, body=words.body)
        except WordsInvalid as error:
            return self._page(kind, language, words, problem=str(error)), 422
        mail = mail_words.filled(kind, Words(language, subject, body), kind.examples)
        admin = current_user._get_current_object()
        queue_mail(
            db.session(),
            key=f"template-test:{secrets.token_hex(8)}",
            recipient=admin.email,
            subject=mail.subject,
            body=mail.body,
            html=mail.html,
            now=utcnow(),
        )
        db.session.commit()
        flash(
            f"Sent to {admin.email} with example data; nothing was saved. The Outbox shows what becomes of it.", "info"
        )
        return self._page(kind, language, words)

    @expose("/history/")
    def history_view(self) -> str:
        """Who changed a mail's words in a language, newest first."""
        self.require("view")
        kind, language = self._asked()
        entries = db.session.scalars(
            select(AuditEntry)
            .where(
                AuditEntry.object_type == MailTemplate.__tablename__,
                AuditEntry.object_id == f"{kind.name}.{language}",
            )
            .order_by(AuditEntry.id.desc())
            .limit(HISTORY_ROWS)
        ).all()
        return self.render("configuration/_mail_template_history.html", entries=entries)

    # --- parts ----------------------------------------------------------------------------------------------

    @staticmethod
    def _asked() -> tuple[MailKind, str]:
        kind, language = KINDS.get(request.args.get("name", "")), request.args.get("language", "en")
        if kind is None or language not in LANGUAGES:
            abort(404)
        return kind, language

    @staticmethod
    def _posted(language: str) -> Words:
        body = request.form.get("body", "").replace("\r\n", "\n")
        return Words(language, request.form.get("subject", ""), body, own=True)

    @staticmethod
    def _words(kind: MailKind, language: str) -> Words:
        """What is in force there; in a language without words, those that are sent instead, to be translated."""
        return mail_words.words_of(db.session(), kind.name, language=language)

    def _url(self, kind: MailKind, language: str) -> str:
        return self.get_url(".edit_view", name=kind.name, language=language)

    def _page(self, kind: MailKind, language: str, words: Words, *, problem: str = "") -> str:
        session = db.session()
        own = {(row.name, row.language) for row in session.scalars(select(MailTemplate))}
        return self.render(
            "configuration/mail_template.html",
            page_title=kind.title,
            kind=kind,
            language=language,
            language_name=LANGUAGES[language],
            tongues=_tongues(kind, own),
            words=words,
            fallback=LANGUAGES.get(words.language, words.language) if words.language != language else "",
            own=(kind.name, language) in own,
            problem=problem,
            may_edit=self.may("configuration.mail_template.edit"),
            version=mail_words.version_of(session, name=kind.name, language=language),
        )


def _tongues(kind: MailKind, own: set[tuple[str, str]]) -> list[Tongue]:
    return [
        Tongue(code, name, (kind.name, code) in own, mail_words.product_words(kind.name, code) is not None)
        for code, name in LANGUAGES.items()
    ]
