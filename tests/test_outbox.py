"""Mails: written once, sent at least once, by a real mail server in this process."""

from __future__ import annotations

import email
import email.policy
import ipaddress
import itertools
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import mail_delivery, outbox, settings, smtp, vault
from app.core.db import transaction
from app.core.mail import queue_mail, queue_mails
from app.core.models import Mail, MailStatus, Setting
from tests.support import factories_crm as make

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Inbox:
    """What a mail server does with what it is given: keeps it, or refuses as told."""

    kept: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    refuse_recipient: str = ""
    refuse_data: str = ""
    on_data: Any = None
    port: int = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse_data:
            return self.refuse_data
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.kept.append((envelope.mail_from, list(envelope.rcpt_tos), cast(EmailMessage, message)))
        if self.on_data:
            self.on_data()
        return "250 OK"


class _OnAnyPort(Controller):
    """aiosmtpd knocks at its own door to be sure that it is open: at the port it was really given."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def serving(**options: Any) -> Iterator[Inbox]:
    """A mail server on a port of its own."""
    inbox = Inbox()
    controller = _OnAnyPort(inbox, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        inbox.port = controller.port
        yield inbox
    finally:
        controller.stop()


@pytest.fixture
def inbox(session: Session) -> Iterator[Inbox]:
    """A plain mail server that Settings point to."""
    with serving() as started:
        point_to(session, started)
        yield started


def point_to(session: Session, inbox: Inbox, security: str = "none", **more: Any) -> None:
    """Settings > E-mail (SMTP)."""
    wanted = {
        "mail.host": "127.0.0.1",
        "mail.port": inbox.port,
        "mail.security": security,
        "mail.sender": "sync@operator.example",
        **more,
    }
    for key, value in wanted.items():
        settings.change_setting(session, key=key, value=value, actor=None)
    session.commit()
    settings.forget()


def write(session: Session, key: str = "test:1", recipient: str = "olga@operator.example", **fields: Any) -> Mail:
    """A mail in the outbox, committed."""
    values = {"subject": "Charge point offline", "body": "It is offline.\n", "now": NOW, **fields}
    mail = queue_mail(session, key=key, recipient=recipient, **values)
    session.commit()
    assert mail is not None
    return mail


def send(now: datetime = NOW) -> int:
    """What the job does, at that time, in a context of its own."""
    with current_app.app_context():
        return mail_delivery.send_due(transaction, clock=lambda: now)


def again(session: Session, mail_id: int) -> Mail:
    """A mail as it is now."""
    session.rollback()
    session.expire_all()
    return session.get_one(Mail, mail_id)


# --- writing ------------------------------------------------------------------------------------------------------


def test_the_same_is_said_once_to_each_recipient(session: Session) -> None:
    write(session)
    assert queue_mail(session, key="test:1", recipient="olga@operator.example", subject="x", body="y", now=NOW) is None
    both = ["olga@operator.example", "anna@operator.example", "anna@operator.example"]
    assert queue_mails(session, key="test:1", recipients=both, subject="x", body="y", now=NOW) == 1
    assert queue_mails(session, key="test:2", recipients=both, subject="x", body="y", now=NOW) == 2


def test_what_is_rolled_back_is_not_mailed(session: Session, inbox: Inbox) -> None:
    queue_mail(session, key="test:1", recipient="olga@operator.example", subject="x", body="y", now=NOW)
    session.rollback()
    assert send() == 0
    assert inbox.kept == []


# --- delivery -----------------------------------------------------------------------------------------------------


def test_a_mail_arrives_whole(session: Session, inbox: Inbox) -> None:
    mail_id = write(session, subject="Störung: “Модера”", body="Грешка ✓\n", html="<p>Грешка ✓</p>").id
    assert send() == 1
    [(sender, recipients, message)] = inbox.kept
    assert (sender, recipients) == ("sync@operator.example", ["olga@operator.example"])
    assert message["Subject"] == "Störung: “Модера”"
    assert message["From"] == '"SYNC EV.CHARGE" <sync@operator.example>'
    assert message["To"] == "olga@operator.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == NOW
    parts = {part.get_content_type(): part.get_content().strip() for part in message.iter_parts()}  # type: ignore[attr-defined]
    assert parts == {"text/plain": "Грешка ✓", "text/html": "<p>Грешка ✓</p>"}
    mail = again(session, mail_id)
    assert (mail.status, mail.attempts, mail.sent_at, mail.error) == (MailStatus.SENT, 1, NOW, None)
    assert send(NOW + timedelta(days=2)) == 0
    assert len(inbox.kept) == 1


def test_an_answer_stands_in_the_thread_of_the_first(session: Session, inbox: Inbox) -> None:
    write(session, key="outage:1")
    write(session, key="outage:1:back", answers="outage:1", now=NOW + timedelta(seconds=1))
    assert send(NOW + timedelta(seconds=1)) == 2
    (_, _, first), (_, _, answer) = inbox.kept
    assert first["Message-ID"] == answer["In-Reply-To"] == answer["References"]
    assert answer["Message-ID"] != first["Message-ID"]


@pytest.mark.parametrize(
    "subject, body",
    [
        ("Fault\r\nBcc: victim@example.com", "x"),
        ("Fault\nX: y\r", "\r\n.\r\nMAIL FROM:<x@example.com>\r\n"),
        ("\x00Fault\x0b\x7f", "a\x00b"),
    ],
)
def test_nothing_a_station_says_becomes_a_header_or_a_command(
    session: Session, inbox: Inbox, subject: str, body: str
) -> None:
    write(session, subject=subject, body=body)
    assert send() == 1
    [(_, recipients, message)] = inbox.kept
    assert recipients == ["olga@operator.example"]
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    }  # fmt: skip
    assert message.get_content().split() == body.replace("\0", "").split()


@pytest.mark.parametrize(
    "recipient",
    ["nobody", "a@b.example\r\nRCPT TO:<victim@example.com>", "a@b.example, c@d.example", "Olga <o@b.example>", "a@"],
)
def test_what_is_no_address_fails_at_once_and_hinders_nobody(session: Session, inbox: Inbox, recipient: str) -> None:
    wrong = write(session, recipient=recipient).id
    write(session, key="test:2")
    assert send() == 1
    assert [recipients for _, recipients, _ in inbox.kept] == [["olga@operator.example"]]
    mail = again(session, wrong)
    assert mail.status is MailStatus.FAILED
    assert "is not an e-mail address" in (mail.error or "")


def test_a_domain_of_other_letters_goes_out_in_ascii(session: Session, inbox: Inbox) -> None:
    write(session, recipient="info@bücher.example")
    assert send() == 1
    assert inbox.kept[0][1] == ["info@xn--bcher-kva.example"]


def test_two_workers_send_no_mail_twice(app: Flask, session: Session, inbox: Inbox) -> None:
    for number in range(20):
        write(session, key=f"test:{number}")

    def work() -> None:
        with app.app_context():
            send()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(inbox.kept) == 20
    assert len({message["Message-ID"] for _, _, message in inbox.kept}) == 20


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_refusal_for_ever_fails_at_once(session: Session, inbox: Inbox) -> None:
    mail_id = write(session).id
    inbox.refuse_recipient = "550 5.1.1 no such mailbox"
    assert send() == 0
    mail = again(session, mail_id)
    assert (mail.status, mail.attempts) == (MailStatus.FAILED, 1)
    assert mail.error == "The server refuses the recipient: 550 5.1.1 no such mailbox"


def test_a_refusal_for_now_is_tried_again_ever_more_rarely_for_a_day(session: Session, inbox: Inbox) -> None:
    mail_id, now = write(session).id, NOW
    inbox.refuse_data = "451 4.7.1 greylisted"
    tries = []
    while again(session, mail_id).status is MailStatus.WAITING:
        assert len(tries) < 50
        now = max(now, again(session, mail_id).next_attempt_at)
        assert send(now - timedelta(seconds=1)) == 0
        assert send(now) == 0
        tries.append(now)
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(minutes=1)
    assert timedelta(hours=20) < tries[-1] - tries[0] < timedelta(hours=28)
    mail = again(session, mail_id)
    assert (mail.status, mail.attempts) == (MailStatus.FAILED, len(tries))
    assert "451 4.7.1 greylisted" in (mail.error or "")


def test_a_greylisted_mail_arrives_at_its_second_attempt(session: Session, inbox: Inbox) -> None:
    mail_id = write(session).id
    inbox.refuse_data = "451 4.7.1 greylisted"
    assert send() == 0
    inbox.refuse_data = ""
    assert send(NOW + timedelta(seconds=59)) == 0
    assert send(NOW + timedelta(seconds=60)) == 1
    assert again(session, mail_id).attempts == 2


def test_a_server_that_is_away_is_asked_once_a_minute_not_once_a_mail(session: Session) -> None:
    with serving() as gone:
        point_to(session, gone)
    ids = [write(session, key=f"test:{number}").id for number in range(3)]
    assert send() == 0
    mails = [again(session, mail_id) for mail_id in ids]
    assert [mail.attempts for mail in mails] == [1, 0, 0]
    assert {mail.status for mail in mails} == {MailStatus.WAITING}
    assert all("cannot be reached" in (mail.error or "") for mail in mails)
    assert min(mail.next_attempt_at for mail in mails) == NOW + timedelta(minutes=1)
    with serving() as back:
        point_to(session, back)
        assert send(NOW + timedelta(minutes=1)) == 3
    assert again(session, ids[0]).error is None


def test_without_a_server_mails_wait_and_no_attempt_is_counted(session: Session) -> None:
    mail_id = write(session).id
    assert send(NOW + timedelta(days=3)) == 0
    mail = again(session, mail_id)
    assert (mail.status, mail.attempts) == (MailStatus.WAITING, 0)


def test_killed_between_sending_and_recording_it_is_sent_again_under_the_same_number(
    session: Session, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the server has it, we do not know it. The same Message-ID lets a mailbox tell the duplicate."""
    mail_id = write(session).id

    def die(*_args: Any, **_fields: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "record_sent", die)
        with pytest.raises(KeyboardInterrupt):
            send()
    assert again(session, mail_id).status is MailStatus.WAITING
    assert send(NOW + outbox.LEASE - timedelta(seconds=1)) == 0
    assert send(NOW + outbox.LEASE) == 1
    (_, _, first), (_, _, second) = inbox.kept
    assert first["Message-ID"] == second["Message-ID"]


def test_no_row_is_locked_while_the_server_thinks(app: Flask, session: Session, inbox: Inbox) -> None:
    mail_id = write(session).id
    seen = []

    def look() -> None:
        with app.app_context(), transaction() as other:
            found = other.scalars(select(Mail).where(Mail.id == mail_id).with_for_update(nowait=True)).one()
            seen.append((found.status, found.attempts))

    inbox.on_data = look
    assert send() == 1
    assert seen == [(MailStatus.WAITING, 1)]


# --- signing in and encryption ------------------------------------------------------------------------------------


def self_signed(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for 127.0.0.1, trusted by this process."""
    chain, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # TLS is there from the first byte; aiosmtpd thinks of STARTTLS
def test_over_tls_with_a_password(session: Session, certificate: ssl.SSLContext) -> None:
    given = []

    def sign_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret", handled=False)

    with serving(ssl_context=certificate, authenticator=sign_in, auth_required=True, auth_require_tls=False) as inbox:
        point_to(session, inbox, "tls", **{"mail.username": "sync", "mail.password": "wrong"})
        mail_id = write(session).id
        assert send() == 0
        mail = again(session, mail_id)
        assert mail.status is MailStatus.WAITING
        assert "refuses user name and password: 535" in (mail.error or "")
        assert "wrong" not in (mail.error or "").replace("refuses", "")
        point_to(session, inbox, "tls", **{"mail.password": "s3cret"})
        assert send(NOW + timedelta(minutes=1)) == 1
    assert given[-1] == (b"sync", b"s3cret")


def test_starttls_and_a_certificate_nobody_vouches_for(
    session: Session, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tls_context=certificate, require_starttls=True) as inbox:
        point_to(session, inbox, "starttls")
        write(session)
        assert send() == 1
        assert len(inbox.kept) == 1
        monkeypatch.delenv("SSL_CERT_FILE")
        mail_id = write(session, key="test:2").id
        assert send() == 0
        assert "is not trusted" in (again(session, mail_id).error or "")


def test_never_in_the_clear_when_encryption_was_asked_for(session: Session, inbox: Inbox) -> None:
    point_to(session, inbox, "starttls")
    mail_id = write(session).id
    assert send() == 0
    assert inbox.kept == []
    assert "does not offer STARTTLS" in (again(session, mail_id).error or "")


def test_a_password_of_another_secret_key_is_no_password(session: Session, inbox: Inbox) -> None:
    session.add(Setting(key="mail.password", value=vault.lock("x", "another")))
    session.commit()
    settings.forget()
    with pytest.raises(smtp.MailNotSetUp, match="another SECRET_KEY"):
        smtp.server_from_settings(session)
    write(session)
    assert send() == 0


# --- by hand ------------------------------------------------------------------------------------------------------


def test_resend_and_cancel(session: Session, inbox: Inbox) -> None:
    olga = make.admin(session)
    mail = write(session)
    mail_id = mail.id
    action = outbox.cancel(session, message=mail, reason="Nobody needs it", actor=olga, now=NOW)
    session.commit()
    assert (action.name, action.target_type, action.target_id) == ("Cancel mail", "mail", mail_id)
    assert send() == 0
    with pytest.raises(outbox.NotWaiting):
        outbox.cancel(session, message=again(session, mail_id), reason="Again", actor=olga, now=NOW)
    session.rollback()
    outbox.resend(session, message=again(session, mail_id), reason="I do", actor=olga, now=NOW)
    session.commit()
    assert send() == 1
    outbox.resend(session, message=again(session, mail_id), reason="Lost it", actor=olga, now=NOW)
    session.commit()
    assert send() == 1
    assert len({message["Message-ID"] for _, _, message in inbox.kept}) == 1
