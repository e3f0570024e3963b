"""Terms & policies: versions that stay, which is in force on a day; rich text that does nothing; order of questions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.content import contacts, faq, rich_text, terms
from app.content.models import FaqCategory, FaqEntry, TermsDocument
from app.core import settings
from app.core.actions import ReasonRequired

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
TODAY = date(2026, 3, 1)


@pytest.fixture
def document(session: Session) -> TermsDocument:
    """Terms of Service, never published."""
    made = TermsDocument(kind="terms-of-service", name={"en": "Terms of Service"}, draft={"en": "<p>One.</p>"})
    session.add(made)
    session.flush()
    return made


def publish(
    session: Session, document: TermsDocument, words: str, valid_from: date = TODAY, now: datetime = NOW
) -> int:
    """Another text as the next version; its number."""
    document.draft = {"en": f"<p>{words}</p>"}
    session.flush()
    return terms.publish(
        session, document=document, valid_from=valid_from, reason="Because", actor=None, now=now
    ).number


# --- versions -------------------------------------------------------------------------------------------------------


def test_versions_are_numbered_and_the_latest_valid_one_is_in_force(session: Session, document: TermsDocument) -> None:
    def on(day: date) -> int | None:
        found = terms.in_force(session, document_id=document.id, on=day)
        return found.number if found else None

    assert publish(session, document, "one", TODAY + timedelta(days=10)) == 1
    assert [on(TODAY), on(TODAY + timedelta(days=9)), on(TODAY + timedelta(days=10))] == [None, None, 1]
    assert publish(session, document, "two", TODAY + timedelta(days=30)) == 2
    assert publish(session, document, "three", TODAY + timedelta(days=20)) == 3
    days = {0: None, 10: 1, 19: 1, 20: 3, 29: 3, 30: 2, 1000: 2}
    assert {ahead: on(TODAY + timedelta(days=ahead)) for ahead in days} == days
    assert publish(session, document, "four", TODAY + timedelta(days=30)) == 4
    assert on(TODAY + timedelta(days=30)) == 4, "of two of a day the later one"
    [(kind, version)] = terms.public_versions(session, on=TODAY + timedelta(days=25))
    assert (kind, version.number) == ("terms-of-service", 3)


def test_a_version_stays_as_it_was_published(session: Session, document: TermsDocument) -> None:
    publish(session, document, "one")
    document.draft = {"en": "<p>changed</p>"}
    session.flush()
    assert terms.public_version(session, kind="terms-of-service", on=TODAY).texts == {"en": "<p>one</p>"}  # type: ignore[union-attr]
    for statement in ("UPDATE terms_version SET reason = 'x'", "DELETE FROM terms_version"):
        with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
            session.execute(text(statement))
    with pytest.raises(terms.DocumentPublished):
        terms.require_unpublished(session, document=document)


@pytest.mark.parametrize(
    "draft, ahead, problem",
    [
        ({}, 0, "Enter the text in English first"),
        ({"bg": "<p>Едно</p>"}, 0, "Enter the text in English first"),
        ({"en": "<p>x</p>"}, -1, "a day that is over"),
    ],
)
def test_what_drivers_could_not_read_is_not_published(
    session: Session, document: TermsDocument, draft: dict[str, str], ahead: int, problem: str
) -> None:
    document.draft = draft
    session.flush()
    with pytest.raises(terms.NotPublishable, match=problem):
        terms.publish(
            session, document=document, valid_from=TODAY + timedelta(days=ahead), reason="r", actor=None, now=NOW
        )
    assert terms.newest(session, document_id=document.id) is None


def test_nothing_new_is_no_version_and_a_reason_is_needed(session: Session, document: TermsDocument) -> None:
    publish(session, document, "one")
    with pytest.raises(terms.NotPublishable, match="Nothing has changed since version 1"):
        publish(session, document, "one")
    with pytest.raises(ReasonRequired):
        terms.publish(session, document=document, valid_from=TODAY, reason=" ", actor=None, now=NOW)


def test_a_day_is_the_systems(session: Session, document: TermsDocument) -> None:
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    assert terms.today(session, NOW) == TODAY + timedelta(days=1), "half past one at night in Sofia"
    with pytest.raises(terms.NotPublishable, match="over"):
        publish(session, document, "one", TODAY)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("Terms of Service", "terms-of-service"),
        ("  Privacy & Cookies – 2026 ", "privacy-cookies-2026"),
        ("Condições", "condicoes"),
        ("Общи условия", ""),
        ("../../etc", "etc"),
    ],
)
def test_names_become_addresses(name: str, kind: str) -> None:
    assert terms.kind_of(name) == kind


# --- rich text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hostile, left",
    [
        ("<p>a<script>alert(1)</script>b</p>", "<p>ab</p>"),
        ("<p onclick='x()' style='color:red' class='a' id='b'>a</p>", "<p>a</p>"),
        ("<img src=x onerror=alert(1)>text", "text"),
        ("<a href='javascript:alert(1)'>a</a>", '<a rel="noopener noreferrer">a</a>'),
        ("<a href=' JaVa\tscript:alert(1)'>a</a>", '<a rel="noopener noreferrer">a</a>'),
        ("<a href='data:text/html,<script>x</script>'>a</a>", '<a rel="noopener noreferrer">a</a>'),
        ("<a href='vbscript:x' target=_blank>a</a>", '<a rel="noopener noreferrer">a</a>'),
        ("<style>p{}</style><p>a</p>", "<p>a</p>"),
        ("<svg><script>alert(1)</script><a xlink:href='javascript:x'>t</a></svg><p>a</p>", "<p>a</p>"),
        ("<math><mi xlink:href='javascript:x'>t</mi></math><p>a</p>", "<p>a</p>"),
        ("<p>a<b><i>b</b>c</i>", "<p>a<strong><em>b</em></strong><em>c</em></p>"),
        ("<scr<script>ipt>alert(1)</scr</script>ipt>", "ipt&gt;alert(1)ipt&gt;"),
        ("<iframe srcdoc='<script>x</script>'></iframe><p>a</p>", "<p>a</p>"),
        ("<form action=//evil><input name=a><button>b</button></form>", "b"),
        ("<!--[if gte mso 9]><xml>x</xml><![endif]--><p>a</p>", "<p>a</p>"),
        ("<h1>T</h1><h6>t</h6>", "<h2>T</h2><h4>t</h4>"),
        ("<p>&nbsp;</p><p> <b> </b></p>", ""),
        (
            "<table><tr><td colspan=2 bgcolor=red>x</td></tr></table>",
            '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>',
        ),
        (
            "<a href='https://a.example/?x=1&y=2'>a</a>",
            '<a href="https://a.example/?x=1&amp;y=2" rel="noopener noreferrer">a</a>',
        ),
        ("a\x00<p>b</p>", "a<p>b</p>"),
    ],
)
def test_hostile_html_is_reduced_to_text(hostile: str, left: str) -> None:
    assert rich_text.clean(hostile) == left


@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<b>", "<script>", "</script>", "<svg>", "<a href='", "javascript:", "'>", "onerror=x",
             "<table>",
             "<td>", "</table>", "<style>", "-->", "<!--", "&lt;b&gt;",
             "<template>", "<math>", "<mtext>", "x", '"', "`"]
        ),
        max_size=25,
    ).map("".join)
)  # fmt: skip
def test_whatever_is_pasted_cleaning_twice_changes_nothing_and_leaves_no_door(pasted: str) -> None:
    cleaned = rich_text.clean(pasted)
    assert rich_text.clean(cleaned) == cleaned
    for door in ("<script", "<svg", "<style", "<math", "<template", "javascript:'", 'href="javascript'):
        assert door not in cleaned.lower()


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(rich_text.TextTooLong):
        rich_text.clean("<p>" + "x" * (rich_text.MAX_LENGTH + 1) + "</p>")


def test_what_changed_between_two_texts() -> None:
    before = "<h2>Terms</h2>" + "".join(f"<p>Paragraph {n}.</p>" for n in range(20))
    after = before.replace("<p>Paragraph 10.</p>", "<p>Paragraph <strong>ten</strong>.</p><p>New.</p>")
    changes = [(line.change, line.text) for line in rich_text.difference(before, after)]
    assert changes == [
        ("same", "…"), ("same", "Paragraph 8."), ("same", "Paragraph 9."), ("removed", "Paragraph 10."),
        ("added", "Paragraph ten."), ("added", "New."), ("same", "Paragraph 11."), ("same", "Paragraph 12."),
    ]  # fmt: skip
    assert rich_text.difference(before, before) == []


# --- questions, contacts --------------------------------------------------------------------------------------------


def question(session: Session, words: str, position: int, **values: object) -> FaqEntry:
    """A question at a place."""
    made = FaqEntry(question={"en": words}, answer={"en": "<p>a</p>"}, position=position, **values)
    session.add(made)
    session.flush()
    return made


def test_questions_move_by_one_and_to_a_place(session: Session) -> None:
    a, b, c, d = (question(session, words, 7) for words in "abcd")  # all at one place, as rows by SQL may be

    def order() -> str:
        return "".join(entry.question["en"] for entry in faq.ordered(session))

    assert faq.move(session, entry=b, up=True, actor=None)
    assert order() == "bacd"
    assert not faq.move(session, entry=b, up=True, actor=None)
    assert not faq.move(session, entry=d, up=False, actor=None)
    assert faq.put(session, entry=d, at_place_of=b, actor=None)
    assert order() == "dbac"
    assert faq.put(session, entry=d, at_place_of=a, actor=None)
    assert order() == "badc"
    assert not faq.put(session, entry=c, at_place_of=c, actor=None)
    assert [entry.position for entry in faq.ordered(session)] == [1, 2, 3, 4]


def test_drivers_read_what_is_published_by_category(session: Session) -> None:
    second, first = FaqCategory(name={"en": "B"}, position=2), FaqCategory(name={"en": "A"}, position=1)
    session.add_all([second, first])
    question(session, "1", 1, category=second)
    question(session, "2", 2)
    question(session, "3", 3, category=first)
    question(session, "4", 4, published=False)
    question(session, "5", 5, category=second)
    read = [
        (str(chapter.category or ""), [str(entry) for entry in chapter.entries]) for chapter in faq.published(session)
    ]
    assert read == [("", ["2"]), ("A", ["3"]), ("B", ["1", "5"])]


@pytest.mark.parametrize(
    "field, value", [("email", "nobody"), ("email", "a@b.c>"), ("phone", "call us"), ("phone", "12\n34")]
)
def test_contacts_nobody_could_use_are_refused(session: Session, field: str, value: str) -> None:
    values = {"email": "help@example.com", "phone": "+359 2 123", field: value}
    with pytest.raises(contacts.InvalidContact) as refused:
        contacts.change_contacts(session, hours={}, address={}, actor=None, **values)
    assert refused.value.field == field
    assert contacts.contacts(session).email == ""
