"""CONFIGURATION > Admin Accounts and Roles: who may work here, and what nobody may do. Manual, "Admin Accounts"."""

from __future__ import annotations

import csv
import io
import re
import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core import admins, roles
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin, AdminStatus, AuditEntry, Role
from app.core.passwords import verify_password
from app.core.permissions import BUILT_IN_ROLES, Permission
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

LIST = "/configuration/admin-accounts/"
ROLES = "/configuration/roles/"


@pytest.fixture
def boss(session: Session) -> Admin:
    """The only Super User."""
    made = make.admin(session, "Olga Operator")
    session.commit()
    return made


@pytest.fixture
def olga(clean: Flask, boss: Admin) -> Visitor:
    """The Super User, signed in."""
    return make.signed_in(clean, boss)


def version(page: str) -> str:
    found = re.search(r'name="_version" value="(\d+)"', page)
    assert found
    return found[1]


def edited(client: Visitor, admin: Admin, **fields: Any) -> Any:
    """Open an account's form and save it with these values."""
    page = client.get(f"{LIST}edit/?id={admin.id}").get_data(as_text=True)
    values = {"name": admin.name, "email": admin.email, "role": admin.role_id, "timezone": "__None", **fields}
    return client.send(f"{LIST}edit/?id={admin.id}", {**values, "_version": version(page)})


def run(client: Visitor, action: str, **fields: Any) -> Any:
    client.get(LIST)
    return client.htmx(f"{LIST}run/{action}/", "POST", fields, target="div#modal-content")


# --- accounts -------------------------------------------------------------------------------------------------


def test_without_a_mail_server_an_invitation_is_shown_once(olga: Visitor, session: Session) -> None:
    operator = make.role(session, "Operator")
    fields = {"name": "Otto", "email": " otto@example.com ", "role": operator.id, "timezone": "Europe/Sofia"}
    made = olga.send(f"{LIST}new/", {**fields, "password": ""})
    assert made.status_code == 200
    page = made.get_data(as_text=True)
    link = re.search(r"<code[^>]*>http://[^<]+(/invitation/[\w-]{43})</code>", page)
    assert link
    assert made.headers["Cache-Control"] == "no-store"
    session.rollback()
    otto = session.scalars(select(Admin).where(Admin.email == "otto@example.com")).one()
    assert (otto.role.name, otto.timezone, otto.status) == ("Operator", "Europe/Sofia", AdminStatus.INVITED)
    assert otto.password_hash is None
    token = link[1].rpartition("/")[2]
    assert token not in olga.get(f"{LIST}details/?id={otto.id}").get_data(as_text=True)
    assert token not in olga.get(f"{LIST}sign-in/?id={otto.id}").get_data(as_text=True)
    assert token not in str(session.execute(text("SELECT audit_entry::text FROM audit_entry")).all())
    assert "Invited" in olga.get(LIST).get_data(as_text=True)


def test_an_account_is_made_with_a_chosen_password(olga: Visitor, session: Session) -> None:
    analyst = make.role(session, "Analyst")
    fields = {"name": "Anna", "email": "anna@example.com", "role": analyst.id, "timezone": "__None"}
    weak = olga.send(f"{LIST}new/", {**fields, "password": "short"})
    assert weak.status_code == 422
    assert "a password has at least 10 characters" in weak.get_data(as_text=True)
    made = olga.send(f"{LIST}new/", {**fields, "password": "quite a good one"})
    assert made.status_code == 302
    anna = session.scalars(select(Admin).where(Admin.email == "anna@example.com")).one()
    assert verify_password(anna.password_hash, "quite a good one")
    twice = olga.send(f"{LIST}new/", {**fields, "email": "ANNA@example.com", "password": "quite a good one"})
    assert twice.status_code == 422
    assert "Another admin has this e-mail address." in twice.get_data(as_text=True)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"role": "__None"}, "Choose a role."),
        ({"role": "999"}, "Choose a role."),
        ({"email": "nobody"}, "This is not an e-mail address."),
        ({"name": ""}, "This field is required."),
        ({"timezone": "Mars/Olympus"}, "Not a valid choice"),
    ],
)
def test_wrong_input_is_told_at_its_field(
    olga: Visitor, session: Session, fields: dict[str, str], message: str
) -> None:
    analyst = make.role(session, "Analyst")
    given = {"name": "Anna", "email": "anna@example.com", "role": analyst.id, "timezone": "__None", **fields}
    answer = olga.send(f"{LIST}new/", given)
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    session.rollback()
    assert len(session.scalars(select(Admin)).all()) == 1


def test_an_account_is_edited_and_the_change_audited(olga: Visitor, session: Session) -> None:
    otto = make.admin(session, "Otto", "Operator")
    session.commit()
    analyst = make.role(session, "Analyst")
    assert edited(olga, otto, name="Otto Zwei", role=analyst.id, timezone="Asia/Taipei").status_code == 302
    session.rollback()
    session.expire_all()
    assert (otto.name, otto.role.name, otto.timezone) == ("Otto Zwei", "Analyst", "Asia/Taipei")
    entry = session.scalars(select(AuditEntry).where(AuditEntry.event == "change")).one()
    assert entry.before == {"name": "Otto", "role": "Operator", "timezone": None}
    assert entry.after == {"name": "Otto Zwei", "role": "Analyst", "timezone": "Asia/Taipei"}


def test_the_last_super_user_can_be_neither_demoted_disabled_nor_deleted(
    olga: Visitor, session: Session, boss: Admin
) -> None:
    second = make.admin(session, "Susi Second")
    operator = make.role(session, "Operator")
    session.commit()
    assert edited(olga, second, role=operator.id).status_code == 302
    own = edited(olga, boss, role=operator.id)
    assert own.status_code == 422
    assert "You cannot change your own role." in own.get_data(as_text=True)
    assert "status of your own account" in run(
        olga, "change_status", rowid=boss.id, status="disabled", reason="x"
    ).get_data(as_text=True)
    kept = olga.send(f"{LIST}delete/", {"id": str(boss.id)})
    assert "You cannot delete your own account." in olga.get(kept.location).get_data(as_text=True)
    session.rollback()
    session.expire_all()
    for attempt in (
        lambda: admins.change_admin_status(
            session, admin=boss, status=AdminStatus.DISABLED, reason="x", actor=None, now=utcnow()
        ),
        lambda: admins.delete_account(session, admin=boss, actor=None),
        lambda: admins.change_account(
            session, admin=boss, email=boss.email, name="x", role=operator, timezone=None, actor=None
        ),
    ):
        with pytest.raises(admins.LastSuperUser, match="last active Super User"):
            attempt()


def test_two_super_users_cannot_disable_each_other_at_once(clean: Flask, session: Session, boss: Admin) -> None:
    other = make.admin(session, "Susi Second")
    session.commit()
    start, outcomes = threading.Barrier(2), []

    def disable(admin_id: int) -> None:
        with clean.app_context():
            own = db.session()
            admin = own.get_one(Admin, admin_id)
            start.wait(10)
            try:
                admins.change_admin_status(
                    own, admin=admin, status=AdminStatus.DISABLED, reason="x", actor=None, now=utcnow()
                )
                own.commit()
                outcomes.append("disabled")
            except admins.LastSuperUser:
                own.rollback()
                outcomes.append("refused")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=disable, args=(admin_id,)) for admin_id in (boss.id, other.id)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["disabled", "refused"]


def test_disabling_an_admin_ends_its_sessions(clean: Flask, olga: Visitor, session: Session) -> None:
    otto = make.admin(session, "Otto", "Operator")
    session.commit()
    his = make.signed_in(clean, otto)
    assert his.get("/crm/users/").status_code == 200
    done = run(olga, "change_status", rowid=otto.id, status="disabled", reason="Left the company")
    assert "from Active to Disabled" in done.get_data(as_text=True)
    assert his.get("/crm/users/").status_code == 302
    session.rollback()
    action = session.scalars(select(Action)).one()
    assert (action.name, action.reason, action.status.label) == ("Change Admin Status", "Left the company", "Finished")
    run(olga, "change_status", rowid=otto.id, status="active", reason="Back")
    assert his.get("/crm/users/").status_code == 302  # the old session stays ended


def test_a_reset_password_is_told_once_and_ends_the_sessions(clean: Flask, olga: Visitor, session: Session) -> None:
    otto = make.admin(session, "Otto", "Operator", password_hash="old")
    session.commit()
    his = make.signed_in(clean, otto)
    done = run(olga, "reset_password", rowid=otto.id, how="set", password="", reason="Forgotten").get_data(as_text=True)
    told = re.search(r"New password, shown only now: ([\w-]+)", done)
    assert told
    assert his.get("/crm/users/").status_code == 302
    session.rollback()
    session.expire_all()
    assert verify_password(otto.password_hash, told[1])
    kept = str([(a.info, a.request, a.response) for a in session.scalars(select(Action))])
    assert told[1] not in kept + str([e.after for e in session.scalars(select(AuditEntry))])
    again = {"how": "set", "password": "aaaaaaaaaaaa", "reason": "Again"}
    weak = run(olga, "reset_password", rowid=otto.id, **again).get_data(as_text=True)
    assert "Refused" in weak
    assert "four different characters" in weak


def test_signing_somebody_out_leaves_the_account_as_it_is(clean: Flask, olga: Visitor, session: Session) -> None:
    otto = make.admin(session, "Otto", "Operator")
    session.commit()
    his = make.signed_in(clean, otto)
    run(olga, "sign_out", rowid=otto.id, reason="Lost laptop")
    assert his.get("/crm/users/").status_code == 302
    session.rollback()
    session.expire_all()
    assert make.signed_in(clean, otto).get("/crm/users/").status_code == 200


def test_nobody_gives_or_takes_over_what_they_do_not_have(clean: Flask, session: Session, boss: Admin) -> None:
    own = ["configuration.admin.view", "configuration.admin.edit", "configuration.admin.create", "crm.user.view"]
    deputy = make.admin(session, "Dan Deputy", "Deputies", permissions=own)
    small = make.admin(session, "Sam Small", "Small", permissions=["crm.user.view"])
    session.commit()
    dan = make.signed_in(clean, deputy)
    message = "permissions that you do not have yourself"
    raised = edited(dan, small, role=boss.role_id)
    assert raised.status_code == 422
    assert message in raised.get_data(as_text=True)
    taken = run(dan, "reset_password", rowid=boss.id, how="set", password="", reason="x").get_data(as_text=True)
    assert message in taken
    new = {"name": "N", "email": "n@example.com", "role": boss.role_id, "timezone": "__None", "password": ""}
    assert dan.send(f"{LIST}new/", new).status_code == 422
    assert edited(dan, small, name="Sam Smaller").status_code == 302
    session.rollback()
    assert session.get_one(Admin, small.id).role.name == "Small"


def test_the_list_and_its_csv_tell_no_secrets(olga: Visitor, session: Session) -> None:
    make.admin(session, "Otto", "Operator", password_hash="secret-hash")
    session.commit()
    assert "Otto" in olga.get(f"{LIST}?flt0_role_is=Operator").get_data(as_text=True)
    text = olga.get(f"{LIST}export/csv/").get_data(as_text=True)
    assert "secret" not in text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["role_name"] for row in rows] == ["Super User", "Operator"]


def test_operators_manage_no_accounts(clean: Flask, session: Session, boss: Admin) -> None:
    otto = make.admin(session, "Otto", "Operator")
    session.commit()
    his = make.signed_in(clean, otto)
    for address in (LIST, f"{LIST}new/", f"{LIST}edit/?id={boss.id}", f"{LIST}details/?id={boss.id}", ROLES):
        assert his.get(address).status_code == 403
    assert his.post(f"{LIST}delete/", data={"id": boss.id}).status_code == 403
    assert his.post(f"{LIST}run/sign_out/", data={"rowid": boss.id, "reason": "x"}).status_code == 403


# --- roles ----------------------------------------------------------------------------------------------------


def test_built_in_roles_show_their_permissions_and_stay(olga: Visitor, session: Session) -> None:
    operator = make.role(session, "Operator")
    page = olga.get(f"{ROLES}details/?id={operator.id}").get_data(as_text=True)
    assert "Built-in role" in page
    assert "edit_view" not in page
    assert f"{ROLES}edit/" not in page
    assert page.count(": yes") + page.count('aria-label="Yes"') == len(BUILT_IN_ROLES["Operator"])
    assert olga.get(f"{ROLES}edit/?id={operator.id}").status_code == 302
    assert olga.send(f"{ROLES}edit/?id={operator.id}", {"name": "Hacked"}).status_code == 302
    kept = olga.send(f"{ROLES}delete/", {"id": str(operator.id)})
    assert "is a built-in role" in olga.get(kept.location).get_data(as_text=True)
    session.rollback()
    session.expire_all()
    assert operator.permissions == BUILT_IN_ROLES["Operator"]


def test_a_role_is_made_in_the_table_and_holds_at_once(clean: Flask, olga: Visitor, session: Session) -> None:
    page = olga.get(f"{ROLES}new/").get_data(as_text=True)
    boxes = re.findall(r'type="checkbox" name="permission_names" value="([^"]+)"', page)
    assert sorted(boxes) == sorted(permission.value for permission in Permission)
    names = ["crm.user.edit", "tariffs.tariff.view"]
    assert olga.send(f"{ROLES}new/", {"name": " Desk ", "permission_names": names}).status_code == 302
    desk = session.scalars(select(Role).where(Role.name == "Desk")).one()
    assert desk.permission_names == ["crm.user.edit", "crm.user.view", "tariffs.tariff.view"]
    dora = make.admin(session, "Dora", "Desk")
    session.commit()
    hers = make.signed_in(clean, dora)
    assert [hers.get(path).status_code for path in ("/crm/users/", "/tariffs/tariffs/", ROLES)] == [200, 200, 403]
    form = olga.get(f"{ROLES}edit/?id={desk.id}").get_data(as_text=True)
    assert len(re.findall(r" checked", form)) == 3
    change = {"name": "Desk", "permission_names": ["crm.user.view"], "_version": version(form)}
    assert olga.send(f"{ROLES}edit/?id={desk.id}", change).status_code == 302
    assert [hers.get(path).status_code for path in ("/crm/users/", "/tariffs/tariffs/")] == [200, 403]
    kept = olga.send(f"{ROLES}delete/", {"id": str(desk.id)})
    assert "The role Desk belongs to Dora" in olga.get(kept.location).get_data(as_text=True)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"name": "", "permission_names": ["crm.user.view"]}, "This field is required."),
        ({"name": "super user", "permission_names": ["crm.user.view"]}, "There is a role “super user” already."),
        ({"name": "Nothing"}, "Tick at least one permission."),
        ({"name": "Odd", "permission_names": ["crm.user.fly"]}, "not a valid choice"),
    ],
)
def test_a_wrong_role_is_told_at_its_field(
    olga: Visitor, session: Session, fields: dict[str, Any], message: str
) -> None:
    answer = olga.send(f"{ROLES}new/", fields)
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    session.rollback()
    assert session.scalars(select(Role).where(~Role.built_in)).all() == []


def test_a_role_grows_only_by_what_its_editor_has(clean: Flask, session: Session, boss: Admin) -> None:
    own = ["configuration.role.view", "configuration.role.edit", "crm.user.view"]
    deputy = make.admin(session, "Dan Deputy", "Deputies", permissions=own)
    desk = make.role(session, "Desk", ["crm.rfid_tag.view"])
    session.commit()
    dan = make.signed_in(clean, deputy)
    page = dan.get(f"{ROLES}edit/?id={desk.id}").get_data(as_text=True)
    assert re.search(r'value="crm\.user\.delete"[^>]* aria-label="Users: delete"[^>]* disabled>', page)
    grown = {"name": "Desk", "permission_names": ["crm.rfid_tag.view", "crm.user.delete"], "_version": version(page)}
    answer = dan.send(f"{ROLES}edit/?id={desk.id}", grown)
    assert answer.status_code == 422
    assert "permissions that you do not have yourself" in answer.get_data(as_text=True)
    with pytest.raises(admins.NotOneself):
        roles.change_role(session, role=deputy.role, name="D", permissions=deputy.permissions, actor=deputy)
    session.rollback()
    assert session.get_one(Role, desk.id).permission_names == ["crm.rfid_tag.view"]


def test_the_roles_list_counts_permissions_and_admins(olga: Visitor, session: Session) -> None:
    make.admin(session, "Otto", "Operator")
    session.commit()
    with make.CountedQueries() as counted:
        page = olga.get(ROLES).get_data(as_text=True)
    assert counted.count <= 8
    assert f"{len(Permission)} of {len(Permission)}" in page
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{ROLES}export/csv/").get_data(as_text=True))))
    assert {row["name"] for row in rows} == set(BUILT_IN_ROLES)
