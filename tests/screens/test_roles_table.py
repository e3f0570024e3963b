"""CONFIGURATION > Roles: the table, copies, differences, and that nobody gives what they do not have."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_views.configuration.permission_words import SECTIONS, permission_table, words_of
from app.core import admins, roles, settings
from app.core.clock import utcnow
from app.core.models import Admin, Role
from app.core.permissions import Permission
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

LIST = "/configuration/roles/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session, "Olga Operator")
    session.commit()
    return make.signed_in(clean, somebody)


def test_every_permission_has_a_name_a_help_and_a_place(clean: Flask) -> None:
    with clean.test_request_context():
        said = {permission: words_of(permission) for permission in Permission}
        table = permission_table()
    assert not [p for p, words in said.items() if not (words.page and words.label and words.help)]
    shown = [p for _, rows in table for row in rows for p in (*row.usual, *row.other) if p is not None]
    assert sorted(shown) == sorted(Permission)
    assert [name for name, _ in table] == [
        SECTIONS[key] for key in SECTIONS if any(p.section == key for p in Permission)
    ]


def test_two_permissions_of_a_page_are_told_apart(clean: Flask) -> None:
    with clean.test_request_context():
        names = [(words_of(p).page, words_of(p).label, p.value.rpartition(".")[0]) for p in Permission]
    assert len(names) == len(set(names))


def test_a_role_is_copied_and_compared(olga: Visitor, session: Session) -> None:
    operator, analyst = make.role(session, "Operator"), make.role(session, "Analyst")
    form = olga.get(f"{LIST}new/?copy={analyst.id}").get_data(as_text=True)
    assert 'value="Analyst (copy)"' in form
    ticked = set(re.findall(r'name="permission_names" value="([^"]+)"[^>]* checked', form))
    assert ticked == set(analyst.permission_names)
    page = olga.get(f"{LIST}details/?id={analyst.id}&compare={operator.id}").get_data(as_text=True)
    there = len(operator.permissions - analyst.permissions)
    assert f"0 only in Analyst (here), {there} only in Operator (there)." in page
    assert page.count("</span>Only there<") == there
    assert page.count("</span>Only here<") == 0
    assert olga.get(f"{LIST}new/?copy=999999").status_code == 404
    assert "Compare with" in olga.get(f"{LIST}details/?id={analyst.id}&compare=abc").get_data(as_text=True)


@pytest.fixture
def climber(clean: Flask, session: Session) -> tuple[Visitor, Admin]:
    """Somebody who may manage accounts and roles, and little else."""
    held = [p for p in Permission if p.startswith(("configuration.admin.", "configuration.role."))]
    role = Role(name="Gatekeeper", permission_names=sorted([*held, Permission.USER_VIEW]))
    session.add(role)
    session.flush()
    made = make.admin(session, "Clara Climber", "Gatekeeper")
    make.admin(session, "Olga Operator")
    session.commit()
    return make.signed_in(clean, made), made


def test_nobody_gives_what_they_do_not_have(climber: tuple[Visitor, Admin], session: Session) -> None:
    client, clara = climber
    more = client.send(
        f"{LIST}new/", {"name": "Thief", "permission_names": [Permission.USER_EDIT.value, Permission.USER_VIEW.value]}
    )
    assert more.status_code == 422
    assert "permissions that you do not have yourself" in more.get_data(as_text=True)
    form = client.get(f"{LIST}new/?copy={make.role(session).id}").get_data(as_text=True)
    ticked = set(re.findall(r'name="permission_names" value="([^"]+)"[^>]* checked', form))
    assert ticked <= {p.value for p in clara.permissions}
    assert "are left out: you do not have them yourself" in form
    own = client.send(f"{LIST}new/", {"name": "Viewer", "permission_names": [Permission.USER_VIEW.value]})
    assert own.status_code == 302
    session.rollback()
    viewer = session.scalars(select(Role).where(Role.name == "Viewer")).one()
    for attempt in (
        lambda: roles.change_role(
            session, role=viewer, name="Viewer", permissions=[Permission.USER_VIEW, Permission.USER_EDIT], actor=clara
        ),
        lambda: roles.change_role(
            session, role=clara.role, name="Gatekeeper", permissions=[Permission.USER_VIEW], actor=clara
        ),
        lambda: admins.create_account(
            session, email="n@example.com", name="N", role=make.role(session), password="quite a good one",
            timezone=None, actor=clara, now=utcnow(),
        ),
    ):  # fmt: skip
        with pytest.raises(admins.AdminProtected):
            attempt()
        session.rollback()


@pytest.mark.parametrize(
    "action, fields",
    [
        ("reset_password", {"how": "link"}),
        ("reset_password", {"how": "set", "password": "quite a good one"}),
        ("sign_out", {}),
        ("change_status", {"status": "disabled"}),
        ("remove_second_step", {}),
    ],
)
def test_nobody_takes_charge_of_who_may_more(
    climber: tuple[Visitor, Admin], session: Session, action: str, fields: dict[str, str]
) -> None:
    client, _ = climber
    boss = session.scalars(select(Admin).where(Admin.name == "Olga Operator")).one()
    before = (boss.password_hash, boss.status)
    client.get("/configuration/admin-accounts/")
    said = client.htmx(
        f"/configuration/admin-accounts/run/{action}/", "POST",
        {"rowid": boss.id, "reason": "climbing", **fields}, target="div#modal-content",
    )  # fmt: skip
    assert "permissions that you do not have yourself" in said.get_data(as_text=True)
    session.rollback()
    session.expire_all()
    assert (boss.password_hash, boss.status) == before


def test_how_admins_sign_in_is_set_by_who_may_change_them(clean: Flask, session: Session) -> None:
    otto = make.admin(session, "Otto", "Operator")
    session.commit()
    operator = make.signed_in(clean, otto)
    page = operator.get("/configuration/settings/").get_data(as_text=True)
    assert 'name="session.fail_starting_after_seconds"' in page
    assert 'name="admin.second_step_for"' not in page
    fields = {"was:admin.lock_after_attempts": "10", "admin.lock_after_attempts": ""}
    operator.send("/configuration/settings/", fields)
    session.rollback()

    settings.forget()
    assert settings.get(session, "admin.lock_after_attempts") == 10
