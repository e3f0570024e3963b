"""Users' profile fields, verification and erasure. Manual, "User profile fields"; GDPR, Art. 17."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.billing.models import LedgerEntry
from app.charging import erasure
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession, CustomerInformation
from app.core import settings
from app.core.clock import utcnow
from app.core.mail import queue_mail
from app.core.messages import Mail, SmsMessage
from app.core.models import Action, AuditEntry
from app.crm import profile_fields, verification
from app.crm.models import RfidTag, User, UserStatus, UserVerification, VerificationKind
from app.crm.profile_fields import FieldStatus
from tests.support import factories_crm as make
from tests.support.factories_crm import NOW, Visitor
from tests.support.factories_dashboard import make_session, make_station, make_zone, visitor

LIST = "/crm/users/"
#: something that each field takes
VALUES = {
    "first_name": "Nina", "last_name": "N.", "phone": "+359 88 1234567", "date_of_birth": "1984-05-31",
    "company": "Volt", "vat_no": "BG1", "address": "Street 1", "post_code": "1000", "city": "Sofia", "country": "BG",
    "car_make": "Rivolta", "car_model": "E", "licence_plate": "CB 1",
}  # fmt: skip


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def ask_for(session: Session, **statuses: str) -> None:
    """Set the statuses of fields."""
    for name, status in statuses.items():
        settings.change_setting(session, key=f"user_profile.{name}", value=status, actor=None)
    session.commit()


def run(client: Visitor, action: str, user: User, **data: Any) -> str:
    """Apply an action to a user; what the dialog says then."""
    client.get(LIST)
    client.htmx(f"{LIST}run/{action}/?rowid={user.id}", target="div#modal-content")
    filled = {"rowid": str(user.id), "reason": "As asked", **data}
    answer = client.htmx(f"{LIST}run/{action}/", "POST", filled, target="div#modal-content")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


# --- fields by their status


@pytest.mark.parametrize("name", [field.name for field in profile_fields.FIELDS if field.name != "email"])
@pytest.mark.parametrize("status", ["enabled", "disabled", "required"])
def test_a_field_is_on_the_form_as_its_status_says(olga: Visitor, session: Session, name: str, status: str) -> None:
    ask_for(session, **{name: status})
    page = olga.get(f"{LIST}new/").get_data(as_text=True)
    control = re.search(rf'<(?:input|select)[^>]* name="{name}"[^>]*>', page)
    assert (control is not None) is (status != "disabled")
    if control is not None:
        assert (" required" in control[0]) is (status == "required")
    answer = olga.send(f"{LIST}new/", {"email": "nina@example.com", "locale": "en"})
    assert answer.status_code == (422 if status == "required" else 302)
    if status == "required":
        assert "Required: CONFIGURATION &gt; Settings &gt; User profile fields" in answer.get_data(as_text=True)
        filled = {"email": "nina@example.com", "locale": "en", name: VALUES[name]}
        assert olga.send(f"{LIST}new/", filled).status_code == 302
        assert getattr(session.scalars(select(User)).one(), name)


def test_a_disabled_field_keeps_what_it_holds(olga: Visitor, session: Session) -> None:
    alex = make.user(session, licence_plate="CB 1")
    ask_for(session, licence_plate="disabled", car_make="disabled")
    saved = olga.send(f"{LIST}edit/?id={alex.id}", {"email": alex.email, "locale": "en", "_version": "1"})
    assert saved.status_code == 302
    session.refresh(alex)
    assert alex.licence_plate == "CB 1"
    page = olga.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    assert "CB 1" in page  # what is there is not hidden from the operator
    assert "Car make" not in page


def test_a_required_field_that_is_empty_stands_out_on_the_profile(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    ask_for(session, city="required")
    page = olga.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    city = page[page.index("<dt>City</dt>") :][:200]
    assert "Missing" in city
    assert profile_fields.missing(alex, profile_fields.statuses(session)) == ["City"]


def test_email_can_be_neither_disabled_nor_optional(session: Session) -> None:
    for status in ("enabled", "disabled"):
        with pytest.raises(settings.InvalidSetting):
            settings.change_setting(session, key="user_profile.email", value=status, actor=None)
    with pytest.raises(settings.InvalidSetting):
        settings.change_setting(session, key="user_profile.city", value="verification", actor=None)


# --- verification by mail


def link_of(session: Session, client: Visitor, user: User) -> str:
    """Have a link sent; the path that stands in the mail."""
    assert "Finished" in run(client, "send_verification_email", user)
    mail = session.scalars(select(Mail).order_by(Mail.id.desc()).limit(1)).one()
    assert (mail.recipient, mail.confidential) == (user.email, True)
    found = re.search(r"(/public/verify-email/\S+)", mail.body)
    assert found is not None, mail.body
    session.rollback()
    return found[1]


def press(app: Flask, path: str) -> int:
    """Open a link as the driver and press the button; the status of the answer."""
    driver = visitor(app)
    if driver.get(path).status_code != 200:
        return 404
    return int(driver.send(path, {}).status_code)


def test_a_link_verifies_the_address_once_and_only_by_its_button(clean: Flask, olga: Visitor, session: Session) -> None:
    alex = make.user(session, locale="bg")
    ask_for(session, email="verification")
    assert "Not verified" in olga.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    path = link_of(session, olga, alex)
    driver = visitor(clean)
    page = driver.get(path)
    assert page.headers["Referrer-Policy"] == "no-referrer" and "Потвърждавам" in page.get_data(as_text=True)
    session.refresh(alex)
    assert alex.email_verified_at is None  # a mail server that looks at links verifies nothing
    assert "Адресът е потвърден" in driver.send(path, {}).get_data(as_text=True)
    session.refresh(alex)
    assert alex.email_verified_at is not None
    assert press(clean, path) == 404
    names = session.scalars(select(Action.name).order_by(Action.id)).all()
    assert names == ["Send Verification E-mail", "Verify"]
    page = olga.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    assert ">Verified<" in page and "Send verification e-mail" not in page


def test_links_that_hold_no_more(clean: Flask, olga: Visitor, session: Session) -> None:
    alex, maria = make.user(session), make.user(session, "maria@example.com")
    ask_for(session, email="verification")
    first, second = link_of(session, olga, alex), link_of(session, olga, alex)
    assert press(clean, first) == 404  # another took its place
    other = link_of(session, olga, maria)
    maria.email = "maria@elsewhere.example"
    session.commit()
    assert press(clean, other) == 404  # it was for another address
    session.execute(text("UPDATE user_verification SET expires_at = now() WHERE user_id = :id"), {"id": alex.id})
    session.commit()
    assert press(clean, second) == 404  # too old
    for foreign in ("x", "x" * 101, "a" * 43):
        assert press(clean, f"/public/verify-email/{foreign}") == 404
    assert session.scalar(select(func.count()).where(User.email_verified_at.is_not(None))) == 0


def test_another_address_is_not_verified_whoever_writes_it(session: Session) -> None:
    alex = make.user(session, phone="+359 1", email_verified_at=NOW, phone_verified_at=NOW)
    alex.email = "ALEX.PETKOV@example.com"  # the same mailbox
    session.flush()
    assert alex.email_verified_at == NOW
    alex.email, alex.phone = "new@example.com", None
    session.flush()
    assert (alex.email_verified_at, alex.phone_verified_at) == (None, None)
    with pytest.raises(IntegrityError, match="verified_phone_there"):
        session.execute(text("UPDATE user_account SET phone_verified_at = now()"))


def test_nobody_is_flooded(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    ask_for(session, email="verification")
    for _ in range(verification.PER_HOUR):
        assert "Finished" in run(olga, "send_verification_email", alex)
    assert "within the last hour" in run(olga, "send_verification_email", alex)
    assert session.scalar(select(func.count()).select_from(Mail)) == verification.PER_HOUR


def test_many_are_asked_at_once_and_those_verified_are_left_out(olga: Visitor, session: Session) -> None:
    users = [make.user(session, f"u{n}@example.com", email_verified_at=NOW if n == 0 else None) for n in range(3)]
    ask_for(session, email="verification")
    olga.get(LIST)
    data = {"rowid": [str(user.id) for user in users], "reason": "All of them"}
    said = olga.htmx(f"{LIST}run/send_verification_email/", "POST", data, target="div#modal-content")
    assert "u0@example.com is verified already." in said.get_data(as_text=True)
    assert sorted(session.scalars(select(Mail.recipient))) == ["u1@example.com", "u2@example.com"]


# --- verification by SMS


def code_of(session: Session) -> str:
    """The code of the last text message."""
    sent = session.scalars(select(SmsMessage.text).order_by(SmsMessage.id.desc()).limit(1)).one()
    found = re.search(r"\b(\d{6})\b", sent)
    assert found is not None, sent
    session.rollback()
    return found[1]


@pytest.fixture
def with_phone(session: Session) -> User:
    alex = make.user(session, phone="+359 88 812 3456")
    settings.change_setting(session, key="sms.processor", value="log", actor=None)
    ask_for(session, phone="verification", email="verification")
    return alex


def test_a_code_verifies_the_number(olga: Visitor, session: Session, with_phone: User) -> None:
    page = olga.get(f"{LIST}details/?id={with_phone.id}").get_data(as_text=True)
    assert "enter_verification_code" not in page  # none is under way
    assert "Finished" in run(olga, "send_verification_sms", with_phone)
    code = code_of(session)
    assert session.scalars(select(SmsMessage.recipient)).one() == "+359888123456"
    assert code not in str(session.scalars(select(UserVerification.secret_hash)).all())
    page = olga.get(f"{LIST}details/?id={with_phone.id}").get_data(as_text=True)
    assert "enter_verification_code" in page
    wrong = f"{(int(code) + 1) % 10**6:06}"
    assert "The code is wrong" in run(olga, "enter_verification_code", with_phone, code=wrong)
    session.rollback()
    assert session.scalars(select(UserVerification.attempts)).one() == 1  # an attempt is kept
    assert "Finished" in run(olga, "enter_verification_code", with_phone, code=f"{code[:3]} {code[3:]}")
    session.refresh(with_phone)
    assert with_phone.phone_verified_at is not None and with_phone.email_verified_at is None
    assert "No code holds" in run(olga, "enter_verification_code", with_phone, code=code)


def test_a_code_cannot_be_guessed(session: Session, with_phone: User) -> None:
    _, code = verification.ask_by_sms(session, user=with_phone, secret_key="k", now=NOW)
    wrong = f"{(int(code) + 1) % 10**6:06}"

    def attempt(typed: str, minutes: float = 1, key: str = "k") -> verification.Answer:
        answer, _ = verification.try_code(
            session, user=with_phone, code=typed, secret_key=key, reason="x", actor=None,
            now=NOW + timedelta(minutes=minutes),
        )  # fmt: skip
        return answer

    assert attempt(code, key="another") is verification.Answer.WRONG
    for _ in range(verification.MAX_ATTEMPTS - 2):
        assert attempt(wrong) is verification.Answer.WRONG
    assert attempt(wrong) is verification.Answer.OVER
    assert attempt(code) is verification.Answer.OVER  # right, but too late
    _, code = verification.ask_by_sms(session, user=with_phone, secret_key="k", now=NOW)
    assert attempt(code, minutes=10) is verification.Answer.OVER  # too old
    with_phone.phone = "+359 88 999 9999"
    session.flush()
    assert attempt(code) is verification.Answer.OVER  # sent to another number
    maria = make.user(session, "maria@example.com", phone="+359 88 999 9999")
    answer, _ = verification.try_code(
        session, user=maria, code=code, secret_key="k", reason="x", actor=None, now=NOW
    )  # fmt: skip
    assert answer is verification.Answer.OVER  # somebody else's


def test_no_sms_is_promised_that_cannot_be_sent(olga: Visitor, session: Session, with_phone: User) -> None:
    with_phone.phone = "088 812 3456"
    session.commit()
    assert "does not say its country" in run(olga, "send_verification_sms", with_phone)
    settings.change_setting(session, key="sms.processor", value="none", actor=None)
    session.commit()
    assert "No SMS processor is selected" in run(olga, "send_verification_sms", with_phone)
    assert session.scalar(select(func.count()).select_from(UserVerification)) == 0


def test_an_operator_may_vouch_for_it(olga: Visitor, session: Session, with_phone: User) -> None:
    assert "Finished" in run(olga, "mark_verified", with_phone, kind="phone")
    session.refresh(with_phone)
    assert with_phone.phone_verified_at is not None
    row = session.scalars(select(Action)).one()
    assert (row.name, row.info, row.reason) == ("Mark as Verified", "Phone +359 88 812 3456", "As asked")
    entry = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "user_account")).one()
    assert set(entry.after) == {"phone_verified_at"} and entry.admin_label.startswith("Olga")
    assert profile_fields.unverified(with_phone, profile_fields.statuses(session))[0].name == "email"
    assert profile_fields.statuses(session)["phone"] is FieldStatus.VERIFICATION


# --- erasure


def test_erasing_leaves_the_books_and_takes_the_person(olga: Visitor, session: Session) -> None:
    alex = make.user(
        session, phone="+359 88 812 3456", city="Sofia", licence_plate="CB 1234 XX",
        groups=[make.user_group(session)], email_verified_at=NOW,
    )  # fmt: skip
    tag = make.tag(session, alex, "04AA77", card_no="C-7")
    make.credited(session, alex, "20")
    evse = make_station(session, make_zone(session)).evses[0]
    charge = make_session(session, evse, started_at=NOW, user_id=alex.id, gross="3.60")
    session.add(
        CustomerInformation(
            partner_id=1, charge_point_id=evse.charge_point_id, asked_at=NOW, id_tag="04aa77", content="Alex Petkov",
            report=True, clear=False,
        )
    )  # fmt: skip
    queue_mail(session, key="x:1", recipient=alex.email, subject="Hello Alex", body="Dear Alex", now=utcnow())
    session.commit()
    # what is written elsewhere about the person
    edit = {"email": alex.email, "first_name": "Alexander", "last_name": "Petkov", "locale": "en", "city": "Varna"}
    assert olga.send(f"{LIST}edit/?id={alex.id}", {**edit, "_version": "1"}).status_code == 302
    card = {"tag_id": "04AA77", "card_no": "Alex blue", "status": "active", "user": str(alex.id), "_version": "1"}
    assert olga.send(f"/crm/rfid-tags/edit/?id={tag.id}", card).status_code == 302
    run(olga, "change_status", alex, status="disabled", reason="alex.petkov@example.com asked")
    said = run(olga, "erase", alex)
    assert "1 RFID Tags, 0 Payment Methods removed; 20.00 EUR of balance stay in the ledger" in said
    session.expire_all()
    assert (alex.email, alex.full_name, alex.phone, alex.city, alex.licence_plate) == (
        f"erased-{alex.id}@erased.invalid", f"erased-{alex.id}@erased.invalid", None, "", "",
    )  # fmt: skip
    assert alex.status is UserStatus.DISABLED and alex.erased_at is not None and alex.groups == []
    assert session.scalar(select(func.count()).select_from(RfidTag)) == 0
    assert session.get_one(ChargingSession, charge.id).total_gross == Decimal("3.60")
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 1
    mail = session.scalars(select(Mail)).one()
    assert (mail.recipient, mail.status.label) == (f"erased-{alex.id}@erased.invalid", "Cancelled")
    everything = "".join(
        str(session.execute(text(f"SELECT string_agg(t::text, ' ') FROM {table} t")).scalar())
        for table in (
            "user_account",
            "rfid_tag",
            "audit_entry",
            "action",
            "mail",
            "sms_message",
            "user_verification",
            "customer_information",
        )
    )
    for trace in ("alex.petkov", "Alexander", "Petkov", "Varna", "Sofia", "04AA77", "Alex blue", "812", "CB 1234"):
        assert trace not in everything, trace
    events = session.scalars(select(AuditEntry.event).where(AuditEntry.object_type == "user_account")).all()
    assert len(events) >= 3  # that something was done, when and by whom, stays
    page = olga.get(f"{LIST}details/?id={alex.id}").get_data(as_text=True)
    assert "Personal data erased" in page and "/edit/" not in page
    assert olga.get(f"{LIST}edit/?id={alex.id}").status_code == 403
    assert "is erased" in run(olga, "change_status", alex, status="active")


@pytest.mark.parametrize("obstacle, told", [("session", "is running. Stop it first"), ("debt", "owes 5.00 EUR")])
def test_what_is_open_is_ended_before_erasing(olga: Visitor, session: Session, obstacle: str, told: str) -> None:
    alex = make.user(session)
    evse = make_station(session, make_zone(session)).evses[0]
    if obstacle == "session":
        make_session(session, evse, started_at=NOW, user_id=alex.id, status=SessionStatus.ACTIVE)
    else:
        make.credited(session, alex, "1")
        session.execute(text("UPDATE balance_account SET balance = -5"))
    session.commit()
    assert told in run(olga, "erase", alex)
    session.refresh(alex)
    assert alex.erased_at is None and alex.email == "alex.petkov@example.com"


def test_erasing_needs_the_right_to_delete(clean: Flask, session: Session) -> None:
    rights = ["crm.user.view", "crm.user.edit"]
    editor = make.admin(session, "Ed Editor", "Editor", permissions=rights)
    alex = make.user(session)
    session.commit()
    client = make.signed_in(clean, editor)
    assert client.get(f"{LIST}run/erase/?rowid={alex.id}").status_code == 403
    assert client.get(f"{LIST}import/").status_code == 403


def test_partners_cannot_erase_from_the_audit(session: Session) -> None:
    """The one way around the append-only audit is for staff."""
    may = text("SELECT has_function_privilege(:role, 'erase_from_audit(bigint, bigint[])', 'EXECUTE')")
    assert [session.scalar(may, {"role": role}) for role in ("sync_staff", "sync_partner", "sync_partner_login")] == [
        True, False, False,
    ]  # fmt: skip


def test_erased_twice_is_refused(session: Session) -> None:
    alex = make.user(session)
    erasure.erase_personal_data(session, user=alex, reason="x", actor=None, now=NOW)
    with pytest.raises(erasure.CannotErase, match="already"):
        erasure.erase_personal_data(session, user=alex, reason="x", actor=None, now=NOW)
    with pytest.raises(verification.NothingToVerify):
        verification.mark_verified(session, user=alex, kind=VerificationKind.EMAIL, reason="x", actor=None, now=NOW)
