"""CONFIGURATION > Outbox: the mails, what became of them, and trying whether mail works."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.clock import utcnow
from app.core.mail import queue_mail
from app.core.models import Action, Mail, MailStatus
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

PAGE = "/configuration/outbox/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.fixture
def mail(session: Session) -> Mail:
    """One that waits since an hour."""
    written = queue_mail(
        session,
        key="outage:7",
        recipient="ops@operator.example",
        subject="Connection lost: <b>MODERA</b>",
        body="It is <i>silent</i>.\n",
        now=utcnow() - timedelta(hours=1),
    )
    session.commit()
    assert written is not None
    return written


def words(answer: object) -> str:
    """The text of a page."""
    return html.unescape(answer.get_data(as_text=True))  # type: ignore[attr-defined]


def again(session: Session, mail: Mail) -> Mail:
    """The mail as it is now."""
    session.rollback()
    session.refresh(mail)
    return mail


def test_without_a_server_the_page_says_plainly_that_mails_wait(olga: Visitor, session: Session, mail: Mail) -> None:
    page = words(olga.get(PAGE))
    assert "No mail server is set in Settings > E-mail (SMTP): mails wait until there is one. 1 mail waits." in page
    assert 'href="/configuration/settings/#group-e-mail--smtp-"' in page
    assert 'id="group-e-mail--smtp-"' in olga.get("/configuration/settings/").get_data(as_text=True)
    for key, value in {"mail.host": "mail.operator.example", "mail.sender": "sync@operator.example"}.items():
        settings.change_setting(session, key=key, value=value, actor=None)
    session.commit()
    assert "mails wait" not in words(olga.get(PAGE))


def test_a_mail_is_read_whole_and_as_text(olga: Visitor, mail: Mail) -> None:
    assert "ops@operator.example" in olga.get(PAGE).get_data(as_text=True)
    page = olga.get(f"{PAGE}details/?id={mail.id}").get_data(as_text=True)
    assert "It is &lt;i&gt;silent&lt;/i&gt;." in page
    assert "Waiting" in page
    assert "outage:7" in page
    listed = olga.get(f"{PAGE}export/csv/").get_data(as_text=True)
    assert "outage:7,ops@operator.example,Connection lost: <b>MODERA</b>,waiting,0" in listed


def test_resend_and_cancel_with_a_reason(olga: Visitor, session: Session, mail: Mail) -> None:
    olga.get(PAGE)
    refused = olga.post(f"{PAGE}run/cancel/?rowid={mail.id}", data={"reason": " "})
    assert refused.status_code == 422
    done = olga.post(f"{PAGE}run/cancel/?rowid={mail.id}", data={"reason": "Wrong address"})
    assert done.status_code == 200
    assert again(session, mail).status is MailStatus.CANCELLED
    late = olga.post(f"{PAGE}run/cancel/?rowid={mail.id}", data={"reason": "Again"})
    assert "It is cancelled already." in words(late)
    olga.post(f"{PAGE}run/resend/?rowid={mail.id}", data={"reason": "It was right"})
    assert again(session, mail).status is MailStatus.WAITING
    done_to = session.scalars(select(Action).order_by(Action.id)).all()
    assert [(row.name, row.reason) for row in done_to] == [
        ("Cancel mail", "Wrong address"),
        ("Resend mail", "It was right"),
    ]
    assert f'href="/configuration/outbox/details/?id={mail.id}"' in olga.get("/activity/actions/").get_data(
        as_text=True
    )


def test_a_test_mail_goes_to_oneself_and_is_followed(olga: Visitor, session: Session) -> None:
    assert "Send a test mail" in olga.get(PAGE).get_data(as_text=True)
    answer = olga.post(f"{PAGE}test/")
    assert answer.status_code == 303
    page = words(olga.get(answer.location))
    [written] = session.scalars(select(Mail))
    assert (written.recipient, written.subject, written.status) == (
        "olga@operator.example",
        "Test mail",
        MailStatus.WAITING,
    )
    assert "A test mail to olga@operator.example is on its way." in page
    assert 'hx-trigger="record-changed from:body, every 3s"' in page
    written.status, written.error = MailStatus.FAILED, "The server refuses the recipient: 550 no such mailbox"
    session.commit()
    state = olga.htmx(f"{PAGE}state/?id={written.id}").get_data(as_text=True)
    assert "550 no such mailbox" in state
    assert "every 3s" not in state


def test_who_may_only_look_sends_nothing(clean: Flask, session: Session, mail: Mail) -> None:
    permissions = ["configuration.mail.view", "configuration.setting.view"]
    rita = make.admin(session, "Rita Reader", "Readers", permissions=permissions)
    session.commit()
    reader = make.signed_in(clean, rita)
    assert "Send a test mail" not in reader.get(PAGE).get_data(as_text=True)
    assert reader.post(f"{PAGE}test/").status_code == 403
    assert reader.post(f"{PAGE}run/resend/?rowid={mail.id}", data={"reason": "x"}).status_code == 403
