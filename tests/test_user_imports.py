"""Importing users and cards: every mistake told, and the preview says what happens. product.md, "Lists", "Actions"."""

from __future__ import annotations

import csv
import io
import random
from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.import_file import UnreadableFile
from app.core.import_plan import ImportChanged, InvalidImport, Outcome, Plan
from app.core.models import Action, AuditEntry
from app.crm import imports, verbs
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus
from tests.support import factories_crm as make
from tests.support.factories_crm import NOW


def preview(session: Session, text: str | bytes) -> Plan:
    """The plan; nothing of it stays."""
    try:
        return imports.preview_import(session, data=text.encode() if isinstance(text, str) else text)
    finally:
        session.rollback()


def do(session: Session, text: str) -> Plan:
    """Import what was previewed."""
    digest = preview(session, text).digest
    plan, _ = imports.apply_import(
        session, data=text.encode(), previewed=digest, reason="Migration", actor=None, now=NOW
    )
    session.commit()
    session.expire_all()
    return plan


def world(session: Session) -> dict[str, Any]:
    """All users with their cards, as plain data."""
    return {
        user.email.lower(): (
            user.first_name, user.city, user.status, sorted(group.name for group in user.groups), user.phone,
            sorted((tag.tag_id.upper(), tag.card_no, tag.status, tag.expires_on) for tag in user.rfid_tags),
        )
        for user in session.scalars(select(User))
    }  # fmt: skip


def test_a_file_creates_and_changes_users_and_cards(session: Session) -> None:
    fleet = make.user_group(session, "Fleet")
    old = make.user(session, "old@example.com", first_name="Old", city="Sofia", groups=[fleet])
    make.tag(session, old, "04AA", card_no="C-1")
    session.commit()
    plan = do(
        session,
        "email;first_name;groups;country;date_of_birth;city;tag_id;card_no;tag_expires_on\r\n"
        "new@example.com;Нина;fleet;bulgaria;31.5.1984;;04BB;C-2;31.12.2027\r\n"
        "NEW@example.com;;;;;;04CC;;\r\n"
        "Old@example.com;;-;;;-;04aa;-;\r\n",
    )
    assert (plan.count(Outcome.CREATED), plan.count(Outcome.CHANGED), plan.unchanged) == (1, 1, 0)
    new = session.scalars(select(User).where(User.email == "new@example.com")).one()
    assert (new.first_name, new.country, new.date_of_birth, new.status) == (
        "Нина", "BG", date(1984, 5, 31), UserStatus.ACTIVE,
    )  # fmt: skip
    assert [group.name for group in new.groups] == ["Fleet"]
    assert [(tag.tag_id, tag.card_no, tag.expires_on, tag.status) for tag in new.rfid_tags] == [
        ("04BB", "C-2", date(2027, 12, 31), RfidTagStatus.ACTIVE),
        ("04CC", None, None, RfidTagStatus.ACTIVE),
    ]
    session.refresh(old)
    assert (old.email, old.city, old.groups, old.rfid_tags[0].card_no) == ("old@example.com", "", [], None)
    assert old.rfid_tags[0].tag_id == "04AA"  # found whatever the case, spelt as before
    entries = {row.event: row for row in session.scalars(select(AuditEntry))}
    assert entries["change"].before == {"city": "Sofia", "groups": "Fleet", "RFID Tag 04AA Card No.": "C-1"}
    assert entries["create"].after["RFID Tag 04BB Card No."] == "C-2"
    action = session.scalars(select(Action)).one()
    assert (action.name, action.reason, action.target_label) == (
        "Import Users", "Migration", "1 created, 1 changed, 0 unchanged",
    )  # fmt: skip


def test_a_status_that_changes_is_in_the_users_own_log(session: Session) -> None:
    alex = make.user(session)
    session.commit()
    do(session, "email,status\nalex.petkov@example.com,disabled\nnew@example.com,disabled\n")
    rows = session.scalars(select(Action).where(Action.name == verbs.CHANGE_USER_STATUS)).all()
    assert [(row.target_id, row.info) for row in rows] == [(alex.id, "from Active to Disabled")]
    assert rows[0].reason.startswith("Migration (Import Users #")


@pytest.mark.parametrize(
    "text, column, told",
    [
        ("email\nnobody\n", "email", "is not an e-mail address"),
        ("email,city\n,Sofia\n", "email", "Every line needs"),
        ("city\nSofia\n", "email", "This column is needed"),
        ("email,groups\na@b.example,Nobodies\n", "groups", "There is no User Group “Nobodies”"),
        ("email,country\na@b.example,Atlantis\n", "country", "is no country"),
        ("email,phone\na@b.example,3.59888E+11\n", "phone", "has made a number of this"),
        ("email,phone\na@b.example,call me\n", "phone", "Write it like"),
        ("email,date_of_birth\na@b.example,2999-01-01\n", "date_of_birth", "is no date|lies in the past"),
        ("email,status\na@b.example,asleep\n", "status", "is none of: Active, Disabled"),
        ("email,status\na@b.example,-\n", "status", "cannot be made empty"),
        ("email,locale\na@b.example,tlh\n", "locale", "is none of"),
        ("email,card_no\na@b.example,C-1\n", "tag_id", "Say which card"),
        ("email,tag_id\na@b.example,04 AA\n", "tag_id", "without spaces"),
        ("email,tag_id\na@b.example,4.5E+13\n", "tag_id", "has made a number of this"),
        ("email,tag_id\na@b.example,04aa\n", "tag_id", "belongs to Alex Petkov (alex.petkov@example.com) already"),
        ("email,tag_id\na@b.example,04FF\nc@d.example,04ff\n", "tag_id", "Line 2 is about this Tag ID already"),
        ("email,city\na@b.example,Sofia\na@b.example,Varna\n", "city", "Line 2 says something else of the same user"),
        ("email,balance_eur\na@b.example,5\n", "balance_eur", "There is no such column."),
        ("email,e_mail\na@b.example,5\n", "e_mail", "There is no such column. Do you mean email"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(session: Session, text: str, column: str, told: str) -> None:
    make.tag(session, make.user(session), "04AA")
    session.commit()
    plan = preview(session, text)
    found = [mistake for mistake in plan.mistakes if mistake.column == column]
    assert found, plan.mistakes
    assert any(part in found[0].message for part in told.split("|")), found
    with pytest.raises(InvalidImport):
        imports.apply_import(session, data=text.encode(), previewed=plan.digest, reason="x", actor=None, now=NOW)
    session.rollback()
    assert session.scalar(select(func.count()).select_from(User)) == 1


def test_an_erased_user_is_not_filled_again(session: Session) -> None:
    make.user(session, "erased-1@erased.invalid", erased_at=NOW)
    session.commit()
    plan = preview(session, "email,first_name\nerased-1@erased.invalid,Alex\n")
    assert "was erased" in plan.mistakes[0].message


@pytest.mark.parametrize(
    "data, told",
    [
        ("email,city\nа@b.example,Пловдив\n".encode("cp1251"), "is not UTF-8"),
        (b"", "empty"),
        (b"email\n", "no users below"),
        (b"PK\x03\x04\x00\x00", "no text file"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_words(session: Session, data: bytes, told: str) -> None:
    with pytest.raises(UnreadableFile, match=told):
        imports.preview_import(session, data=data)


def test_bom_tabs_and_formulas_of_an_export_are_read(session: Session) -> None:
    plan = do(session, "\ufeffemail\tfirst_name\tid\nnew@example.com\t'=SUM(A1)\t17\n")
    assert plan.ignored == ["id"]
    assert session.scalars(select(User)).one().first_name == "=SUM(A1)"


def test_what_changed_since_the_preview_is_not_overwritten(session: Session) -> None:
    alex = make.user(session, city="Sofia")
    session.commit()
    text = "email,city\nalex.petkov@example.com,Varna\n"
    digest = preview(session, text).digest
    alex.city = "Plovdiv"
    session.commit()
    with pytest.raises(ImportChanged):
        imports.apply_import(session, data=text.encode(), previewed=digest, reason="x", actor=None, now=NOW)


def test_required_fields_that_are_missing_are_told_but_do_not_stop_it(session: Session) -> None:
    settings.change_setting(session, key="user_profile.phone", value="verification", actor=None)
    settings.change_setting(session, key="user_profile.city", value="required", actor=None)
    session.commit()
    text = "email,city\nnew@example.com,\n"
    plan = preview(session, text)
    assert plan.planned[0].warnings == ("Not filled in, but required: Phone, City.",)
    do(session, text)
    assert session.scalar(select(func.count()).select_from(User)) == 1


def test_another_address_or_number_is_not_verified(session: Session) -> None:
    alex = make.user(session, phone="+359 888 1", email_verified_at=NOW, phone_verified_at=NOW)
    session.commit()
    do(session, "email,phone,city\nAlex.Petkov@example.com,+359 888 2,Sofia\n")
    session.refresh(alex)
    assert (alex.email_verified_at, alex.phone_verified_at) == (NOW, None)


@pytest.mark.parametrize("seed", range(12))
def test_the_preview_says_what_happens(session: Session, seed: int) -> None:
    """Of whatever file: the import does what was shown, a second time nothing, and what is wrong changes nothing."""
    rng = random.Random(seed)
    groups = [make.user_group(session, name) for name in ("Fleet", "Staff")]
    for number in range(rng.randint(0, 4)):
        user = make.user(session, f"u{number}@example.com", first_name=rng.choice(("", "Ann")), city="Sofia")
        user.groups = rng.sample(groups, rng.randint(0, 2))
        if rng.random() < 0.6:
            make.tag(session, user, f"0{number}FF", card_no=rng.choice((None, "C")))
    session.commit()
    before = world(session)
    header = ["email", "first_name", "city", "status", "groups", "phone", "tag_id", "card_no", "tag_status"]
    lines = [
        [
            rng.choice(("u{}@example.com", "U{}@Example.com")).format(rng.randint(0, 7)),
            rng.choice(("", "", "Ann", "-")), rng.choice(("", "Varna", "-")), rng.choice(("", "", "Disabled")),
            rng.choice(("", "Fleet", "fleet, STAFF", "-")), rng.choice(("", "+359 1 23", "-")),
            *rng.choice((("", "", ""), (f"{rng.randint(0, 9)}{rng.choice('0123456789')}ff", rng.choice(("", "C", "-")),
                         rng.choice(("", "disabled"))))),
        ]
        for _ in range(rng.randint(1, 6))
    ]  # fmt: skip
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *lines])
    text = buffer.getvalue()
    plan = preview(session, text)
    assert world(session) == before  # a preview changes nothing
    if plan.mistakes:
        with pytest.raises(InvalidImport):
            do(session, text)
        session.rollback()
        assert world(session) == before
        return
    do(session, text)
    after = world(session)
    touched = {each.identifier.lower() for each in plan.planned}
    assert {email for email in after if after[email] != before.get(email)} == touched
    assert {each.identifier.lower() for each in plan.planned if each.outcome is Outcome.CREATED} == (
        after.keys() - before.keys()
    )
    named = {line[0].lower() for line in lines}
    assert plan.unchanged == len(named - touched)
    again = preview(session, text)
    assert (again.planned, again.unchanged, again.mistakes) == ([], len(named), [])


def test_users_come_back_as_they_went(session: Session) -> None:
    """The file of all users changes nothing."""
    alex = make.user(session, first_name="+1", phone="+359 1 234", country="GR", groups=[make.user_group(session)])
    make.tag(session, alex, "04AA", card_no="=1", expires_on=date(2027, 1, 2), status=RfidTagStatus.DISABLED)
    make.tag(session, alex, "04BB")
    make.user(session, "b@example.com", status=UserStatus.DISABLED, date_of_birth=date(1950, 2, 3))
    session.commit()
    from admin_views.widgets.export import csv_text

    rows = [row for user in session.scalars(select(User)) for row in imports.rows_of(user)]
    plan = preview(session, "".join(csv_text(imports.HEADER, iter(rows), bom=True)))
    assert (plan.mistakes, plan.planned, plan.unchanged) == ([], [], 2)


def test_the_template_can_be_imported_as_it_is(session: Session) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([imports.HEADER, *imports.examples()])
    do(session, buffer.getvalue())
    assert session.scalar(select(func.count()).select_from(RfidTag)) == 2


def test_thousands_take_no_query_each(session: Session) -> None:
    """Statements grow with chunks, not with lines."""
    lines = "".join(f"u{n}@example.com,City,0{n:05}FF\n" for n in range(600))
    text = f"email,city,tag_id\n{lines}"
    with make.CountedQueries() as counted:
        plan = do(session, text)
    assert plan.count(Outcome.CREATED) == 600
    assert counted.count < 60, "\n".join(statement[:80] for statement in counted.statements)
