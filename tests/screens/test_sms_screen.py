"""CONFIGURATION > SMS: what became of each message, for whom its codes are dots, resend and cancel. Beside: Outbox."""

from __future__ import annotations

import contextvars
import html
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.core import settings, sms
from app.core.clock import utcnow
from app.core.files import store_file
from app.core.mail import queue_mail
from app.core.messages import Mail, MessageStatus, SmsMessage
from app.core.models import Action
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

PAGE = "/configuration/sms/"
OUTBOX = "/configuration/outbox/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.fixture
def message(session: Session) -> SmsMessage:
    """One that waits since an hour."""
    written = sms.queue_sms(
        session, recipient="+359888123456", text="Your code is 481204", key="code:7", now=utcnow() - timedelta(hours=1)
    )
    session.commit()
    assert written is not None
    return written


def words(answer: object) -> str:
    """The text of a page."""
    return html.unescape(answer.get_data(as_text=True))  # type: ignore[attr-defined]


def test_the_list_says_why_nothing_is_sent(olga: Visitor, session: Session, message: SmsMessage) -> None:
    page = words(olga.get(PAGE))
    assert "No SMS processor is selected" in page
    assert "1 message waits." in page
    assert 'id="group-sms"' in olga.get("/configuration/settings/").get_data(as_text=True)
    settings.change_setting(session, key="sms.processor", value="log", actor=None)
    session.commit()
    page = words(olga.get(PAGE))
    assert "No SMS processor" not in page
    assert "1 message waits." in page


def test_a_server_that_is_away_is_told_with_what_becomes_of_messages(
    olga: Visitor, session: Session, message: SmsMessage
) -> None:
    settings.change_setting(session, key="sms.processor", value="log", actor=None)
    message.attempts, message.error = 2, "Twilio has a failure of its own (503)."
    session.commit()
    page = words(olga.get(PAGE))
    assert "Twilio has a failure of its own (503)." in page
    assert "given up after about an hour" in page


def test_who_may_not_send_reads_no_code(clean: Flask, session: Session, olga: Visitor, message: SmsMessage) -> None:
    permissions = ["configuration.sms.view", "configuration.sms.export"]
    rita = make.admin(session, "Rita Reader", "Readers", permissions=permissions)
    session.commit()
    reader = make.signed_in(clean, rita)
    for address in (PAGE, f"{PAGE}details/?id={message.id}"):
        assert "481204" in words(olga.get(address))
        assert "Your code is ••••••" in words(reader.get(address))
        assert "481204" not in words(reader.get(address))
    assert "No SMS match" in words(reader.get(f"{PAGE}?search=481204"))
    assert "481204" not in words(reader.get(f"{PAGE}export/csv/"))
    assert reader.post(f"{PAGE}run/resend/?rowid={message.id}", data={"reason": "x"}).status_code == 403


def test_resend_and_cancel_with_a_reason(olga: Visitor, session: Session, message: SmsMessage) -> None:
    olga.get(PAGE)
    assert olga.post(f"{PAGE}run/cancel/?rowid={message.id}", data={"reason": " "}).status_code == 422
    olga.post(f"{PAGE}run/cancel/?rowid={message.id}", data={"reason": "Wrong number"})
    session.refresh(message)
    assert message.status is MessageStatus.CANCELLED
    olga.post(f"{PAGE}run/resend/?rowid={message.id}", data={"reason": "It was right"})
    session.refresh(message)
    assert message.status is MessageStatus.WAITING
    done = session.scalars(select(Action).order_by(Action.id)).all()
    assert [(row.name, row.info, row.reason) for row in done] == [
        ("Cancel SMS", "To +359888123456", "Wrong number"),
        ("Resend SMS", "To +359888123456", "It was right"),
    ]


# --- the outbox of mails ------------------------------------------------------------------------------------------


def unchecked(client: Visitor, address: str) -> TestResponse:
    """What is no page of ours: a mail's HTML styles itself inline."""
    return contextvars.Context().run(FlaskClient.open, client, address, buffered=True)


def write(session: Session, **values: object) -> Mail:
    """A mail in the outbox."""
    fields = {"key": "k:1", "recipient": "a@example.com", "subject": "S", "body": "B 123", "now": utcnow(), **values}
    mail = queue_mail(session, **fields)  # type: ignore[arg-type]
    session.commit()
    assert mail is not None
    return mail


def test_html_is_shown_where_it_can_do_nothing(olga: Visitor, session: Session) -> None:
    mail = write(session, html="<p style='color:red'>Hello</p><script>alert(1)</script>")
    page = olga.get(f"{OUTBOX}details/?id={mail.id}").get_data(as_text=True)
    assert f'<iframe src="/configuration/outbox/preview/?id={mail.id}" sandbox=""' in page
    assert "alert(1)" not in page
    shown = unchecked(olga, f"{OUTBOX}preview/?id={mail.id}")
    assert "<script>alert(1)" in shown.get_data(as_text=True)
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox;" in policy and "script-src" not in policy


def test_a_personal_link_is_shown_to_nobody(olga: Visitor, session: Session) -> None:
    mail = write(session, body="https://x/secret-link", html="<p>secret-link</p>", confidential=True)
    page = words(olga.get(f"{OUTBOX}details/?id={mail.id}"))
    assert "shown to nobody but its recipient" in page
    assert "secret-link" not in page + words(olga.get(OUTBOX)) + words(olga.get(f"{OUTBOX}export/csv/"))
    assert unchecked(olga, f"{OUTBOX}preview/?id={mail.id}").status_code == 404


def test_what_is_attached_can_be_downloaded(olga: Visitor, session: Session) -> None:
    file = store_file(
        session, name="R-1.pdf", content_type="application/pdf", chunks=[b"%PDF"], max_bytes=99, now=utcnow()
    )
    mail = write(session, attachment_id=file.id)
    assert "R-1.pdf" in words(olga.get(f"{OUTBOX}details/?id={mail.id}"))
    got = unchecked(olga, f"{OUTBOX}attachment/?id={mail.id}")
    assert (got.get_data(), got.headers["Content-Disposition"]) == (b"%PDF", "attachment; filename=R-1.pdf")
    assert unchecked(olga, f"{OUTBOX}attachment/?id={write(session, key='k:2').id}").status_code == 404


def test_many_are_sent_anew_at_once(olga: Visitor, session: Session) -> None:
    mails = [write(session, key=f"k:{number}") for number in range(3)]
    for mail in mails:
        mail.status = MessageStatus.FAILED
    session.commit()
    olga.get(OUTBOX)
    data = {"reason": "The server is back", "rowid": [str(mail.id) for mail in mails]}
    assert olga.post(f"{OUTBOX}run/resend/", data=data).status_code == 200
    session.expire_all()
    assert {mail.status for mail in mails} == {MessageStatus.WAITING}
