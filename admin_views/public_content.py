"""Texts of CONTENT for drivers, without login: terms & policies, questions and answers, contacts. No personal data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from babel import Locale
from babel.dates import format_date
from flask import Blueprint, Flask, Response, abort, g, make_response, render_template, request
from markupsafe import Markup

from admin_views.public_words import words
from app.content import contacts, faq, rich_text, terms
from app.content.models import ContactDetails
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import DEFAULT_LANGUAGE, LANGUAGES, localized

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Help:
    """What stands at the foot of every public page."""

    contact: ContactDetails
    hours: str
    address: str
    #: kind and name of each document that is in force
    documents: list[tuple[str, str]]
    has_questions: bool

    def __bool__(self) -> bool:
        contact = self.contact
        return bool(
            contact.email or contact.phone or self.hours or self.address or self.documents or self.has_questions
        )


def language() -> str:
    """The language asked for in the address, else the best of the browser's, else the default one."""
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        return asked
    # "zh-TW" is no relative of "zh-Hant" by its letters, but by its language
    default = settings.get_text(db.session(), "app.default_language")
    best = request.accept_languages.best_match([*LANGUAGES, "zh"], default) or default
    return "zh-Hant" if best == "zh" else best


def in_language(texts: dict[str, str], spoken: str) -> tuple[str, str]:
    """A text and its language: the one spoken, else the default one, else English, else any."""
    default = settings.get_text(db.session(), "app.default_language")
    for code in (spoken, default, DEFAULT_LANGUAGE, *texts):
        if texts.get(code):
            return texts[code], code
    return "", spoken


def help_of(spoken: str) -> Help:
    """What a driver may need beside the page."""
    session = db.session()
    on = terms.today(session, utcnow())
    contact = contacts.contacts(session)
    return Help(
        contact,
        in_language(contact.hours, spoken)[0],
        in_language(contact.address, spoken)[0],
        [(kind, localized(version.name, spoken)) for kind, version in terms.public_versions(session, on=on)],
        faq.any_published(session),
    )


def _page(template: str, spoken: str, **context: Any) -> Response:
    company = settings.get_text(db.session(), "system.company_name")
    html = render_template(
        template,
        language=spoken,
        words=words(spoken),
        help=help_of(spoken),
        company=company,
        languages=LANGUAGES,
        **context,
    )
    response = make_response(html)
    response.cache_control.public = True
    response.cache_control.max_age = SECONDS
    response.vary.add("Accept-Language")
    return response


def document(kind: str) -> Response:
    """A document as it is in force today."""
    spoken = language()
    session = db.session()
    version = terms.public_version(session, kind=kind, on=terms.today(session, utcnow()))
    if version is None:
        g.public_missing = "nothing_here"
        abort(404)
    text, code = in_language(version.texts, spoken)
    say = words(spoken)
    day = format_date(version.valid_from, "long", locale=Locale.parse(spoken, sep="-"))
    return _page(
        "public/terms.html",
        spoken,
        name=localized(version.name, spoken),
        text=text,
        text_language=code,
        about=say["in_force_from"].format(number=version.number, day=day),
        other_language=say["other_language"] if code != spoken else "",
    )


def questions() -> Response:
    """The published questions with their answers."""
    spoken = language()
    chapters = [
        (
            localized(chapter.category.name, spoken) if chapter.category else "",
            [(in_language(entry.question, spoken), in_language(entry.answer, spoken)) for entry in chapter.entries],
        )
        for chapter in faq.published(db.session())
    ]
    return _page("public/faq.html", spoken, chapters=chapters)


def cleaned(html: str) -> Markup:
    """A stored text as HTML: cleaned once more, whoever stored it."""
    return Markup(rich_text.clean(html))  # noqa: S704 (that is what cleaning is for)


def add_pages(app: Flask, blueprint: Blueprint, limit: Callable[[Any], Any]) -> None:
    """Put the pages on the public blueprint, each under its throttle."""
    app.jinja_env.filters["cleaned"] = cleaned
    blueprint.add_url_rule("/terms/<kind>", "terms", limit(document))
    blueprint.add_url_rule("/faq", "faq", limit(questions))
