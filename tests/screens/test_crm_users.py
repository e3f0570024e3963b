"""CRM > Users and User Groups: list, profile, balance, status, deletion. Manual, "Users" to "Exporting Users"."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import LedgerEntry, LedgerEntryType
from app.charging.lifecycle import SessionStatus
from app.core import settings
from app.core.models import Action, AuditEntry
from app.crm import verbs
from app.crm.models import User, UserStatus
from tests.support import factories_crm as make
from tests.support.factories_crm import NOW, Visitor
from tests.support.factories_dashboard import make_session, make_station, make_zone

LIST = "/crm/users/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def cells(page: str) -> list[list[str]]:
    """The texts of the list's rows, without ticks and row actions."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    inner = [re.findall(r'<div class="list-cell">(.*?)</div></td>', row, re.S) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in inner]


def run(client: Visitor, action: str, data: dict[str, Any]) -> Any:
    """Open the dialog of an action, then apply it."""
    client.get(LIST)
    client.htmx(f"{LIST}run/{action}/", data=None, target="div#modal-content") if not data else None
    return client.htmx(f"{LIST}run/{action}/", "POST", data, target="div#modal-content")


# --- list -----------------------------------------------------------------------------------------------------


def test_the_list_has_the_manuals_columns_and_the_balance(olga: Visitor, session: Session) -> None:
    alex = make.user(session, phone="0888888888")
    make.user_group(session, "Fleet", alex)
    make.credited(session, alex, "52.65")
    owing = make.user(session, "maria@example.com", first_name="Maria", last_name="", status=UserStatus.DISABLED)
    ledger.debit(
        session, user_id=owing.id, amount=Decimal("3.10"), currency="EUR", reference="x", now=NOW,
        type=LedgerEntryType.CHARGING_SESSION,
    )  # fmt: skip
    make.credited(session, owing, "7", "GBP")
    session.commit()
    page = olga.get(f"{LIST}?sort=email").get_data(as_text=True)
    headings = re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]+)', page)
    assert ", ".join(headings) == "Status, E-mail, Phone, Groups, Balance, Registration date, Payment Methods"
    first, second = cells(page)
    assert first[:5] == ["Active", "alex.petkov@example.com Alex Petkov", "0888888888", "Fleet", "€52.65"]
    assert second[:5] == ["Disabled", "maria@example.com Maria", "—", "—", "-€3.10, £7.00"]


def test_users_are_found_by_name_tag_group_and_balance(olga: Visitor, session: Session) -> None:
    alex, maria = make.user(session), make.user(session, "maria@example.com", first_name="Maria")
    make.user(session, "zoe@example.com", first_name="Zoë", last_name="Ζωή")
    make.tag(session, alex, "04FF01")
    make.user_group(session, "Fleet", maria)
    make.credited(session, maria, "10")
    session.commit()

    def found(query: str) -> list[str]:
        return [row[1].split("@")[0] for row in cells(olga.get(f"{LIST}?{query}").get_data(as_text=True))]

    assert found("search=alex+petkov") == ["alex.petkov"]
    assert found("search=04ff") == ["alex.petkov"]
    assert found("flt0_group_is=Fleet") == ["maria"]
    assert found("flt0_balance_at_least=0.01") == ["maria"]
    assert found("flt0_balance_at_most=0&sort=email") == ["alex.petkov", "zoe"]
    assert found("sort=balance&desc=1")[0] == "maria"
    assert found("sort=full_name") == ["alex.petkov", "maria", "zoe"]
    assert "No Users match" in olga.get(f"{LIST}?search=nobody").get_data(as_text=True)


def test_fifty_users_take_at_most_eight_queries(olga: Visitor, session: Session) -> None:
    group = make.user_group(session, "Fleet")
    for number in range(50):
        user = make.user(session, f"user{number}@example.com", groups=[group])
        make.credited(session, user, "1")
    session.commit()
    settings.forget()
    with make.CountedQueries() as counted:
        page = olga.get(f"{LIST}?page_size=50").get_data(as_text=True)
    assert len(cells(page)) == 50
    assert counted.count <= 8, "\n".join(counted.statements)


def test_all_matching_users_are_exported_with_their_balance(olga: Visitor, session: Session) -> None:
    for number in range(30):
        user = make.user(session, f"user{number:02d}@example.com", first_name="+1", last_name="")
        if number < 2:
            make.credited(session, user, "4.5")
    session.commit()
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{LIST}export/csv/?sort=email").get_data(as_text=True))))
    assert len(rows) == 30
    assert rows[0]["first_name"] == "'+1"
    assert [(Decimal(row["balance"]), row["currency"]) for row in rows[1:3]] == [(Decimal("4.5"), "EUR"), (0, "EUR")]
    olga.get(LIST)
    chosen = olga.send(f"{LIST}export/csv/?search=user0", {"all_matching": "1", "expected_count": "10"})
    assert len(list(csv.DictReader(io.StringIO(chosen.get_data(as_text=True))))) == 10
    stale = olga.send(f"{LIST}export/csv/?search=user0", {"all_matching": "1", "expected_count": "9"})
    assert stale.status_code == 409


# --- create and edit ------------------------------------------------------------------------------------------


def test_a_user_is_created_and_edited(olga: Visitor, session: Session) -> None:
    group = make.user_group(session, "Fleet")
    session.commit()
    fields = {"email": " new@example.com ", "first_name": "Nina", "last_name": "", "phone": "+359 87 8870133"}
    made = olga.send(f"{LIST}new/", {**fields, "locale": "bg", "groups": str(group.id)})
    assert made.status_code == 302, made.get_data(as_text=True)
    user = session.scalars(select(User)).one()
    assert (user.email, user.full_name, user.status, user.locale) == (
        "new@example.com", "Nina", UserStatus.ACTIVE, "bg",
    )  # fmt: skip
    assert [found.name for found in user.groups] == ["Fleet"]
    again = olga.send(f"{LIST}new/", {**fields, "email": "NEW@example.com", "locale": "en"})
    assert again.status_code == 422
    assert "Another user has this e-mail address." in again.get_data(as_text=True)
    page = olga.get(f"{LIST}edit/?id={user.id}").get_data(as_text=True)
    assert 'name="status"' not in page  # a status changes with a reason only
    change = {"email": "nina@example.com", "first_name": "Nina", "last_name": "N.", "locale": "en", "_version": "1"}
    assert olga.send(f"{LIST}edit/?id={user.id}", change).status_code == 302
    session.rollback()
    entry = session.scalars(select(AuditEntry).where(AuditEntry.event == "change")).one()
    assert entry.before["email"] == "new@example.com"
    assert entry.after["email"] == "nina@example.com"


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"email": "nobody"}, "This is not an e-mail address."),
        ({"email": ""}, "This field is required."),
        ({"email": "a@b.example", "phone": "call me"}, "Write it like +359 87 8870133."),
        ({"email": "a@b.example", "locale": "xx"}, "Not a valid choice"),
    ],
)
def test_wrong_input_is_told_at_its_field(olga: Visitor, fields: dict[str, str], message: str) -> None:
    answer = olga.send(f"{LIST}new/", {"locale": "en", **fields})
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)


# --- profile --------------------------------------------------------------------------------------------------


def test_the_profile_says_what_the_user_charged_and_spent(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    make.tag(session, alex, "04FF01", card_no="C-7")
    evse = make_station(session, make_zone(session)).evses[0]
    for number, gross in enumerate(("3.60", "5.40")):
        make_session(session, evse, started_at=NOW - timedelta(days=number), user_id=alex.id, gross=gross)
    make_session(session, evse, started_at=NOW, user_id=alex.id, gross="2.00", currency="GBP", energy_wh=1000)
    make_session(session, evse, started_at=NOW, user_id=alex.id, status=SessionStatus.FAILED, gross=None, energy_wh=0)
    make.credited(session, alex, "20")
    session.commit()
    address = f"{LIST}details/?id={alex.id}"
    session.rollback()
    settings.forget()
    with make.CountedQueries() as counted:
        page = olga.get(address).get_data(as_text=True)
    assert counted.count <= 8, "\n".join(counted.statements)
    figures = olga.htmx(f"{LIST}figures/?id={alex.id}", target="div#figures").get_data(as_text=True)
    status = page[page.index('id="status"') : page.index('id="figures"')]
    cards = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", status + figures))
    for words in ("Active", "Signed up", "€20.00", "Charging Sessions 3", "15.80 kWh", "€9.00, £2.00"):
        assert words in cards, cards
    tabs = re.findall(r'role="tab"[^>]*>([^<]+)<', page)
    assert tabs[:6] == ["General", "Payment Methods", "RFID Tags", "Balance", "History", "Charging Sessions"]
    assert {"Charging Sessions", "Authorizations", "Actions"} <= set(tabs[5:])
    assert "04FF01" in page
    assert f"/crm/rfid-tags/new/?user={alex.id}" in page


def test_the_balance_tab_has_the_manuals_columns(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    evse = make_station(session, make_zone(session)).evses[0]
    charge = make_session(session, evse, started_at=NOW, user_id=alex.id)
    make.credited(session, alex, "47.65")
    ledger.debit(
        session, user_id=alex.id, amount=Decimal("3.60"), currency="EUR", reference="s", now=NOW,
        type=LedgerEntryType.CHARGING_SESSION, session_id=charge.id,
    )  # fmt: skip
    session.commit()
    olga.get(f"{LIST}details/?id={alex.id}")
    part = olga.htmx(f"{LIST}balance/?id={alex.id}", target="div#ledger").get_data(as_text=True)
    assert re.findall(r"<th[^>]*>([^<]+)</th>", part) == [
        "Timestamp", "Type", "#", "Credit", "Debit", "Updated balance",
    ]  # fmt: skip
    rows = re.findall(r"<tr>(.*?)</tr>", part[part.index("<tbody>") :], re.S)
    texts = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).split() for row in rows]
    assert texts[0][2:] == ["Charging", "session", str(charge.id), "—", "€3.60", "€44.05"]
    assert texts[1][2:] == ["Top", "up", "—", "€47.65", "—", "€47.65"]


def test_a_long_balance_history_comes_in_pages(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    for number in range(1, 26):
        make.credited(session, alex, str(number))
    session.commit()
    olga.get(f"{LIST}details/?id={alex.id}")
    first = olga.htmx(f"{LIST}balance/?id={alex.id}", target="div#ledger").get_data(as_text=True)
    assert "1–20 of <strong>25</strong>" in first
    assert "€325.00" in first
    second = olga.htmx(f"{LIST}balance/?id={alex.id}&page=1", target="div#ledger").get_data(as_text=True)
    assert "21–25 of <strong>25</strong>" in second
    assert olga.get(f"{LIST}balance/?id=77").status_code == 404


# --- actions --------------------------------------------------------------------------------------------------


def test_disabling_a_user_needs_a_reason_and_is_logged(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    session.commit()
    olga.get(f"{LIST}details/?id={alex.id}")
    dialog = olga.htmx(f"{LIST}run/change_status/?rowid={alex.id}", target="div#modal-content").get_data(as_text=True)
    assert re.search(r"<option selected value=\"disabled\"", dialog)
    without = run(olga, "change_status", {"rowid": alex.id, "status": "disabled", "reason": " "})
    assert without.status_code == 422
    assert "Enter a reason." in without.get_data(as_text=True)
    done = run(olga, "change_status", {"rowid": alex.id, "status": "disabled", "reason": "Test"})
    assert done.status_code == 200
    assert "Finished" in done.get_data(as_text=True)
    session.rollback()
    assert session.get_one(User, alex.id).status is UserStatus.DISABLED
    action = session.scalars(select(Action)).one()
    assert (action.name, action.info, action.reason, action.status.label) == (
        "Change User Status", "from Active to Disabled", "Test", "Finished",
    )  # fmt: skip
    assert (action.target_type, action.target_id, action.initiated_by) == ("user_account", alex.id, "Olga Operator")
    again = run(olga, "change_status", {"rowid": alex.id, "status": "disabled", "reason": "Test"})
    assert "is disabled already" in again.get_data(as_text=True)
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Action)) == 1


def test_all_matching_users_are_disabled_at_once(olga: Visitor, session: Session) -> None:
    for number in range(30):
        make.user(session, f"abuser{number}@example.com")
    make.user(session, "innocent@example.com")
    session.commit()
    olga.get(f"{LIST}?search=abuser")
    chosen = {"all_matching": "1", "expected_count": "30", "status": "disabled", "reason": "Abuse"}
    done = olga.htmx(f"{LIST}run/change_status/?search=abuser", "POST", chosen, target="div#modal-content")
    assert "30" in done.get_data(as_text=True)
    session.rollback()
    disabled = session.scalars(select(User.email).where(User.status == UserStatus.DISABLED)).all()
    assert len(disabled) == 30
    assert "innocent@example.com" not in disabled


def test_adding_balance_credits_at_once_as_operator_top_up(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    make.credited(session, alex, "47.65")
    session.commit()
    done = run(olga, "add_balance", {"rowid": alex.id, "amount": "5,00", "reason": "Goodwill"})
    assert "€5.00 added; the balance is now €52.65." in done.get_data(as_text=True)
    session.rollback()
    entry = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id.desc()).limit(1)).one()
    assert (entry.type, entry.credit, entry.balance_after) == (
        LedgerEntryType.OPERATOR_TOP_UP, Decimal(5), Decimal("52.65"),
    )  # fmt: skip
    action = session.scalars(select(Action)).one()
    assert (action.name, action.reason, entry.action_id) == ("Add balance", "Goodwill", action.id)


@pytest.mark.parametrize(
    "amount, message",
    [
        ("0", "Enter an amount above zero."),
        ("-5", "Enter an amount above zero."),
        ("1.005", "EUR has 2 decimals."),
        ("", "This field is required."),
        ("much", "Enter a number, like 12.5."),
        ("1000000", "at most 100000"),
    ],
)
def test_an_amount_that_cannot_be_booked_is_refused(olga: Visitor, session: Session, amount: str, message: str) -> None:
    alex = make.user(session)
    session.commit()
    answer = run(olga, "add_balance", {"rowid": alex.id, "amount": amount, "reason": "Goodwill"})
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    session.rollback()
    assert session.scalars(select(LedgerEntry)).all() == []


def test_users_are_put_into_groups_in_bulk(olga: Visitor, session: Session) -> None:
    group = make.user_group(session, "Fleet")
    users = [make.user(session, f"u{number}@example.com") for number in range(3)]
    session.commit()
    ids = [user.id for user in users]
    done = run(olga, "add_to_group", {"rowid": ids, "group": group.id, "reason": "New contract"})
    assert done.status_code == 200, done.get_data(as_text=True)
    session.rollback()
    assert [user.groups[0].name for user in session.scalars(select(User))] == ["Fleet"] * 3
    run(olga, "remove_from_group", {"rowid": ids[:1], "group": group.id, "reason": "Left"})
    session.rollback()
    session.expire_all()
    assert session.get_one(User, ids[0]).groups == []
    names = session.scalars(select(Action.name).order_by(Action.id)).all()
    assert names == ["Add to User Group"] * 3 + ["Remove from User Group"]


# --- delete ---------------------------------------------------------------------------------------------------


def test_a_user_with_history_is_disabled_not_deleted(olga: Visitor, session: Session) -> None:
    alex, fresh = make.user(session), make.user(session, "fresh@example.com")
    make.tag(session, fresh, "04FF02")
    evse = make_station(session, make_zone(session)).evses[0]
    make_session(session, evse, started_at=NOW, user_id=alex.id)
    make.credited(session, alex, "1")
    session.commit()
    with pytest.raises(verbs.UserHasHistory, match="balance entries and Charging Sessions"):
        verbs.require_no_history(session, user=alex)
    refused = olga.send(f"{LIST}delete/", {"id": str(alex.id)})
    assert "Instead, disable the account" in olga.get(refused.location).get_data(as_text=True)
    assert olga.send(f"{LIST}delete/", {"id": str(fresh.id)}).location == LIST
    session.rollback()
    assert session.scalars(select(User.email)).all() == ["alex.petkov@example.com"]


# --- groups, permissions --------------------------------------------------------------------------------------


def test_user_groups_count_their_users_and_name_their_tariffs(olga: Visitor, session: Session) -> None:
    group = make.user_group(session, "Fleet", make.user(session), make.user(session, "b@example.com"))
    empty = make.user_group(session, "Empty")
    make.tariff(session, "Fleet price", user_groups=[group])
    session.commit()
    page = olga.get("/crm/user-groups/").get_data(as_text=True)
    assert cells(page) == [["Empty", "0", "—"], ["Fleet", "2", "Fleet price"]]
    details = olga.get(f"/crm/user-groups/details/?id={group.id}").get_data(as_text=True)
    assert "Fleet price" in details
    users = olga.htmx(f"/crm/user-groups/related/0/?id={group.id}", target="div#related-0-content")
    assert "b@example.com" in users.get_data(as_text=True)
    refused = olga.send("/crm/user-groups/delete/", {"id": str(group.id)})
    assert "these tariffs are restricted to it: “Fleet price”" in olga.get(refused.location).get_data(as_text=True)
    assert olga.send("/crm/user-groups/delete/", {"id": str(empty.id)}).location == "/crm/user-groups/"
    assert olga.send("/crm/user-groups/new/", {"name": "Fleet"}).status_code == 422
    assert olga.send("/crm/user-groups/new/", {"name": "Other"}).status_code == 302


def test_who_may_do_what(clean: Flask, session: Session) -> None:
    alex = make.user(session)
    analyst = make.admin(session, "Anna Analyst", "Analyst")
    reader = make.admin(session, "Rita Reader", "Readers", permissions=["crm.user.view"])
    session.commit()
    anna, rita = make.signed_in(clean, analyst), make.signed_in(clean, reader)
    assert anna.get(LIST).status_code == 403
    page = rita.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    assert "Create RFID Tag" not in page
    assert "Change status" not in page
    for action in ("change_status", "add_balance", "add_to_group"):
        assert rita.get(f"{LIST}run/{action}/?rowid={alex.id}").status_code == 403
    assert rita.get(f"{LIST}export/csv/").status_code == 403
    assert rita.post(f"{LIST}delete/", data={"id": alex.id}).status_code == 403
