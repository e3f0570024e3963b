"""The door: who comes in, how often one may try, and what ends a session."""

from __future__ import annotations

import contextvars
import re

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from admin_views.login import limiter_storage
from app.core.models import Admin, AdminStatus, AuditEntry
from app.core.passwords import verify_password
from tests.support.factories_dashboard import PASSWORD, Visitor, make_admin, signed_in, visitor


@pytest.fixture
def door(clean: Flask) -> Visitor:
    """Somebody in front of the login page."""
    return visitor(clean)


def attempt(client: Visitor, email: str = "olga@example.com", password: str = PASSWORD, **more: str):
    return client.post("/login", data={"email": email, "password": password, **more})


def test_strangers_are_sent_to_the_door_and_back(session: Session, door: Visitor) -> None:
    make_admin(session)
    sent = door.get("/account")
    assert sent.status_code == 302
    assert sent.location == "/login?next=/account"
    page = door.get(sent.location)
    assert 'name="next" value="/account"' in page.text
    assert attempt(door, next="/account").location == "/account"
    assert door.get("/account").status_code == 200


def test_htmx_of_an_ended_session_is_told_where_to_go(door: Visitor) -> None:
    answer = door.get("/account", headers={"HX-Request": "true", "HX-Current-URL": "http://x/account?a=1"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/account?a%3D1"


@pytest.mark.parametrize(
    "email, password, status",
    [
        ("olga@example.com", "wrong password", AdminStatus.ACTIVE),
        ("nobody@example.com", PASSWORD, AdminStatus.ACTIVE),
        ("olga@example.com", PASSWORD, AdminStatus.DISABLED),
        ("olga@example.com", "", AdminStatus.ACTIVE),
        ("", "", AdminStatus.ACTIVE),
        ("olga\x00@example.com", PASSWORD, AdminStatus.ACTIVE),
    ],
)
def test_every_mistake_gets_the_same_words(
    session: Session, door: Visitor, email: str, password: str, status: AdminStatus
) -> None:
    make_admin(session, status=status)
    answer = attempt(door, email, password)
    assert answer.status_code == 401
    assert "The e-mail or the password is wrong, or the account is disabled or locked for the moment." in answer.text
    assert door.get("/account").status_code == 302


def test_signing_in_is_recorded_and_leaves_the_row_version_alone(session: Session, door: Visitor) -> None:
    admin = make_admin(session)
    version = admin.version
    attempt(door, password="wrong password")
    attempt(door, " OLGA@example.com ")
    session.refresh(admin)
    assert admin.last_login_at is not None
    assert admin.version == version
    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(e.event, e.object_id, e.admin_id) for e in entries] == [
        ("login_failed", str(admin.id), None),
        ("login", str(admin.id), admin.id),
    ]
    assert entries[1].after == {"address": "127.0.0.1"}


def test_what_is_typed_as_an_unknown_email_is_not_kept(session: Session, door: Visitor) -> None:
    attempt(door, "my-secret-password", "x")
    assert "my-secret" not in str(session.execute(text("SELECT audit_entry::text FROM audit_entry")).all())


def test_a_planted_session_is_replaced(session: Session, clean: Flask, door: Visitor) -> None:
    make_admin(session)
    with door.session_transaction() as planted:
        planted["planted"] = "by somebody else"
        planted["csrf_token"] = "known"
    attempt(door)
    with door.session_transaction() as mine:
        assert "planted" not in mine
        assert mine.get("csrf_token") != "known"
        assert mine.permanent


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_to_another_site(session: Session, door: Visitor, target: str) -> None:
    make_admin(session)
    assert attempt(door, next=target).location == "/"
    assert "evil" not in door.get("/login", query_string={"next": target}).text


def test_who_is_signed_in_needs_no_door(session: Session, clean: Flask) -> None:
    client = signed_in(clean, make_admin(session))
    assert client.get("/login?next=/account").location == "/account"


def test_signing_out_needs_a_post_and_forgets_everything(session: Session, clean: Flask) -> None:
    client = signed_in(clean, make_admin(session))
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").location == "/login"
    with client.session_transaction() as left:
        assert dict(left) == {}
    assert client.get("/account").status_code == 302


def test_disabling_an_admin_ends_its_session(session: Session, clean: Flask) -> None:
    admin = make_admin(session)
    client = signed_in(clean, admin)
    assert client.get("/account").status_code == 200
    admin.status = AdminStatus.DISABLED
    session.commit()
    assert client.get("/account").status_code == 302


@pytest.mark.parametrize("key", ["", "1", "abc", "\x00", "9" * 3000, "1.1"])
def test_a_strange_session_is_nobodys(session: Session, clean: Flask, door: Visitor, key: str) -> None:
    make_admin(session)
    with door.session_transaction() as planted:
        planted["_user_id"], planted["_fresh"] = key, True
    assert door.get("/account").status_code == 302


def test_the_eleventh_attempt_of_a_minute_waits(session: Session, door: Visitor) -> None:
    make_admin(session)
    for number in range(10):
        assert attempt(door, f"somebody{number}@example.com", "wrong").status_code == 401
    refused = attempt(door)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert re.search(r"Too many attempts\. Try again in (\d+ s|1 min), at \d\d:\d\d:\d\d \(UTC\)\.", refused.text)
    assert door.get("/login").status_code == 200


def test_one_email_is_protected_from_many_addresses(session: Session, door: Visitor) -> None:
    make_admin(session)
    for number in range(10):
        from_there = {"REMOTE_ADDR": f"192.0.2.{number}"}
        answer = door.post("/login", data={"email": "Olga@example.com", "password": "wrong"}, environ_base=from_there)
        assert answer.status_code == 401
    there = {"REMOTE_ADDR": "192.0.2.99"}
    mine = {"email": " olga@example.com", "password": PASSWORD}
    assert door.post("/login", data=mine, environ_base=there).status_code == 429
    other = {"email": "other@example.com", "password": "wrong"}
    assert door.post("/login", data=other, environ_base=there).status_code == 401


def test_a_socket_of_redis_is_spelled_as_the_throttle_wants_it() -> None:
    assert limiter_storage("unix:///var/redis.sock?db=3") == "redis+unix:///var/redis.sock?db=3"
    assert limiter_storage("redis://host:6379/0") == "redis://host:6379/0"


def test_the_throttle_counts_in_redis(session: Session, clean: Flask, door: Visitor) -> None:
    attempt(door, "who@example.com", "wrong")
    assert len(clean.extensions["sync_redis"].keys("LIMITS*")) == 4


def test_posting_without_token_is_refused(session: Session, clean: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    make_admin(session)
    monkeypatch.setitem(clean.config, "WTF_CSRF_ENABLED", True)
    client = visitor(clean)
    wrong = client.post("/login", data={"email": "olga@example.com", "password": PASSWORD})
    assert wrong.status_code == 400
    page = client.get("/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    right = {"email": "olga@example.com", "password": PASSWORD, "csrf_token": token[1]}
    assert client.post("/login", data=right).status_code == 303
    assert client.post("/logout").status_code == 400


def test_the_cookie_is_out_of_reach(session: Session, clean: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    make_admin(session)
    monkeypatch.setitem(clean.config, "SESSION_COOKIE_SECURE", True)
    client = visitor(clean)
    answer = client.post("/login", data={"email": "olga@example.com", "password": PASSWORD})
    sent = answer.headers["Set-Cookie"]
    assert all(part in sent for part in ("HttpOnly", "SameSite=Lax", "Secure", "Expires="))


# --- my account


def test_an_admin_changes_its_account(session: Session, clean: Flask) -> None:
    admin = make_admin(session)
    client = signed_in(clean, admin)
    fields = {"name": "Olga O.", "email": "olga.o@example.com", "locale": "bg", "timezone": "Europe/Sofia"}
    assert client.post("/account", data=fields).status_code == 303
    session.refresh(admin)
    assert {key: getattr(admin, key) for key in fields} == fields
    assert "Your account is saved." in client.get("/account").text
    entry = session.scalars(select(AuditEntry)).one()
    assert entry.before["name"] == "Olga"
    assert entry.after["timezone"] == "Europe/Sofia"


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("email", "Victor@example.com", "Another admin has this e-mail address."),
        ("email", "no address", "is not an e-mail address"),
        ("name", "", "This field is required."),
        ("locale", "xx", "Not a valid choice."),
        ("timezone", "Mars/Olympus", "Not a valid choice."),
    ],
)
def test_a_mistake_changes_nothing(session: Session, clean: Flask, field: str, value: str, words: str) -> None:
    admin = make_admin(session)
    make_admin(session, email="victor@example.com")
    client = signed_in(clean, admin)
    fields = {"name": "X", "email": "olga@example.com", "locale": "en", "timezone": "__None", field: value}
    answer = client.post("/account", data=fields)
    assert answer.status_code == 422
    assert words in answer.text
    session.refresh(admin)
    assert admin.name == "Olga"


def test_a_new_password_ends_the_other_sessions(session: Session, clean: Flask) -> None:
    admin = make_admin(session)
    here, elsewhere = signed_in(clean, admin), signed_in(clean, admin)
    new = "another good password"
    answer = here.post("/account/password", data={"old": PASSWORD, "new": new, "again": new})
    assert answer.status_code == 303
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 302
    session.refresh(admin)
    assert verify_password(admin.password_hash, new)
    entry = session.scalars(select(AuditEntry)).one()
    assert (entry.before, entry.after) == ({}, {"password": "changed"})


@pytest.mark.parametrize(
    "old, new, again, words",
    [
        ("wrong", "another good password", "another good password", "This is not your present password."),
        (PASSWORD, "short", "short", "a password has at least ten"),
        (PASSWORD, "another good password", "something else", "The two do not match."),
        (PASSWORD, "", "", "This field is required."),
    ],
)
def test_a_password_is_not_changed_lightly(
    session: Session, clean: Flask, old: str, new: str, again: str, words: str
) -> None:
    admin = make_admin(session)
    client = signed_in(clean, admin)
    answer = client.post("/account/password", data={"old": old, "new": new, "again": again})
    assert answer.status_code == 422
    assert words.replace("ten", "10") in answer.text
    session.refresh(admin)
    assert verify_password(admin.password_hash, PASSWORD)


# --- command line


def run(app: Flask, *arguments: str, input: str) -> Result:
    """The command as from a shell, outside the test's own application context."""
    return contextvars.Context().run(app.test_cli_runner().invoke, args=["create-admin", *arguments], input=input)


def test_an_admin_from_the_command_line(session: Session, clean: Flask) -> None:
    made = run(clean, "--email", "nora@example.com", "--name", "Nora", "--role", "operator", input=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    admin = session.scalars(select(Admin)).one()
    assert (admin.name, admin.role.name) == ("Nora", "Operator")
    assert verify_password(admin.password_hash, PASSWORD)
    generated = run(clean, "--email", "eva@example.com", input="")
    secret = re.search(r"Password: (\S+)", generated.output)
    assert secret is not None
    eva = session.scalars(select(Admin).where(Admin.email == "eva@example.com")).one()
    assert verify_password(eva.password_hash, secret[1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--email", "olga@example.com"], "already"),
        (["--email", "nobody"], "not an e-mail address"),
        (["--email", "n@example.com", "--role", "King"], "there are: "),
    ],
)
def test_the_command_says_what_is_wrong(session: Session, clean: Flask, arguments: list[str], words: str) -> None:
    make_admin(session)
    result = run(clean, *arguments, input=f"{PASSWORD}\n")
    assert result.exit_code == 1
    assert words in result.output
    assert len(session.scalars(select(Admin)).all()) == 1
