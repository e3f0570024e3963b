"""The pages that import users and cards: upload or paste, preview, confirm with a reason, nobody else's file."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.models import Action, AuditEntry
from app.crm.models import RfidTag, User
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

BASE = "/crm/users/"
TEXT = "email,first_name,tag_id\nnew@example.com,Nina,04BB\nalex.petkov@example.com,Alexander,\n"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    somebody = make.admin(session)
    make.user(session)
    session.commit()
    return make.signed_in(clean, somebody)


def upload(client: Visitor, data: bytes = b"", pasted: str = "") -> Any:
    """Send the form of the import page."""
    page = client.get(f"{BASE}import/").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]*)"', page)
    form: dict[str, Any] = {"csrf_token": token[1] if token else "", "text": pasted}
    if data:
        form["file"] = (io.BytesIO(data), "users.csv")
    return client.post(f"{BASE}import/", data=form, content_type="multipart/form-data")


def previewed(client: Visitor, **given: Any) -> tuple[str, str]:
    """Address and page of a preview."""
    answer = upload(client, **given)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location, client.get(answer.location).get_data(as_text=True)


def confirm(client: Visitor, page: str, reason: str = "Moved from the old system") -> Any:
    """Press Import."""
    action = re.search(r'action="([^"]*/import/confirm/[^"]*)"', page)
    digest = re.search(r'name="digest" value="([^"]*)"', page)
    assert action is not None and digest is not None, page
    return client.send(action[1], {"digest": digest[1], "reason": reason})


@pytest.mark.parametrize("how", ["file", "paste", "paste with CR LF"])
def test_what_was_previewed_is_imported_with_a_reason(olga: Visitor, session: Session, how: str) -> None:
    given: dict[str, Any] = {"data": TEXT.encode()} if how == "file" else {"pasted": TEXT}
    if "CR" in how:
        given = {"pasted": TEXT.replace("\n", "\r\n")}
    _, page = previewed(olga, **given)
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "1 will be created, 1 changed; 0 stay as they are" in told
    assert re.search(r"<del>Alex</del>.*?<ins>Alexander</ins>", page, re.S)
    assert session.scalar(select(func.count()).select_from(User)) == 1  # nothing yet
    session.rollback()
    refused = confirm(olga, page, reason="  ")
    assert refused.status_code == 422
    assert "Enter a reason." in refused.get_data(as_text=True)
    assert confirm(olga, page).location.endswith(BASE)
    assert "1 created, 1 changed, 0 unchanged" in olga.get(BASE).get_data(as_text=True)
    assert session.scalars(select(User.first_name).order_by(User.id)).all() == ["Alexander", "Nina"]
    assert session.scalars(select(RfidTag.tag_id)).all() == ["04BB"]
    action = session.scalars(select(Action)).one()
    assert (action.name, action.reason, action.initiated_by) == (
        "Import Users", "Moved from the old system", "Olga Operator",
    )  # fmt: skip
    entries = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "user_account")).all()
    assert sorted(entry.event for entry in entries) == ["change", "create"]
    log = olga.get("/activity/actions/").get_data(as_text=True)
    assert "1 created, 1 changed, 0 unchanged" in log
    assert confirm(olga, page).status_code == 404  # the file is gone


def test_mistakes_are_listed_and_nothing_can_be_confirmed(olga: Visitor) -> None:
    _, page = previewed(olga, pasted="email,tag_id\nnobody,04\na@b.example,0 4\n")
    assert "2 mistakes in 2 lines" in re.sub(r"\s+", " ", page)
    assert re.search(r"<td>2</td><td><code>email</code></td><td>“nobody” is not an e-mail address.</td>", page)
    assert "/import/confirm/" not in page


@pytest.mark.parametrize("given, told", [({}, "Choose a file"), ({"data": b"\xff\xfe\x00"}, "not UTF-8")])
def test_what_is_no_file_is_said_at_once(olga: Visitor, given: dict[str, Any], told: str) -> None:
    answer = upload(olga, **given)
    assert answer.status_code == 422
    assert told in answer.get_data(as_text=True)


def test_what_is_missing_is_shown_beside_the_user(olga: Visitor, session: Session) -> None:
    settings.change_setting(session, key="user_profile.city", value="required", actor=None)
    session.commit()
    _, page = previewed(olga, pasted=TEXT)
    assert "Not filled in, but required: City." in page
    assert confirm(olga, page).status_code == 303


def test_a_file_belongs_to_who_uploaded_it_and_where(clean: Flask, olga: Visitor, session: Session) -> None:
    address, page = previewed(olga, pasted=TEXT)
    otto = make.admin(session, "Otto Other")
    session.commit()
    other = make.signed_in(clean, otto)
    assert other.get(address).status_code == 302
    assert confirm_by(other, page) == 404
    token = address.rstrip("/").rpartition("/")[2]
    assert olga.get(f"/assets/charge-points/import/preview/{token}/").status_code == 302


def confirm_by(client: Visitor, page: str) -> int:
    """Somebody else's attempt, with a form of their own."""
    client.get(f"{BASE}import/")
    action = re.search(r'action="([^"]*/import/confirm/[^"]*)"', page)
    assert action is not None
    return int(client.send(action[1], {"digest": "x", "reason": "x"}).status_code)


def test_the_template_and_all_users_come_back(olga: Visitor, session: Session) -> None:
    for path in ("import/template/", "import/template/?semicolon=1"):
        template = olga.get(f"{BASE}{path}").get_data()
        assert template.startswith(b"\xef\xbb\xbfemail")
        _, page = previewed(olga, data=template)
        assert "1</strong> changed" in page  # the example is of somebody who is there
    make.tag(session, session.scalars(select(User)).one(), "04AA", card_no="=1+1")
    session.commit()
    everyone = olga.get(f"{BASE}import/all/").get_data()
    _, page = previewed(olga, data=everyone)
    assert "nothing to import" in page
