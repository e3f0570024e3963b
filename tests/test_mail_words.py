"""The words of mails: placeholders and nothing else, the operator's own before the product's, in the right language."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import mail_parts, mail_words, settings
from app.core.i18n import LANGUAGES
from app.core.mail_kinds import KINDS, Audience
from app.core.mail_parts import Block, bullets, facts
from app.core.mail_words import WordsChanged, WordsInvalid
from app.core.models import AuditEntry
from tests.support import factories_crm as make

RECEIPT = KINDS["receipt"]
VALUES = dict(RECEIPT.examples)


# --- the product's own words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_mail_has_words_in_english(name: str) -> None:
    assert mail_words.product_words(name, "en") is not None


@pytest.mark.parametrize(
    "name, language",
    [
        pair
        for pair in itertools.product(KINDS, [*LANGUAGES, "de", "fr"])
        if (mail_words.WORDS_FOLDER / f"{pair[0]}.{pair[1]}.txt").is_file()
    ],
)
def test_the_products_words_fit_their_own_rules_and_use_every_placeholder_that_english_uses(
    name: str, language: str
) -> None:
    words, english = mail_words.product_words(name, language), mail_words.product_words(name, "en")
    assert words is not None and english is not None
    assert mail_words.check(KINDS[name], subject=words.subject, body=words.body) == (words.subject, words.body)
    found, wanted = (set(mail_parts.PLACEHOLDER.findall(f"{each.subject}\n{each.body}")) for each in (words, english))
    assert found == wanted


@pytest.mark.parametrize("name", [kind.name for kind in KINDS.values() if kind.audience is Audience.DRIVER])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_driver_is_addressed_in_each_language_of_the_product(name: str, language: str) -> None:
    assert mail_words.product_words(name, language) is not None


def test_no_file_is_of_a_mail_that_does_not_exist() -> None:
    assert {path.name.partition(".")[0] for path in mail_words.WORDS_FOLDER.iterdir()} == set(KINDS)


# --- which words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "locale, spoken",
    [("bg", "bg"), ("pt-BR", "pt"), ("zh-TW", "zh-Hant"), ("zh_CN", "zh-Hant"), ("de-AT", "de"), ("", "")],
)
def test_locales_become_languages(locale: str, spoken: str) -> None:
    assert mail_words.spoken(locale) == spoken


def test_own_words_come_first_then_the_default_language_then_english(session: Session) -> None:
    def language_for(asked: str | None, name: str = "receipt") -> str:
        return mail_words.compose(session, name, language=asked, values=dict(KINDS[name].examples)).language

    assert [language_for(each) for each in ("pt-BR", "xx", None)] == ["pt", "en", "en"]
    settings.change_setting(session, key="app.default_language", value="bg", actor=None)
    assert [language_for(each) for each in ("pt-BR", "xx", None)] == ["pt", "bg", "bg"]
    assert language_for(None, "outage") == "en", "there are none in Bulgarian"
    mail_words.change_words(
        session, name="outage", language="bg", subject="Няма връзка: {{ station }}", body="{{ details }}", actor=None
    )
    mail = mail_words.compose(session, "outage", values=dict(KINDS["outage"].examples))
    assert (mail.language, mail.subject) == ("bg", "Няма връзка: MODERA 01")
    assert '<html lang="bg">' in mail.html


def test_a_value_that_is_missing_is_an_error_and_no_hole_in_the_mail(session: Session) -> None:
    with pytest.raises(KeyError, match="total"):
        mail_words.compose(session, "receipt", values={key: VALUES[key] for key in VALUES if key != "total"})


# --- the form of words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject, body, problem",
    [
        ("S", "Hello {{ nmae }}", "there is no placeholder {{ nmae }}. There are: name, number"),
        ("S {{ secret_key }}", "x", "Subject: there is no placeholder {{ secret_key }}"),
        ("S", "{{ name.__class__ }}", "“{{ name.__class__ }}” is not a placeholder"),
        ("S", "{{ name|upper }}", "is not a placeholder"),
        ("S", "{{ 7*7 }}", "is not a placeholder"),
        ("S", "{% for x in y %}", "“{%” is not a placeholder"),
        ("S", "{# no #}", "is not a placeholder"),
        ("S", "{{}}", "is not a placeholder"),
        ("S", "[Open]({{ name }})", "{{ name }} is no address"),
        ("", "x", "Subject: enter one"),
        ("S", " \n ", "Text: enter one"),
        ("S" * 256, "x", "at most 255"),
        ("S", "x" * 10_001, "at most 10,000"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_to_change(subject: str, body: str, problem: str) -> None:
    with pytest.raises(WordsInvalid) as refused:
        mail_words.check(RECEIPT, subject=subject, body=body)
    assert problem in str(refused.value)


def test_what_has_several_lines_stands_on_a_line_of_its_own() -> None:
    for subject, body in (("{{ details }}", "x"), ("S", "See {{ details }}")):
        with pytest.raises(WordsInvalid, match="several lines"):
            mail_words.check(KINDS["outage"], subject=subject, body=body)
    assert mail_words.check(KINDS["outage"], subject="S", body="a\n{{ details }}\nb")


def test_paragraphs_headings_buttons_and_small_print() -> None:
    words = "Hello {{ name }},\nsecond line\n\n## What now\n{{ list }}\n\n[Open]({{ link }})\n\n--\n{{ company }}"
    values = {"name": "A & B", "list": bullets([("", "one", ": two")]), "link": "https://x/?a=1&b=2", "company": "C"}
    assert mail_parts.as_text(words, values) == (
        "Hello A & B,\nsecond line\n\nWhat now:\n  one: two\n\nhttps://x/?a=1&b=2\n\n--\nC\n"
    )
    html, small = mail_parts.as_html(words, values)
    assert "<p>Hello A &amp; B,<br>second line</p>" in html
    assert ">What now</h2>" in html
    assert "<li>one: two</li>" in html
    assert 'href="https://x/?a=1&amp;b=2"' in html
    assert small == "C"


def test_a_line_without_anything_to_say_is_left_out() -> None:
    words = "Hello\n\nQuestions? {{ reach }}\n\n{{ details }}\n\nBye {{ name }}"
    values: dict[str, mail_parts.Value] = {"reach": "", "details": Block("", Markup()), "name": "A"}
    assert mail_parts.as_text(words, values) == "Hello\n\nBye A\n"
    assert mail_parts.as_html(words, values)[0] == "<p>Hello</p>\n<p>Bye A</p>"


@given(st.text(alphabet=st.sampled_from(list("{}[]()<>&\"'#-\n ab/:%|=")), max_size=40))
def test_a_value_is_never_read_as_form_or_as_html(value: str) -> None:
    words = "{{ name }}\n\nx {{ name }} y\n\n--\n{{ name }}"
    html, small = mail_parts.as_html(words, {"name": value})
    for shown in (html, small):
        rest = re.sub("</?p>|<br>", "", shown)
        assert "<" not in rest and ">" not in rest and '"' not in rest
    assert mail_parts.fill("{{ name }}", {"name": value}) == value


def test_facts_escape_what_a_station_says() -> None:
    block = facts([("Fault", "<img src=x onerror=alert(1)>")])
    assert "<img" not in block.html
    assert "<img src=x" in block.text


# --- the operator's own words ---------------------------------------------------------------------------------------


def test_words_are_changed_audited_and_reset(session: Session) -> None:
    olga = make.admin(session)

    def change(body: str, **more: int) -> object:
        return mail_words.change_words(
            session, name="receipt", language="bg", subject="Р {{ number }}", body=body, actor=olga, **more
        )

    change("Здравейте!", expected=0)
    assert mail_words.compose(session, "receipt", language="bg", values=VALUES).body == "Здравейте!\n"
    with pytest.raises(WordsChanged):
        change("Друго", expected=0)
    change("Друго", expected=mail_words.version_of(session, name="receipt", language="bg"))
    assert mail_words.reset_words(session, name="receipt", language="bg", actor=olga)
    assert not mail_words.reset_words(session, name="receipt", language="bg", actor=olga)
    assert "Приложена е разписка" in mail_words.compose(session, "receipt", language="bg", values=VALUES).body
    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.event, entry.object_id) for entry in entries] == [
        ("create", "receipt.bg"), ("change", "receipt.bg"), ("delete", "receipt.bg"),
    ]  # fmt: skip
    assert (entries[1].before, entries[1].after) == ({"text": "Здравейте!"}, {"text": "Друго"})


def test_the_products_words_entered_again_are_no_words_of_ones_own(session: Session) -> None:
    product = mail_words.product_words("receipt", "bg")
    assert product is not None
    body = product.body.replace("\n", "\r\n") + "  \r\n"
    assert (
        mail_words.change_words(session, name="receipt", language="bg", subject=product.subject, body=body, actor=None)
        is None
    )
    assert not mail_words.words_of(session, "receipt", language="bg").own
