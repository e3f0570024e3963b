"""SMS: written once, handed to Twilio's API (a real web server in its place) or to the log, tried again, given up."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from flask import current_app
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core import outbox, settings, sms
from app.core.db import transaction
from app.core.messages import MessageStatus, SmsMessage
from app.core.models import Setting
from app.core.setting_kinds import InvalidSetting
from tests.support import factories_crm as make
from tests.support.local_server import Answer, Asked, LocalServer, serving

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCOUNT, TOKEN = "AC" + "0" * 31 + "1", "token-of-tests"
NUMBER = "+359888123456"


class Twilio:
    """Twilio's Messages and Accounts, as far as the product asks for them."""

    def __init__(self) -> None:
        self.refuse: Answer | None = None
        self.account = {"sid": ACCOUNT, "friendly_name": "Chargers Ltd.", "status": "active", "type": "Full"}

    def __call__(self, asked: Asked) -> Answer:
        if self.refuse is not None:
            return self.refuse
        wanted = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if asked.headers.get("Authorization") != wanted:
            return refusal(401, 20003, "Authenticate")
        if asked.method == "GET" and asked.path == f"/2010-04-01/Accounts/{ACCOUNT}.json":
            return Answer(self.account)
        if asked.method == "POST" and asked.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return Answer({"sid": "SM" + "a" * 32, "status": "queued", "to": asked.form["To"]}, 201)
        return refusal(404, 20404, "not found")


def refusal(status: int, code: int, words: str) -> Answer:
    """An error as Twilio says it."""
    return Answer({"code": code, "message": words, "status": status, "more_info": ""}, status)


@pytest.fixture
def twilio() -> Twilio:
    """What the server in Twilio's place does."""
    return Twilio()


@pytest.fixture
def server(session: Session, twilio: Twilio) -> Iterator[LocalServer]:
    """The server in Twilio's place, and Settings that lead there."""
    with serving(twilio) as started:
        point_to(session, started.url)
        yield started


def point_to(session: Session, url: str, **more: Any) -> None:
    """Settings > SMS."""
    wanted = {
        "sms.processor": "twilio",
        "twilio.account_sid": ACCOUNT,
        "twilio.auth_token": TOKEN,
        "twilio.sender": "+15005550006",
        "twilio.api_base": url,
        **more,
    }
    for key, value in wanted.items():
        settings.change_setting(session, key=key, value=value, actor=None)
    session.commit()
    settings.forget()


def write(session: Session, key: str = "code:1", recipient: str = NUMBER, text: str = "Code 481 204") -> int:
    """An SMS in the outbox, committed; its number."""
    message = sms.queue_sms(session, recipient=recipient, text=text, key=key, now=NOW)
    session.commit()
    assert message is not None
    return message.id


def send(now: datetime = NOW) -> int:
    """What the job does, at that time, in a context of its own."""
    with current_app.app_context():
        return sms.send_due(transaction, clock=lambda: now)


def again(session: Session, number: int) -> SmsMessage:
    """A message as it is now."""
    session.rollback()
    session.expire_all()
    return session.get_one(SmsMessage, number)


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entered, number",
    [
        ("+359888123456", "+359888123456"),
        ("  +359 (88) 812-34.56 ", "+359888123456"),
        ("00359888123456", "+359888123456"),
        ("+359\u00a0888\u2011123\u2011456", "+359888123456"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_numbers_become_e164(entered: str, number: str) -> None:
    assert sms.e164(entered) == number


@pytest.mark.parametrize(
    "entered, words",
    [
        ("", "Enter a phone number with its country code"),
        ("0888123456", "does not say its country"),
        ("+0888123456", "is not a phone number"),
        ("+1234567890123456", "7 to 15 digits"),
        ("+35988", "7 to 15 digits"),
        ("+359888CALLME", "is not a phone number"),
        ("+359888123456\r\nTo: +1", "is not a phone number"),
        ("+３５９８８８１２３４５６", "is not a phone number"),
    ],
)
def test_what_is_no_number_is_refused_in_words(session: Session, entered: str, words: str) -> None:
    with pytest.raises(sms.NotAPhoneNumber, match=words.replace("+", r"\+")):
        sms.queue_sms(session, recipient=entered, text="x", key="k", now=NOW)
    assert session.query(SmsMessage).count() == 0


def test_the_database_takes_no_other_number(session: Session) -> None:
    with pytest.raises(IntegrityError, match="recipient_e164"):
        session.execute(sql("INSERT INTO sms_message (key, recipient, text) VALUES ('k', '0888123456', 'x')"))


@pytest.mark.parametrize("text", ["", "  ", "x" * 1601])
def test_an_sms_has_a_text_that_fits(session: Session, text: str) -> None:
    with pytest.raises(ValueError, match="1 to 1600"):
        sms.queue_sms(session, recipient=NUMBER, text=text, key="k", now=NOW)


def test_the_same_is_written_once(session: Session) -> None:
    write(session)
    assert sms.queue_sms(session, recipient="00 359 888 123456", text="x", key="code:1", now=NOW) is None
    assert sms.queue_sms(session, recipient=NUMBER, text="x", key="code:2", now=NOW) is not None


# --- Twilio -------------------------------------------------------------------------------------------------------


def test_a_message_arrives_at_twilio(session: Session, server: LocalServer) -> None:
    number = write(session, text="Код 481 204 – SYNC")
    assert send() == 1
    [asked] = server.asked
    assert asked.form == {"To": NUMBER, "From": "+15005550006", "Body": "Код 481 204 – SYNC"}
    message = again(session, number)
    assert (message.status, message.attempts, message.sent_at) == (MessageStatus.SENT, 1, NOW)
    assert (message.processor, message.reference, message.error) == ("twilio", "SM" + "a" * 32, None)
    assert send(NOW + timedelta(days=1)) == 0
    assert len(server.asked) == 1


def test_a_messaging_service_sends_in_place_of_a_number(session: Session, server: LocalServer) -> None:
    point_to(session, server.url, **{"twilio.sender": "MG" + "b" * 32})
    write(session)
    assert send() == 1
    assert server.asked[0].form == {"To": NUMBER, "MessagingServiceSid": "MG" + "b" * 32, "Body": "Code 481 204"}


@pytest.mark.parametrize(
    "code, words",
    [
        (21211, "Twilio says that this is not a phone number. (error 21211)"),
        (21610, "The driver has told Twilio (STOP) that they want no messages of this sender. (error 21610)"),
        (21999, "Twilio refuses it: Something new (error 21999)"),
    ],
)
def test_what_twilio_refuses_for_ever_fails_at_once_and_hinders_nobody(
    session: Session, server: LocalServer, twilio: Twilio, code: int, words: str
) -> None:
    number = write(session)
    twilio.refuse = refusal(400, code, "Something new")
    assert send() == 0
    message = again(session, number)
    assert (message.status, message.attempts, message.error) == (MessageStatus.FAILED, 1, words)
    twilio.refuse = None
    write(session, key="code:2")
    assert send() == 1


@pytest.mark.parametrize(
    "answer, words",
    [
        (refusal(429, 20429, "Too many requests"), "asked too often"),
        (refusal(500, 20500, "Internal"), "failure of its own (500)"),
        (Answer("<h1>Bad gateway</h1>", 502, "text/html"), "failure of its own (502)"),
        (Answer("<h1>Welcome to the hotel</h1>", 200, "text/html"), "cannot be reached"),
        (refusal(401, 20003, "Authenticate"), "refuses account SID and auth token"),
        (refusal(404, 20404, "not found"), "does not know this account SID"),
    ],
)
def test_what_is_no_fault_of_the_message_is_tried_again_and_asked_once_not_once_a_message(
    session: Session, server: LocalServer, twilio: Twilio, answer: Answer, words: str
) -> None:
    numbers = [write(session, key=f"code:{count}") for count in range(3)]
    twilio.refuse = answer
    assert send() == 0
    assert len(server.asked) == 1
    messages = [again(session, number) for number in numbers]
    assert [message.attempts for message in messages] == [1, 0, 0]
    assert all(message.status is MessageStatus.WAITING for message in messages)
    assert all(words in (message.error or "") for message in messages)
    twilio.refuse = None
    assert send(NOW + timedelta(minutes=1)) == 3


def test_a_server_that_is_not_there_is_away(session: Session) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        point_to(session, f"http://127.0.0.1:{taken.getsockname()[1]}")
        number = write(session)
        assert send() == 0
    assert "Twilio cannot be reached" in (again(session, number).error or "")


def test_it_is_given_up_after_about_an_hour(session: Session, server: LocalServer, twilio: Twilio) -> None:
    number, now = write(session), NOW
    twilio.refuse = refusal(500, 20500, "Internal")
    while again(session, number).status is MessageStatus.WAITING:
        assert len(server.asked) < 20
        now = max(now, again(session, number).next_attempt_at)
        send(now)
    assert timedelta(minutes=45) < now - NOW < timedelta(minutes=90)
    assert again(session, number).status is MessageStatus.FAILED


def test_what_is_missing_is_said_and_messages_wait(session: Session) -> None:
    number = write(session)
    assert send() == 0
    with pytest.raises(sms.SmsNotSetUp, match="No SMS processor is selected"):
        sms.processor(session)
    settings.change_setting(session, key="sms.processor", value="twilio", actor=None)
    settings.change_setting(session, key="twilio.account_sid", value=ACCOUNT, actor=None)
    with pytest.raises(sms.SmsNotSetUp, match="auth token and sender are not set"):
        sms.processor(session)
    message = again(session, number)
    assert (message.status, message.attempts) == (MessageStatus.WAITING, 0)


def test_what_waited_for_a_day_is_not_sent_any_more_unless_resent(session: Session, server: LocalServer) -> None:
    number = write(session)
    late = NOW + timedelta(hours=25)
    assert send(late) == 0
    message = again(session, number)
    assert message.status is MessageStatus.FAILED
    assert "over a day" in (message.error or "")
    olga = make.admin(session)
    outbox.resend(session, message=message, reason="They wait still", actor=olga, now=late)
    session.commit()
    assert send(late) == 1


def test_a_token_of_another_secret_key_is_no_token(session: Session, server: LocalServer) -> None:
    session.get_one(Setting, "twilio.auth_token").value = "gAAAAA-not-ours"
    session.commit()
    settings.forget()
    with pytest.raises(sms.SmsNotSetUp, match="another SECRET_KEY"):
        sms.processor(session)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, "Twilio knows us as “Chargers Ltd.”; the account is active."),
        ({"type": "Trial"}, "It is a trial account"),
    ],
)
def test_the_account_is_asked_for(
    session: Session, server: LocalServer, twilio: Twilio, changes: dict[str, str], words: str
) -> None:
    twilio.account.update(changes)
    assert words in sms.processor(session).check()
    twilio.account["status"] = "suspended"
    with pytest.raises(outbox.ServerAway, match="is suspended"):
        sms.processor(session).check()


@pytest.mark.parametrize(
    "key, value, fits",
    [
        ("twilio.account_sid", ACCOUNT, True),
        ("twilio.account_sid", "SK" + "0" * 32, False),
        ("twilio.sender", "+15005550006", True),
        ("twilio.sender", "SYNC EV", True),
        ("twilio.sender", "MG" + "0" * 32, True),
        ("twilio.sender", "0888123456", False),
        ("twilio.sender", "A name too long", False),
    ],
)
def test_settings_that_cannot_work_are_refused(session: Session, key: str, value: str, fits: bool) -> None:
    if fits:
        assert settings.change_setting(session, key=key, value=value, actor=None)
    else:
        with pytest.raises(InvalidSetting, match="is expected"):
            settings.change_setting(session, key=key, value=value, actor=None)


# --- the log ------------------------------------------------------------------------------------------------------


def test_the_log_takes_every_message(session: Session) -> None:
    settings.change_setting(session, key="sms.processor", value="log", actor=None)
    number = write(session)
    with structlog.testing.capture_logs() as logged:
        assert send() == 1
    [line] = [entry for entry in logged if entry["event"] == "sms.logged"]
    assert (line["recipient"], line["text"], line["number"]) == (NUMBER, "Code 481 204", number)
    assert again(session, number).reference == f"log-{number}"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Your code is 481204.", "Your code is ••••••."),
        ("481 204 or 481-204", "••• ••• or •••-•••"),
        ("Valid for 10 minutes", "Valid for 10 minutes"),
    ],
)
def test_codes_are_masked(text: str, shown: str) -> None:
    assert sms.masked(text) == shown
