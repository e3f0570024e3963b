"""CRM > Partners, their admins and roles, and one's own company. Manual, "Partners" and "Partner Roles"."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core import admins, roles
from app.core.models import Admin, AdminStatus, AuditEntry, Role
from app.core.permissions import PARTNER_GRANTABLE, PARTNER_ROLES, STAFF_ROLES, Permission
from app.partners.models import Partner
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.partners import make_host, partner_admin

LIST = "/crm/partners/"
ACCOUNTS = "/configuration/admin-accounts/"
COMPANY = "/configuration/company-details/"
FIELDS = {
    "company_name": "Lidl Bulgaria EOOD",
    "address": "1 Vitosha Blvd\r\nSofia",
    "registration_no": "131071587",
    "vat_no": "BG131071587",
    "contact_email": "energy@lidl.example",
    "contact_phone": "+359 2 1234567",
}


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """The operator's Super User, signed in."""
    boss = make.admin(session, "Olga Operator")
    session.commit()
    return make.signed_in(clean, boss)


def partner(session: Session, name: str) -> Partner:
    made = Partner(name=name)
    session.add(made)
    session.commit()
    return made


def version(page: str) -> str:
    found = re.search(r'name="_version" value="(\d+)"', page)
    assert found
    return found[1]


# --- the partner's page --------------------------------------------------------------------------------------


def test_a_partner_is_made_with_its_company_edited_and_audited(olga: Visitor, session: Session) -> None:
    made = olga.send(f"{LIST}new/", {"name": "Lidl", **FIELDS})
    assert made.status_code == 302
    lidl = session.scalars(select(Partner).where(Partner.name == "Lidl")).one()
    assert (lidl.address, lidl.contact_email) == ("1 Vitosha Blvd\nSofia", "energy@lidl.example")
    page = olga.get(f"{LIST}edit/?id={lidl.id}").get_data(as_text=True)
    saved = olga.send(f"{LIST}edit/?id={lidl.id}", {"name": "Lidl", **FIELDS, "vat_no": " ", "_version": version(page)})
    assert saved.status_code == 302
    session.expire_all()
    assert lidl.vat_no is None
    entries = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "partner").order_by(AuditEntry.id))
    assert [entry.event for entry in entries] == ["create", "change"]
    assert "BG131071587" in olga.get(f"{LIST}history/?id={lidl.id}").get_data(as_text=True)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"name": ""}, "This field is required."),
        ({"name": "   "}, "This field is required."),
        ({"name": "Operator"}, "Already exists."),
        ({"contact_email": "nobody"}, "This is not an e-mail address."),
        ({"contact_phone": "call me"}, "Write it like"),
        ({"address": "x" * 401}, "400 characters"),
    ],
)
def test_what_cannot_be_kept_is_said_at_its_field(
    olga: Visitor, session: Session, fields: dict[str, str], message: str
) -> None:
    answer = olga.send(f"{LIST}new/", {"name": "Lidl", **FIELDS, **fields})
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    assert session.scalars(select(Partner.id)).all() == [1]


def test_a_partner_that_owns_something_stays_and_one_that_does_not_goes(olga: Visitor, session: Session) -> None:
    host, empty = make_host(session, "Lidl"), partner(session, "Nobody")
    partner_admin(session, host.partner_id, "Partner Owner")
    refused = olga.send(f"{LIST}delete/?id={host.partner_id}", {"id": host.partner_id})
    said = olga.get(refused.location).get_data(as_text=True)
    assert "cannot be deleted, because it has" in said
    assert all(word in said for word in ("Charge Points", "Charging Sessions", "Admin Accounts"))
    assert olga.send(f"{LIST}delete/?id={empty.id}", {"id": empty.id}).location.endswith(LIST)
    session.expire_all()
    assert {row.name for row in session.scalars(select(Partner))} == {"Operator", "Lidl"}


def test_the_operator_is_shown_as_such_and_is_no_partner_like_others(olga: Visitor, session: Session) -> None:
    listed = olga.get(LIST).get_data(as_text=True)
    assert "status-azure" in listed
    page = olga.get(f"{LIST}details/?id=1").get_data(as_text=True)
    assert "The operator itself" in page and "Create Admin" not in page and "Delete Operator" not in page
    assert olga.send(f"{LIST}delete/?id=1", {"id": 1}).status_code == 403
    assert olga.get(f"{LIST}admins/?id=1").status_code == 404
    assert olga.get(f"{ACCOUNTS}new/?partner=1").status_code == 404
    form = olga.get(f"{LIST}edit/?id=1").get_data(as_text=True)
    assert 'name="vat_no"' not in form
    assert olga.send(f"{LIST}edit/?id=1", {"name": "SYNC EV", "_version": version(form)}).status_code == 302
    assert session.get(Partner, 1).name == "SYNC EV"  # type: ignore[union-attr]


# --- its admins ------------------------------------------------------------------------------------------------


def test_staff_creates_the_first_admin_on_the_partners_page(olga: Visitor, session: Session) -> None:
    lidl = partner(session, "Lidl")
    page = olga.get(f"{LIST}details/?id={lidl.id}").get_data(as_text=True)
    assert f"{ACCOUNTS}new/?partner={lidl.id}" in page
    form = olga.get(f"{ACCOUNTS}new/?partner={lidl.id}").get_data(as_text=True)
    offered = set(re.findall(r'<option value="\d+"[^>]*>([^<]+)</option>', form))
    assert offered == set(PARTNER_ROLES)
    owner = make.role(session, "Partner Owner")
    given = {"name": "Petra", "email": "petra@lidl.example", "role": owner.id, "timezone": "__None"}
    made = olga.send(f"{ACCOUNTS}new/?partner={lidl.id}", {**given, "password": "quite a good one"})
    assert made.status_code in (200, 302)
    petra = session.scalars(select(Admin).where(Admin.email == "petra@lidl.example")).one()
    assert (petra.partner_id, petra.role.name) == (lidl.id, "Partner Owner")
    table = olga.get(f"{LIST}admins/?id={lidl.id}").get_data(as_text=True)
    assert "petra@lidl.example" in table and "Partner Owner" in table
    assert "petra@lidl.example" in olga.get(f"{LIST}admins/?id={lidl.id}&search=PETRA").get_data(as_text=True)
    assert "matches" in olga.get(f"{LIST}admins/?id={lidl.id}&search=x%25").get_data(as_text=True)
    assert "Lidl" in olga.get(f"{ACCOUNTS}?search=petra").get_data(as_text=True)


def test_roles_of_the_other_kind_are_not_taken(olga: Visitor, session: Session) -> None:
    lidl = partner(session, "Lidl")
    staff, theirs = make.role(session, "Operator"), make.role(session, "Partner Operator")
    given = {"name": "Petra", "email": "petra@lidl.example", "timezone": "__None", "password": "quite a good one"}
    for_partner = olga.send(f"{ACCOUNTS}new/?partner={lidl.id}", {**given, "role": staff.id})
    for_staff = olga.send(f"{ACCOUNTS}new/", {**given, "role": theirs.id})
    assert (for_partner.status_code, for_staff.status_code) == (422, 422)
    session.expire_all()
    assert [row.name for row in session.scalars(select(Admin))] == ["Olga Operator"]
    with pytest.raises(admins.RoleOfOtherKind):
        admins.require_kind(staff, lidl.id)
    with pytest.raises(admins.RoleOfOtherKind):
        admins.require_kind(theirs, None)


@pytest.mark.parametrize("partners_role", [True, False])
def test_the_database_itself_keeps_the_kinds_apart(session: Session, partners_role: bool) -> None:
    lidl = partner(session, "Lidl")
    role = make.role(session, "Partner Owner" if partners_role else "Super User")
    session.add(Admin(email="x@example.com", name="X", role=role, partner_id=None if partners_role else lidl.id))
    with pytest.raises(IntegrityError, match="fk_admin_role_kind"):
        session.flush()


def test_nobody_is_an_admin_of_the_house_as_of_a_partner(session: Session) -> None:
    session.add(Admin(email="x@example.com", name="X", role=make.role(session, "Partner Owner"), partner_id=1))
    with pytest.raises(IntegrityError, match="not_of_the_house"):
        session.flush()


# --- an Owner ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lidl(session: Session) -> Partner:
    return partner(session, "Lidl")


@pytest.fixture
def owner(session: Session, lidl: Partner) -> Admin:
    return partner_admin(session, lidl.id, "Partner Owner", email="petra@lidl.example")


@pytest.fixture
def petra(clean: Flask, owner: Admin) -> Visitor:
    """An Owner, signed in."""
    return make.signed_in(clean, owner)


def test_an_owner_manages_the_admins_of_its_partner(petra: Visitor, session: Session, lidl: Partner) -> None:
    form = petra.get(f"{ACCOUNTS}new/").get_data(as_text=True)
    assert set(re.findall(r'<option value="\d+"[^>]*>([^<]+)</option>', form)) == set(PARTNER_ROLES)
    analyst, operator = make.role(session, "Partner Analyst"), make.role(session, "Partner Operator")
    given = {"name": "Ana", "email": "ana@lidl.example", "role": analyst.id, "timezone": "__None"}
    assert petra.send(f"{ACCOUNTS}new/", {**given, "password": "quite a good one"}).status_code in (200, 302)
    ana = session.scalars(select(Admin).where(Admin.email == "ana@lidl.example")).one()
    assert ana.partner_id == lidl.id
    page = petra.get(f"{ACCOUNTS}edit/?id={ana.id}").get_data(as_text=True)
    fields = {**given, "role": operator.id, "_version": version(page)}
    assert petra.send(f"{ACCOUNTS}edit/?id={ana.id}", fields).status_code == 302
    petra.get(ACCOUNTS)
    done = petra.htmx(
        f"{ACCOUNTS}run/change_status/",
        "POST",
        {"rowid": ana.id, "reason": "left", "status": "disabled"},
        target="div#modal-content",
    )
    assert done.status_code == 200
    session.expire_all()
    assert (ana.role.name, ana.status) == ("Partner Operator", AdminStatus.DISABLED)
    assert petra.send(f"{ACCOUNTS}delete/?id={ana.id}", {"id": ana.id}).status_code == 302
    session.expire_all()
    assert session.scalars(select(Admin.name)).all() == ["Petra"]


def test_an_owner_finds_no_admin_of_anybody_else(petra: Visitor, session: Session, owner: Admin, clean: Flask) -> None:
    theirs = partner_admin(session, partner(session, "Kaufland").id, "Partner Owner", email="k@kaufland.example")
    staff = make.admin(session, "Olga Operator")
    session.commit()
    listed = petra.get(ACCOUNTS).get_data(as_text=True)
    assert "petra@lidl.example" in listed and "kaufland" not in listed and "olga" not in listed.lower()
    before = session.execute(text("SELECT id, email, role_id, status, version FROM admin ORDER BY id")).all()
    for other in (theirs, staff):
        fields = {"name": "Mine", "email": "mine@lidl.example", "role": owner.role_id, "_version": other.version}
        for path in ("details", "edit", "history", "delete"):
            assert petra.get(f"{ACCOUNTS}{path}/?id={other.id}").status_code == 404, path
        assert petra.send(f"{ACCOUNTS}edit/?id={other.id}", fields).status_code == 404
        assert petra.send(f"{ACCOUNTS}delete/?id={other.id}", {"id": other.id}).status_code == 404
        for action in ("change_status", "reset_password", "sign_out"):
            given = {"rowid": other.id, "reason": "mine", "status": "disabled", "password": "quite a good one"}
            got = petra.open(f"{ACCOUNTS}run/{action}/", method="POST", data=given)
            assert got.status_code == 404, action
        mixed = {"rowid": [owner.id, other.id], "reason": "mine", "status": "disabled"}
        petra.open(f"{ACCOUNTS}run/change_status/", method="POST", data=mixed)
    session.rollback()
    after = session.execute(text("SELECT id, email, role_id, status, version FROM admin ORDER BY id")).all()
    assert after == before


def test_an_owner_gives_no_role_of_the_operator_and_no_partner_but_its_own(
    petra: Visitor, session: Session, lidl: Partner
) -> None:
    other = partner(session, "Kaufland")
    given = {"name": "X", "email": "x@lidl.example", "timezone": "__None", "password": "quite a good one"}
    refused = petra.send(f"{ACCOUNTS}new/", {**given, "role": make.role(session, "Super User").id})
    assert refused.status_code == 422
    made = petra.send(
        f"{ACCOUNTS}new/?partner={other.id}",
        {**given, "role": make.role(session, "Partner Owner").id, "partner": other.id, "partner_id": other.id},
    )
    assert made.status_code in (200, 302)
    found = session.scalars(select(Admin).where(Admin.email == "x@lidl.example")).one()
    assert found.partner_id == lidl.id


def test_an_owner_cannot_lock_itself_out(petra: Visitor, session: Session, owner: Admin) -> None:
    page = petra.get(f"{ACCOUNTS}edit/?id={owner.id}").get_data(as_text=True)
    fields = {
        "name": "Petra",
        "email": owner.email,
        "role": make.role(session, "Partner Analyst").id,
        "timezone": "__None",
        "_version": version(page),
    }
    assert petra.send(f"{ACCOUNTS}edit/?id={owner.id}", fields).status_code == 422
    petra.send(f"{ACCOUNTS}delete/?id={owner.id}", {"id": owner.id})
    petra.open(
        f"{ACCOUNTS}run/change_status/",
        method="POST",
        data={"rowid": owner.id, "reason": "oops", "status": "disabled"},
    )
    session.expire_all()
    assert (owner.role.name, owner.status) == ("Partner Owner", AdminStatus.ACTIVE)


def test_an_owner_edits_its_own_company_and_nobody_elses(
    petra: Visitor, session: Session, lidl: Partner, clean: Flask
) -> None:
    other = partner(session, "Kaufland")
    page = petra.get(COMPANY).get_data(as_text=True)
    assert "The company of Lidl" in page
    assert petra.send(COMPANY, {**FIELDS, "contact_email": "x", "_version": version(page)}).status_code == 422
    given = {**FIELDS, "name": "Mine", "id": other.id, "_version": version(page)}
    assert petra.send(f"{COMPANY}?id={other.id}", given).status_code == 303
    session.expire_all()
    assert (lidl.name, lidl.vat_no, other.vat_no) == ("Lidl", "BG131071587", None)
    assert petra.send(COMPANY, {**FIELDS, "_version": 1}).status_code == 409
    for path in ("example.pdf", "history/"):
        assert petra.get(f"{COMPANY}{path}").status_code == 404
    entry = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "partner")).one()
    assert (entry.admin_label, entry.after["vat_no"]) == ("Petra <petra@lidl.example>", "BG131071587")


@pytest.mark.parametrize("role", ["Partner Operator", "Partner Analyst"])
def test_only_owners_have_admins_and_company(clean: Flask, session: Session, lidl: Partner, role: str) -> None:
    client = make.signed_in(clean, partner_admin(session, lidl.id, role))
    for path in (ACCOUNTS, f"{ACCOUNTS}new/", COMPANY, "/configuration/roles/", LIST):
        assert client.get(path).status_code == 403, path


# --- roles ------------------------------------------------------------------------------------------------------


def test_built_in_partner_roles_are_the_manuals_table(session: Session) -> None:
    stored = {role.name: role for role in session.scalars(select(Role).where(Role.built_in))}
    assert {name for name, role in stored.items() if role.for_partner} == set(PARTNER_ROLES)
    assert {name for name, role in stored.items() if not role.for_partner} == set(STAFF_ROLES)
    seen = {
        name: sorted(str(p).split(".", 1)[1].rsplit(".", 1)[0] for p in role.permissions if p.endswith(".view"))
        for name, role in stored.items()
        if role.for_partner
    }
    everybody = ["authorization", "charging_session", "home", "reservation", "transaction"]
    assert seen["Partner Analyst"] == everybody
    assert seen["Partner Operator"] == sorted([*everybody, "charge_point", "charging_zone", "location"])
    assert seen["Partner Owner"] == sorted([*seen["Partner Operator"], "admin", "company"])
    beyond = (".create", ".edit", ".delete", ".secrets", ".raw_command", ".import")
    assert not [p for p in stored["Partner Operator"].permissions if p.endswith(beyond)]
    assert Permission.CHARGE_POINT_COMMAND in stored["Partner Operator"].permissions
    assert Permission.CHARGE_POINT_COMMAND not in stored["Partner Analyst"].permissions


def test_a_super_user_makes_further_partner_roles_of_what_partners_may_have(olga: Visitor, session: Session) -> None:
    form = olga.get("/configuration/roles/new/?for=partners").get_data(as_text=True)
    assert set(re.findall(r'name="permission_names" value="([^"]+)"', form)) == set(PARTNER_GRANTABLE)
    given: dict[str, Any] = {"name": "Partner Bookkeeper", "permission_names": ["payments.transaction.export"]}
    assert olga.send("/configuration/roles/new/?for=partners", given).status_code == 302
    made = session.scalars(select(Role).where(Role.name == "Partner Bookkeeper")).one()
    assert made.for_partner
    assert {str(p) for p in made.permissions} == {"payments.transaction.export", "payments.transaction.view"}
    given = {"name": "Partner Boss", "permission_names": ["crm.user.view"]}
    assert olga.send("/configuration/roles/new/?for=partners", given).status_code == 422
    with pytest.raises(roles.NotForPartners):
        roles.create_role(session, name="X", permissions=[Permission.USER_VIEW], actor=None, for_partner=True)
    with pytest.raises(roles.NotForPartners):
        roles.change_role(session, role=made, name="X", permissions=[Permission.SETTING_EDIT], actor=None)


def test_what_is_stored_of_a_partner_role_never_grants_more(session: Session) -> None:
    role = Role(name="Forged", for_partner=True, permission_names=["crm.user.view", "dashboard.home.view"])
    assert role.permissions == {Permission.DASHBOARD_VIEW}
