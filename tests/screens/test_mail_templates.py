"""CONFIGURATION > Mail Templates: reading, changing, previewing and trying the words of a mail."""

from __future__ import annotations

import contextvars
import html
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.core import mail_words
from app.core.i18n import LANGUAGES
from app.core.mail_kinds import KINDS
from app.core.messages import Mail, MailTemplate
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

PAGE = "/configuration/mail-template/"
EDIT = f"{PAGE}edit/?name=receipt&language=bg"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def words(answer: Any) -> str:
    """The text of a page."""
    return html.unescape(answer.get_data(as_text=True))


def unchecked(client: Visitor, address: str, **options: Any) -> TestResponse:
    """What is no page of ours: a mail styles itself inline."""
    return contextvars.Context().run(FlaskClient.open, client, address, buffered=True, **options)


def test_every_mail_is_listed_with_its_languages(olga: Visitor) -> None:
    page = words(olga.get(PAGE))
    for kind in KINDS.values():
        assert kind.title in page
        assert f"{PAGE}edit/?name={kind.name}&language=zh-Hant" in page
    assert f"{LANGUAGES['bg']}: the product’s words" in page
    assert f"{LANGUAGES['bg']}: no words of its own" in page


@pytest.mark.parametrize("name", KINDS)
def test_every_mail_opens_and_previews(olga: Visitor, name: str) -> None:
    page = words(olga.get(f"{PAGE}edit/?name={name}&language=en"))
    assert all(f"{{{{ {each.name} }}}}" in page for each in KINDS[name].all_placeholders)
    shown = unchecked(olga, f"{PAGE}preview/?name={name}&language=en")
    assert "{{" not in shown.get_data(as_text=True)
    assert "sandbox" in shown.headers["Content-Security-Policy"]


@pytest.mark.parametrize("query", ["", "?name=nonsense", "?name=receipt&language=xx"])
def test_what_does_not_exist_is_not_found(olga: Visitor, query: str) -> None:
    assert olga.get(f"{PAGE}edit/{query}").status_code == 404


def test_words_are_saved_previewed_and_reset(olga: Visitor, session: Session) -> None:
    before = words(olga.get(EDIT))
    assert "Приложена е разписка" in before
    assert "Reset to default" not in before
    data = {"subject": "Вашата разписка {{ number }}", "body": "Благодарим, {{ name }}!", "_version": "0"}
    shown = unchecked(
        olga, EDIT.replace("/edit/", "/preview/"), method="POST", data={**data, "csrf_token": token(olga)}
    )
    assert "Благодарим, Alex Petkov!" in words(shown)
    assert session.scalars(select(MailTemplate)).all() == [], "a preview saves nothing"
    assert olga.post(EDIT, data=data).status_code == 303
    after = words(olga.get(EDIT))
    assert "Благодарим, {{ name }}!" in after and "Reset to default" in after
    assert f"{LANGUAGES['bg']}: your own words" in words(olga.get(PAGE))
    assert "Благодарим" in words(olga.get(EDIT.replace("/edit/", "/history/")))
    stale = olga.post(EDIT, data={**data, "body": "Друго"})
    assert stale.status_code == 422
    assert "Somebody else has saved" in words(stale) and "Друго" in words(stale)
    olga.post(EDIT.replace("/edit/", "/reset/"))
    assert "Приложена е разписка" in words(olga.get(EDIT))
    assert "Reset to the product’s words" in words(olga.get(EDIT.replace("/edit/", "/history/")))


def token(client: Visitor) -> str:
    """A CSRF token of that session, as a form of it holds."""
    page = client.get(EDIT).get_data(as_text=True)
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_a_mistake_is_said_and_nothing_is_lost(olga: Visitor, session: Session) -> None:
    answer = olga.post(EDIT, data={"subject": "S", "body": "Hi {{ nmae }} <b>", "_version": "0"})
    assert answer.status_code == 422
    assert "there is no placeholder {{ nmae }}. There are: name," in words(answer)
    assert "Hi {{ nmae }} <b>" in words(answer)
    assert session.scalars(select(MailTemplate)).all() == []


def test_a_test_goes_to_oneself_with_example_data_and_saves_nothing(olga: Visitor, session: Session) -> None:
    address = EDIT.replace("/edit/", "/test/")
    answer = olga.post(address, data={"subject": "R {{ number }}", "body": "Hi {{ name }}", "_version": "0"})
    assert "Sent to olga@operator.example" in words(answer)
    [mail] = session.scalars(select(Mail))
    assert (mail.recipient, mail.subject, mail.body) == ("olga@operator.example", "R R-2026-000123", "Hi Alex Petkov\n")
    assert session.scalars(select(MailTemplate)).all() == []
    assert olga.post(address, data={"subject": "", "body": "x"}).status_code == 422


def test_a_language_without_words_shows_what_is_sent_instead(olga: Visitor) -> None:
    page = words(olga.get(f"{PAGE}edit/?name=outage&language=bg"))
    assert "There are no words in Bulgarian: the mail is sent in English" in page
    assert "has given no sign of life" in page


def test_who_may_only_look_changes_nothing(clean: Flask, session: Session) -> None:
    rita = make.admin(session, "Rita Reader", "Readers", permissions=["configuration.mail_template.view"])
    session.commit()
    reader = make.signed_in(clean, rita)
    page = words(reader.get(EDIT))
    assert "readonly" in page and ">Save<" not in page
    for verb in ("edit", "reset", "test"):
        assert reader.post(EDIT.replace("/edit/", f"/{verb}/"), data={"subject": "S", "body": "x"}).status_code == 403
    assert not mail_words.words_of(session, "receipt", language="bg").own
