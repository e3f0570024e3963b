"""CRM > RFID Tags: registering a card, whose it is, and what becomes of it. Manual, "RFID Tags"."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.charging.models import Authorization, AuthorizationResult, AuthorizationSource
from app.core.models import Action
from app.crm import verbs
from app.crm.models import RfidTag, RfidTagStatus
from tests.support import factories_crm as make
from tests.support.factories_crm import NOW, Visitor
from tests.support.factories_dashboard import make_session, make_station, make_zone

LIST = "/crm/rfid-tags/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def test_an_unknown_card_is_registered_in_one_form(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    session.commit()
    page = olga.get(f"{LIST}new/?tag_id=04A2B3C4&user={alex.id}").get_data(as_text=True)
    assert re.search(r'name="tag_id"[^>]*value="04A2B3C4"', page)
    assert "alex.petkov@example.com" in page
    labels = re.findall(r'<label class="col-[^"]*" for="[^"]*">([^<]+)</label>', page)
    assert labels == ["Tag ID", "Card No.", "Expiration Date", "Status", "User", "Payment method"]
    fields = {"tag_id": " 04A2B3C4 ", "card_no": "7", "expires_on": "2027-02-19", "status": "active", "user": alex.id}
    back = f"/crm/users/details/?id={alex.id}"
    made = olga.send(f"{LIST}new/?url={back}", fields)
    assert made.location == back
    tag = session.scalars(select(RfidTag)).one()
    assert (tag.tag_id, tag.card_no, tag.expires_on, tag.status, tag.user_id) == (
        "04A2B3C4", "7", date(2027, 2, 19), RfidTagStatus.ACTIVE, alex.id,
    )  # fmt: skip
    assert "04A2B3C4" in olga.get(back).get_data(as_text=True)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"tag_id": ""}, "This field is required."),
        ({"tag_id": "04 A2"}, "without spaces"),
        ({"tag_id": "0" * 37}, "1 to 36 letters"),
        ({"tag_id": "04a2b3c4d5"}, "This Tag ID belongs to Alex Petkov (alex.petkov@example.com) already."),
        ({"user": ""}, "This field is required."),
        ({"user": "999"}, "Not a valid choice"),
        ({"status": "lost"}, "Not a valid choice"),
        ({"expires_on": "tomorrow"}, "Write it like 2026-11-20."),
    ],
)
def test_what_is_wrong_is_told_at_its_field(
    olga: Visitor, session: Session, fields: dict[str, Any], message: str
) -> None:
    alex = make.user(session)
    make.tag(session, alex, "04A2B3C4D5")
    session.commit()
    answer = olga.send(f"{LIST}new/", {"tag_id": "NEW", "status": "active", "user": str(alex.id), **fields})
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    session.rollback()
    assert len(session.scalars(select(RfidTag)).all()) == 1


def test_a_tag_keeps_its_own_id_in_another_spelling(olga: Visitor, session: Session) -> None:
    tag = make.tag(session, make.user(session), "04a2")
    session.commit()
    fields = {"tag_id": "04A2", "status": "active", "user": str(tag.user_id), "_version": "1"}
    assert olga.send(f"{LIST}edit/?id={tag.id}", fields).status_code == 302
    session.rollback()
    session.expire_all()
    assert session.get_one(RfidTag, tag.id).tag_id == "04A2"


def test_the_user_is_looked_up_by_mail_or_name(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    make.user(session, "maria@example.com", first_name="Maria", last_name="Papadopoulos")
    session.commit()
    assert olga.get(f"{LIST}ajax/lookup/?name=user&query=petk").json == [
        [str(alex.id), "Alex Petkov (alex.petkov@example.com)"]
    ]
    assert len(olga.get(f"{LIST}ajax/lookup/?name=user&query=maria@").json) == 1


def test_the_list_searches_filters_and_exports(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    for number in range(40):
        owner = alex if number % 2 else make.user(session, f"u{number}@example.com", first_name="U", last_name="")
        make.tag(session, owner, f"TAG{number:02d}", card_no=f"C{number}")
    make.tag(session, alex, "OLD", status=RfidTagStatus.DISABLED, expires_on=date(2020, 1, 1))
    session.commit()
    with make.CountedQueries() as counted:
        page = olga.get(f"{LIST}?page_size=50").get_data(as_text=True)
    assert "TAG39" in page
    assert counted.count <= 8, "\n".join(counted.statements)
    found = olga.get(f"{LIST}?flt0_status_is=disabled").get_data(as_text=True)
    assert ("OLD" in found, "TAG01" in found) == (True, False)
    assert "TAG02" in olga.get(f"{LIST}?search=u2@example").get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{LIST}export/csv/?search=petkov").get_data(as_text=True))))
    assert len(rows) == 21
    old = next(row for row in rows if row["tag_id"] == "OLD")
    assert (old["status"], old["expires_on"], old["user_email"]) == ("disabled", "2020-01-01", alex.email)


def test_tags_are_disabled_in_bulk_with_a_reason(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    tags = [make.tag(session, alex, f"TAG{number}") for number in range(3)]
    session.commit()
    ids = [tag.id for tag in tags]
    olga.get(LIST)
    fields = {"rowid": ids, "status": "disabled", "reason": "Lost"}
    done = olga.htmx(f"{LIST}run/change_status/", "POST", fields, target="div#modal-content")
    assert done.status_code == 200
    session.rollback()
    assert {tag.status for tag in session.scalars(select(RfidTag))} == {RfidTagStatus.DISABLED}
    actions = session.scalars(select(Action)).all()
    assert {(action.name, action.info, action.reason) for action in actions} == {
        ("Change RFID Tag Status", "from Active to Disabled", "Lost")
    }
    again = olga.htmx(f"{LIST}run/change_status/", "POST", fields, target="div#modal-content")
    assert "is disabled already" in again.get_data(as_text=True)


def test_a_tag_shows_where_it_was_tapped(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    tag = make.tag(session, alex, "04ab")
    station = make_station(session, make_zone(session), name="Daisy")
    for spelling in ("04AB", "04ab", "FFFF"):
        session.add(
            Authorization(
                partner_id=1,
                charge_point_id=station.id,
                source=AuthorizationSource.RFID_TAG,
                id_tag=spelling,
                result=AuthorizationResult.ACCEPTED,
            )
        )
    session.commit()
    olga.get(f"{LIST}details/?id={tag.id}")
    part = olga.htmx(f"{LIST}related/0/?id={tag.id}", target="div#related-0-content").get_data(as_text=True)
    assert "of <strong>2</strong>" in part


def test_tag_ids_are_checked_before_they_are_stored(session: Session) -> None:
    alex = make.user(session)
    tag = make.tag(session, alex, "04AB")
    assert verbs.checked_tag_id(session, tag_id=" 04ab ", tag=tag) == "04ab"
    for wrong in ("", " ", "Ключ", "0" * 37):
        with pytest.raises(verbs.TagIdInvalid):
            verbs.checked_tag_id(session, tag_id=wrong)
    with pytest.raises(verbs.TagIdTaken):
        verbs.checked_tag_id(session, tag_id="04aB")


def test_deleting_a_tag_keeps_its_user(olga: Visitor, session: Session) -> None:
    tag = make.tag(session, make.user(session))
    session.commit()
    assert olga.send(f"{LIST}delete/", {"id": str(tag.id)}).location == LIST
    session.rollback()
    assert session.scalars(select(RfidTag)).all() == []


def test_the_tag_is_a_link_where_it_was_used(olga: Visitor, session: Session) -> None:
    """On the page of the authorization and of the session, whatever the case it was sent in."""
    alex = make.user(session)
    tag = make.tag(session, alex, "04FF01")
    evse = make_station(session, make_zone(session)).evses[0]
    charge = make_session(session, evse, started_at=NOW, user_id=alex.id, id_tag="04ff01")
    nobodys = make_session(session, evse, started_at=NOW, id_tag="04FF99")
    session.commit()
    address = "/activity/charging-sessions/details/?id="
    assert f'<a href="/crm/rfid-tags/details/?id={tag.id}">04ff01</a>' in olga.get(f"{address}{charge.id}").text
    page = olga.get(f"{address}{nobodys.id}").text
    assert "04FF99" in page and "/crm/rfid-tags/details/" not in page


def test_a_tag_is_given_to_nobody_who_was_erased(olga: Visitor, session: Session) -> None:
    gone = make.user(session, "erased-1@erased.invalid", erased_at=NOW)
    session.commit()
    fields = {"tag_id": "04AA", "status": "active", "user": str(gone.id)}
    answer = olga.send("/crm/rfid-tags/new/", fields)
    assert answer.status_code == 422
    assert "was erased" in answer.text
