"""Coming in: invitations, forgotten passwords, locks, the second step, sessions. Manual, "Admin Accounts"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.core import admin_links, admin_sessions, admins, sealed, second_factor, settings, sign_in
from app.core.account_models import AdminLink, AdminSession, LinkPurpose, SecondFactor
from app.core.clock import utcnow
from app.core.models import Admin, AdminStatus, AuditEntry, Mail
from app.core.passwords import hash_password, verify_password
from tests.support.factories_dashboard import PASSWORD, Visitor, make_admin, signed_in, visitor

NEW = "quite another password"
ACCOUNTS = "/configuration/admin-accounts/"


@pytest.fixture
def door(clean: Flask) -> Visitor:
    return visitor(clean)


@pytest.fixture
def boss(session: Session) -> Admin:
    return make_admin(session, email="boss@example.com")


def signing_in(client: Visitor, password: str = PASSWORD, email: str = "olga@example.com"):
    return client.post("/login", data={"email": email, "password": password})


def inside(client: Visitor) -> bool:
    return client.get("/account").status_code == 200


def fresh(session: Session, admin: Admin) -> Admin:
    session.rollback()
    session.expire_all()
    return session.get_one(Admin, admin.id)


def link(session: Session, admin: Admin, purpose: LinkPurpose) -> str:
    """The path of a new link."""
    _, url = admin_links.make_link(session, admin=admin, purpose=purpose, asked_by="a test", now=utcnow())
    session.commit()
    return "/" + url.split("/", 3)[3]


def choose(client: Visitor, path: str, password: str = NEW):
    return client.post(path, data={"new": password, "again": password})


def with_mail(session: Session) -> None:
    settings.change_setting(session, key="mail.host", value="mail.example.com", actor=None)
    settings.change_setting(session, key="mail.sender", value="desk@example.com", actor=None)
    session.commit()


@contextmanager
def later(**span: float) -> Iterator[None]:
    with time_machine.travel(datetime.now(UTC) + timedelta(**span), tick=True):
        settings.forget()
        yield
    settings.forget()


# --- every state × every event


def account(session: Session, state: str) -> Admin:
    fields: dict[str, object] = {"status": AdminStatus.ACTIVE}
    if state == "invited":
        fields = {"status": AdminStatus.INVITED}
    if state == "disabled":
        fields = {"status": AdminStatus.DISABLED}
    if state == "locked":
        fields["locked_until"] = utcnow() + timedelta(minutes=10)
    admin = make_admin(session, role="Operator", **fields)
    if state == "invited":
        admin.password_hash = None
        session.commit()
    return admin


#: state → event → (what comes of it, the state after it)
TABLE = {
    "invited": {
        "sign in": ("refused", "invited"), "invitation": ("inside", "active"), "reset link": ("spent", "invited"),
        "forgot": ("nothing", "invited"), "disable": ("done", "disabled"), "activate": ("NotActive", "invited"),
        "unlock": ("AdminStatusUnchanged", "invited"), "invite": ("done", "invited"),
        "set password": ("done", "active"), "send reset": ("NotActive", "invited"),
    },
    "active": {
        "sign in": ("inside", "active"), "invitation": ("spent", "active"), "reset link": ("changed", "active"),
        "forgot": ("link", "active"), "disable": ("done", "disabled"), "activate": ("AdminStatusUnchanged", "active"),
        "unlock": ("AdminStatusUnchanged", "active"), "invite": ("AcceptedAlready", "active"),
        "set password": ("done", "active"), "send reset": ("done", "active"),
    },
    "locked": {
        "sign in": ("refused", "locked"), "invitation": ("spent", "locked"), "reset link": ("changed", "active"),
        "forgot": ("link", "locked"), "disable": ("done", "disabled"), "activate": ("AdminStatusUnchanged", "locked"),
        "unlock": ("done", "active"), "invite": ("AcceptedAlready", "locked"), "set password": ("done", "active"),
        "send reset": ("done", "locked"),
    },
    "disabled": {
        "sign in": ("refused", "disabled"), "invitation": ("spent", "disabled"), "reset link": ("spent", "disabled"),
        "forgot": ("nothing", "disabled"), "disable": ("AdminStatusUnchanged", "disabled"),
        "activate": ("done", "active"), "unlock": ("AdminStatusUnchanged", "disabled"),
        "invite": ("AcceptedAlready", "disabled"), "set password": ("done", "disabled"),
        "send reset": ("NotActive", "disabled"),
    },
}  # fmt: skip


def happen(session: Session, client: Visitor, admin: Admin, event: str) -> str:
    more = {"session": session, "admin": admin, "reason": "a test", "actor": None, "now": utcnow()}
    verbs = {
        "disable": lambda: admins.change_admin_status(status=AdminStatus.DISABLED, **more),
        "activate": lambda: admins.change_admin_status(status=AdminStatus.ACTIVE, **more),
        "unlock": lambda: admins.unlock(**more),
        "invite": lambda: admins.send_invitation(**more),
        "set password": lambda: admins.reset_password(password=NEW, **more),
        "send reset": lambda: admins.send_reset_link(**more),
    }
    if event in verbs:
        try:
            verbs[event]()
        except admins.AdminProtected as refusal:
            session.rollback()
            return type(refusal).__name__
        session.commit()
        return "done"
    if event == "sign in":
        answer = signing_in(client)
        return "inside" if inside(client) else {401: "refused"}[answer.status_code]
    if event == "forgot":
        client.post("/forgot-password", data={"email": admin.email})
        session.rollback()
        return "link" if session.scalars(select(AdminLink)).all() else "nothing"
    path = link(session, admin, LinkPurpose.INVITE if event == "invitation" else LinkPurpose.RESET)
    answer = choose(client, path)
    if answer.status_code == 404:
        return "spent"
    return "inside" if inside(client) else "changed"


@pytest.mark.parametrize("state, event", [(state, event) for state, row in TABLE.items() for event in row])
def test_every_state_and_event(session: Session, door: Visitor, boss: Admin, state: str, event: str) -> None:
    admin = account(session, state)
    outcome, after = TABLE[state][event]
    assert happen(session, door, admin, event) == outcome
    now = fresh(session, admin)
    shown = "locked" if now.is_locked(utcnow()) and now.status is AdminStatus.ACTIVE else now.status.value
    assert shown == after


# --- one-time links


def test_an_invitation_is_mailed_accepted_once_and_leads_inside(clean: Flask, session: Session, boss: Admin) -> None:
    with_mail(session)
    client = signed_in(clean, boss)
    role = boss.role_id
    fields = {"name": "Nora", "email": "nora@example.com", "role": role, "timezone": "__None", "password": ""}
    assert client.post(f"{ACCOUNTS}new/", data=fields).status_code == 302
    session.rollback()
    mail = session.scalars(select(Mail)).one()
    assert (mail.recipient, mail.confidential) == ("nora@example.com", True)
    assert "/invitation/" not in mail.body + str(mail.html), "the outbox holds no link that works"
    found = re.search(r"http://\S+(/invitation/[\w-]{43})", sealed.opened(mail.body))
    assert found
    assert found[1] in sealed.opened(str(mail.html))
    path = found[1]
    nora = visitor(clean)
    assert "nora@example.com" in nora.get(path).text, "looking at the link uses nothing"
    assert choose(nora, path, "short").status_code == 422
    assert choose(nora, path).status_code == 303
    assert inside(nora)
    again = visitor(clean)
    assert again.get(path).status_code == choose(again, path).status_code == 404
    assert not inside(again)
    admin = session.scalars(select(Admin).where(Admin.email == "nora@example.com")).one()
    assert (admin.status, verify_password(admin.password_hash, NEW)) == (AdminStatus.ACTIVE, True)


@pytest.mark.parametrize("purpose", list(LinkPurpose))
def test_a_link_ends_with_its_time_a_newer_one_and_withdrawal(
    clean: Flask, session: Session, boss: Admin, door: Visitor, purpose: LinkPurpose
) -> None:
    admin = account(session, "invited" if purpose is LinkPurpose.INVITE else "active")
    old = link(session, admin, purpose)
    newer = link(session, admin, purpose)
    assert door.get(old).status_code == 404
    assert door.get(newer).status_code == 200
    other = (
        newer.replace("invitation", "new-password")
        if "invitation" in newer
        else newer.replace("new-password", "invitation")
    )
    assert door.get(other).status_code == 404, "a link is of one purpose"
    span = {"days": 7, "minutes": 1} if purpose is LinkPurpose.INVITE else {"hours": 1, "minutes": 1}
    with later(**span):
        assert choose(door, newer).status_code == 404
    admin_links.withdraw_links(session, admin_id=admin.id, now=utcnow())
    session.commit()
    assert choose(door, newer).status_code == 404
    assert session.scalars(select(AdminLink).where(AdminLink.used_at.is_not(None))).all() == []


def test_a_reset_ends_every_session_and_the_second_step_stays(clean: Flask, session: Session, boss: Admin) -> None:
    admin = account(session, "active")
    secret = two_step(session, admin)
    elsewhere = signed_in(clean, admin)
    client = visitor(clean)
    assert choose(client, link(session, admin, LinkPurpose.RESET)).location == "/login"
    assert not inside(elsewhere)
    assert signing_in(client).status_code == 401, "the old password holds no more"
    assert signing_in(client, NEW).location == "/login/code"
    assert client.post("/login/code", data={"code": pyotp.TOTP(secret).now()}).status_code == 303


def test_forgetting_says_the_same_whoever_it_is(session: Session, door: Visitor, boss: Admin) -> None:
    with_mail(session)
    account(session, "active")
    answers, spans = [], []
    for email in ("olga@example.com", "nobody@example.com", "", "o\x00lga@example.com"):
        begun = datetime.now(UTC)
        answer = door.post("/forgot-password", data={"email": email})
        spans.append((datetime.now(UTC) - begun).total_seconds())
        answers.append((answer.status_code, answer.location, door.get("/login").text.count("is on its way")))
    assert answers == [(303, "/login", 1)] * 4
    assert min(spans) >= 0.35
    session.rollback()
    assert session.scalars(select(Mail.recipient)).all() == ["olga@example.com"]


def test_forgetting_is_throttled(session: Session, door: Visitor) -> None:
    for number in range(5):
        assert door.post("/forgot-password", data={"email": f"{number}@example.com"}).status_code == 303
    assert door.post("/forgot-password", data={"email": "6@example.com"}).status_code == 429


def test_a_link_is_nowhere_but_in_the_mail(session: Session, door: Visitor, boss: Admin) -> None:
    with_mail(session)
    account(session, "active")
    door.post("/forgot-password", data={"email": "olga@example.com"})
    session.rollback()
    found = re.search(r"/new-password/([\w-]+)", sealed.opened(session.scalars(select(Mail.body)).one()))
    assert found
    for table in ("mail", "admin_link", "audit_entry", "action"):
        kept = session.execute(text(f'SELECT "{table}"::text FROM "{table}"')).scalars().all()
        assert found[1] not in " ".join(kept)


# --- locks


def test_too_many_failures_lock_for_a_time_and_tell_nobody(session: Session, clean: Flask, boss: Admin) -> None:
    settings.change_setting(session, key="admin.lock_after_attempts", value="3", actor=None)
    settings.change_setting(session, key="notification.generic_emails", value="desk@example.com", actor=None)
    session.commit()
    admin = account(session, "active")
    at_work = signed_in(clean, admin)
    client = visitor(clean)
    for _ in range(3):
        assert signing_in(client, "wrong").status_code == 401
    locked = signing_in(client)
    strangers = signing_in(visitor(clean), email="nobody@example.com")
    words = re.compile(r'id="login-error">.*?</div>', re.S)
    assert locked.status_code == strangers.status_code == 401
    assert words.findall(locked.text) == words.findall(strangers.text)
    assert inside(at_work), "a stranger cannot throw an admin out"
    assert fresh(session, admin).is_locked(utcnow())
    assert session.scalars(select(Mail.recipient)).all() == ["desk@example.com"]
    assert "Locked" in signed_in(clean, boss).get(ACCOUNTS).text
    with later(minutes=15, seconds=5):
        clean.extensions["sync_redis"].flushdb()
        assert signing_in(client).status_code == 303
    assert fresh(session, admin).locked_until is None


def test_failures_far_apart_do_not_lock(session: Session, boss: Admin) -> None:
    admin = account(session, "active")
    now = utcnow()
    for number in range(20):
        sign_in.note_failure(session, admin=admin, address="x", now=now + number * timedelta(minutes=16))
    session.commit()
    assert fresh(session, admin).failed_sign_ins == 1


def test_no_limit_never_locks(session: Session, boss: Admin) -> None:
    settings.change_setting(session, key="admin.lock_after_attempts", value="", actor=None)
    admin = account(session, "active")
    for _ in range(30):
        sign_in.note_failure(session, admin=admin, address="x", now=utcnow())
    assert admin.locked_until is None


# --- the second step


def two_step(session: Session, admin: Admin) -> str:
    """Set up a while ago; the secret."""
    then = utcnow() - timedelta(minutes=10)
    secret = second_factor.begin_set_up(session, admin=admin, now=then)
    second_factor.confirm(session, admin=admin, code=pyotp.TOTP(secret).at(then), now=then)
    session.commit()
    return secret


def test_a_code_is_taken_once_and_within_one_step(session: Session, boss: Admin) -> None:
    secret = two_step(session, boss)
    totp, now = pyotp.TOTP(secret), utcnow()

    def accepted(at: datetime) -> bool:
        return second_factor.accept(session, admin_id=boss.id, code=totp.at(at), now=now)

    half_minute = timedelta(seconds=30)
    assert not accepted(now - 2 * half_minute)
    assert not accepted(now + 2 * half_minute)
    assert accepted(now - half_minute)
    assert not accepted(now - half_minute), "used"
    assert accepted(now)
    assert not accepted(now - half_minute), "before the one that was used"
    assert accepted(now + half_minute)
    assert not second_factor.accept(session, admin_id=boss.id, code="", now=now)


def test_setting_up_signing_in_and_recovery(clean: Flask, session: Session) -> None:
    admin = make_admin(session)
    client = signed_in(clean, admin)
    page = client.post("/account/two-step").text
    secret = re.search(r'user-select-all text-break">([A-Z2-7]{32})<', page)
    assert secret
    assert client.post("/account/two-step/confirm", data={"code": "000000"}).status_code == 422
    done = client.post("/account/two-step/confirm", data={"code": pyotp.TOTP(secret[1]).now()}).text
    codes = re.findall(r"<li>(\w{5}-\w{5})</li>", done)
    assert len(set(codes)) == 10
    stored = session.scalars(select(SecondFactor)).one()
    assert secret[1] not in stored.secret
    assert not {code.replace("-", "") for code in codes} & set(stored.recovery_hashes)
    other = visitor(clean)
    assert signing_in(other).location == "/login/code"
    assert not inside(other), "the password alone is not enough"
    assert other.post("/login/code", data={"code": pyotp.TOTP(secret[1]).now()}).status_code == 401, "it was used"
    assert other.post("/login/code", data={"code": codes[0].upper()}).status_code == 303
    assert inside(other)
    third = visitor(clean)
    signing_in(third)
    assert third.post("/login/code", data={"code": codes[0]}).status_code == 401, "each recovery code once"
    assert "9 of your recovery codes are left" in client.get("/account").text


def test_wrong_codes_count_like_wrong_passwords(clean: Flask, session: Session, boss: Admin) -> None:
    settings.change_setting(session, key="admin.lock_after_attempts", value="3", actor=None)
    session.commit()
    admin = account(session, "active")
    secret = two_step(session, admin)
    client = visitor(clean)
    signing_in(client)
    for _ in range(2):
        assert client.post("/login/code", data={"code": "000000"}).status_code == 401
    assert client.post("/login/code", data={"code": "000000"}).location == "/login"
    assert client.post("/login/code", data={"code": pyotp.TOTP(secret).now()}).location == "/login"
    assert fresh(session, admin).is_locked(utcnow())
    assert not inside(client)


def test_what_was_half_done_ends_with_time_and_with_another_password(
    clean: Flask, session: Session, boss: Admin
) -> None:
    admin = account(session, "active")
    secret = two_step(session, admin)
    client = visitor(clean)
    assert client.get("/login/code").location == "/login", "nobody gave a password"
    signing_in(client)
    with later(minutes=11):
        assert client.post("/login/code", data={"code": pyotp.TOTP(secret).now()}).location == "/login"
    signing_in(client)
    session.execute(update(Admin).where(Admin.id == admin.id).values(password_hash=hash_password(NEW)))
    session.commit()
    assert client.post("/login/code", data={"code": pyotp.TOTP(secret).now()}).location == "/login"


def test_switching_it_off_needs_password_and_code(clean: Flask, session: Session, boss: Admin) -> None:
    secret = two_step(session, boss)
    client = signed_in(clean, boss)
    code = pyotp.TOTP(secret).now
    assert client.post("/account/two-step/end", data={"password": "wrong", "code": code()}).status_code == 422
    assert client.post("/account/two-step/end", data={"password": PASSWORD, "code": "000000"}).status_code == 422
    assert second_factor.is_on(session, boss.id)
    assert client.post("/account/two-step/end", data={"password": PASSWORD, "code": code()}).status_code == 303
    session.rollback()
    assert not second_factor.is_on(session, boss.id)
    assert signing_in(visitor(clean), email=boss.email).location == "/"


@pytest.mark.parametrize(
    "wanted, role, asked",
    [("nobody", "Super User", False), ("super_users", "Super User", True), ("super_users", "Operator", False),
     ("everybody", "Operator", True)],
)  # fmt: skip
def test_who_needs_it_sets_it_up_before_coming_in(
    clean: Flask, session: Session, wanted: str, role: str, asked: bool
) -> None:
    settings.change_setting(session, key="admin.second_step_for", value=wanted, actor=None)
    session.commit()
    make_admin(session, role=role)
    client = visitor(clean)
    answer = signing_in(client)
    assert answer.location == ("/login/set-up" if asked else "/")
    assert inside(client) is not asked
    if asked:
        secret = re.search(r'user-select-all text-break">([A-Z2-7]{32})<', client.get("/login/set-up").text)
        assert secret
        assert client.post("/login/set-up", data={"code": "123"}).status_code == 401
        done = client.post("/login/set-up", data={"code": pyotp.TOTP(secret[1]).now()})
        assert done.status_code == 200
        assert done.text.count("<li>") == 10
        assert inside(client)


def test_somebody_elses_second_step_is_removed_with_a_reason(clean: Flask, session: Session, boss: Admin) -> None:
    admin = account(session, "active")
    two_step(session, admin)
    client, theirs = signed_in(clean, boss), signed_in(clean, admin)
    fields = {"rowid": str(admin.id), "reason": "Lost the phone; called back on the known number"}
    assert client.post(f"{ACCOUNTS}run/remove_second_step/", data=fields).status_code == 200
    session.rollback()
    assert not second_factor.is_on(session, admin.id)
    assert not inside(theirs)
    with pytest.raises(admins.NotOneself):
        admins.remove_second_step(session, admin=boss, reason="x", actor=boss, now=utcnow())


# --- sessions


def test_a_session_is_a_row_that_can_be_ended(clean: Flask, session: Session, boss: Admin) -> None:
    here, there, third = (signed_in(clean, boss) for _ in range(3))
    page = here.get("/account").text
    assert page.count("Firefox on Linux") >= 3
    assert page.count("This one") == 1
    numbers = [int(number) for number in re.findall(r'name="session" value="(\d+)"', page)]
    assert len(numbers) == 2
    assert here.post("/account/sessions/end", data={"session": numbers[0]}).status_code == 303
    assert sorted([inside(there), inside(third)]) == [False, True]
    assert here.post("/account/sessions/end").status_code == 303
    assert [inside(client) for client in (here, there, third)] == [True, False, False]
    assert here.post("/account/sessions/end", data={"session": "x"}).status_code == 400


def test_an_admins_page_shows_and_ends_its_sessions(clean: Flask, session: Session, boss: Admin) -> None:
    admin = account(session, "active")
    client, theirs, analyst = (
        signed_in(clean, boss), signed_in(clean, admin),
        signed_in(clean, make_admin(session, role="Analyst", email="a@example.com")),
    )  # fmt: skip
    page = client.get(f"{ACCOUNTS}sign-in/?id={admin.id}").text
    number = re.search(r'name="session" value="(\d+)"', page)
    assert number
    fields = {"id": admin.id, "session": number[1]}
    assert analyst.get(f"{ACCOUNTS}sign-in/?id={admin.id}").status_code == 403
    assert analyst.post(f"{ACCOUNTS}sign-in/end/", data=fields).status_code == 403
    assert inside(theirs)
    assert client.post(f"{ACCOUNTS}sign-in/end/", data=fields).status_code == 302
    assert not inside(theirs)
    wrong = {"id": boss.id, "session": number[1]}
    client.post(f"{ACCOUNTS}sign-in/end/", data=wrong)
    ended = session.scalars(select(AdminSession).where(AdminSession.id == int(number[1]))).one()
    assert ended.ended_why == f"Ended by {boss.name}"


def test_signing_out_ends_the_row_and_the_cookie_is_of_no_use(clean: Flask, session: Session, boss: Admin) -> None:
    client = signed_in(clean, boss)
    with client.session_transaction() as cookie:
        kept = dict(cookie)
    client.post("/logout")
    thief = visitor(clean)
    with thief.session_transaction() as cookie:
        cookie.update(kept)
    assert not inside(thief)
    assert session.scalars(select(AdminSession.ended_why)).all() == ["Signed out"]


def test_an_idle_session_ends_and_a_used_one_does_not(clean: Flask, session: Session, boss: Admin) -> None:
    settings.change_setting(session, key="admin.session_timeout_minutes", value="30", actor=None)
    session.commit()
    idle, busy = signed_in(clean, boss), signed_in(clean, boss)
    with later(minutes=20):
        assert inside(busy)
    with later(minutes=40):
        assert [inside(idle), inside(busy)] == [False, True]


def test_last_seen_is_written_once_a_minute(clean: Flask, session: Session, boss: Admin) -> None:
    client = signed_in(clean, boss)
    before = session.scalars(select(AdminSession.last_seen_at)).one()
    inside(client)
    session.rollback()
    assert session.scalars(select(AdminSession.last_seen_at)).one() == before
    with later(minutes=2):
        inside(client)
    session.rollback()
    assert session.scalars(select(AdminSession.last_seen_at)).one() > before


def test_open_streams_of_ended_sessions_are_known(session: Session, boss: Admin) -> None:
    rows = [admin_sessions.begin(session, admin=boss, address="x", agent="", now=utcnow())[0].id for _ in range(2)]
    assert admin_sessions.ended(session, {*rows, 999_999}, now=utcnow()) == {999_999}
    admin_sessions.end(session, admin_id=boss.id, only=[rows[0]], why="x", now=utcnow())
    assert admin_sessions.ended(session, rows, now=utcnow()) == {rows[0]}


@pytest.mark.parametrize(
    "agent, words",
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36 Edg/131.0",
         "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) AppleWebKit/605.1 Version/17.1 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) FxiOS/119.0 Mobile", "Firefox on iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "Unknown browser"),
        ("\x01\x02é", "Unknown browser"),
    ],
)  # fmt: skip
def test_browsers_are_named(agent: str, words: str) -> None:
    assert admin_sessions.browser_in_words(agent) == words


def test_old_sign_ins_and_links_are_forgotten(session: Session, boss: Admin) -> None:
    then = utcnow() - timedelta(days=200)
    admin_sessions.begin(session, admin=boss, address="x", agent="", now=then)
    admin_links.make_link(session, admin=boss, purpose=LinkPurpose.RESET, asked_by="x", now=then)
    kept, _ = admin_sessions.begin(session, admin=boss, address="x", agent="", now=utcnow())
    assert admin_sessions.forget_old(session, now=utcnow()) == 2
    assert session.scalars(select(AdminSession.id)).all() == [kept.id]


def test_whoever_came_in_is_in_the_audit(session: Session, door: Visitor) -> None:
    admin = make_admin(session)
    two_step(session, admin)
    signing_in(door)
    door.post("/login/code", data={"code": "000000"})
    session.rollback()
    entries = session.scalars(select(AuditEntry).where(AuditEntry.event.like("login%"))).all()
    assert [(each.event, each.after.get("step")) for each in entries] == [("login_failed", "code")]
