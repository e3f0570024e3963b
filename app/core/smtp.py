"""Speaking to the mail server: what it is asked for in Settings, how a row becomes a message, what its answers mean.

RFC 5321 (4.2.1: replies of 4yz may succeed later, those of 5yz never), RFC 5322, RFC 3207 (STARTTLS).
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr

from sqlalchemy.orm import Session

from app.core import sealed, settings, vault
from app.core.mail import one_line
from app.core.models import Mail
from app.core.outbox import MessageRefused as MailRefused
from app.core.outbox import ServerAway as ServerAway

#: for connecting and for each answer
TIMEOUT_S = 20.0

_ADDRESS = re.compile(r"[^@\s,;<>\"\x00-\x1f\x7f]+@[^@\s,;<>\"\x00-\x1f\x7f]+")


class MailNotSetUp(Exception):
    """No mail can be sent as Settings stand; the message says what is missing. Mails wait."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed in, and from whom."""

    host: str
    port: int
    security: str
    username: str
    password: str = field(repr=False)
    sender: str
    sender_name: str


def server_from_settings(session: Session) -> Server:
    """What Settings > E-mail (SMTP) say. Raises MailNotSetUp."""
    host = settings.get_text(session, "mail.host")
    if not host:
        raise MailNotSetUp("No mail server is set in Settings > E-mail (SMTP): mails wait until there is one.")
    name, sender = parseaddr(settings.get_text(session, "mail.sender"))
    username = settings.get_text(session, "mail.username")
    if not sender and _ADDRESS.fullmatch(username):
        sender = username
    if not _ADDRESS.fullmatch(sender):
        raise MailNotSetUp("The sender address in Settings > E-mail (SMTP) is no e-mail address: mails wait.")
    try:
        password = settings.get_secret(session, "mail.password")
    except vault.VaultLocked:
        raise MailNotSetUp(
            "The mail password was stored under another SECRET_KEY: enter it again in Settings > E-mail (SMTP)."
        ) from None
    return Server(
        host=host,
        port=settings.get_int(session, "mail.port"),
        security=settings.get_text(session, "mail.security"),
        username=username,
        password=password,
        sender=sender,
        sender_name=name or settings.get_text(session, "system.company_name"),
    )


def message_id(key: str, recipient: str, domain: str) -> str:
    """The Message-ID of the mail of that key to that recipient: the same however often it is sent."""
    digest = hashlib.sha256(f"{key}\0{recipient.lower()}".encode()).hexdigest()
    return f"<{digest[:32]}@{domain}>"


def wire_address(address: str) -> str:
    """An address as it goes over the wire: the domain in ASCII (IDNA). Raises MailRefused for what is none."""
    if not _ADDRESS.fullmatch(address):
        raise MailRefused(f"“{one_line(address)}” is not an e-mail address", permanent=True)
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        raise MailRefused(f"“{domain}” is not a domain", permanent=True) from None


def _opened(text: str) -> str:
    """With what is sealed in it. Raises MailRefused."""
    try:
        return sealed.opened(text)
    except vault.VaultLocked:
        raise MailRefused("its link was sealed under another SECRET_KEY; send another one", permanent=True) from None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content_type: str
    data: bytes


def build_message(mail: Mail, server: Server, *, now: datetime, attachment: Attachment | None = None) -> EmailMessage:
    """The message of a row, with what is attached to it. Raises MailRefused when its recipient is no address."""
    sender, recipient = wire_address(server.sender), wire_address(mail.recipient)
    message = EmailMessage(policy=SMTP if (sender + recipient).isascii() else SMTPUTF8)
    domain = sender.rpartition("@")[2]
    message["From"] = Address(one_line(server.sender_name), addr_spec=sender)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(mail.key, mail.recipient, domain)
    message["Auto-Submitted"] = "auto-generated"
    if mail.answers:
        earlier = message_id(mail.answers, mail.recipient, domain)
        message["In-Reply-To"] = earlier
        message["References"] = earlier
    message.set_content(_opened(mail.body))
    if mail.html:
        message.add_alternative(_opened(mail.html), subtype="html")
    if attachment is not None:
        kind, _, subtype = attachment.content_type.partition("/")
        message.add_attachment(attachment.data, maintype=kind, subtype=subtype, filename=one_line(attachment.name))
    return message


class Connection:
    """One conversation with the server, for several mails. Use as a context manager."""

    def __init__(self, server: Server, *, timeout_s: float = TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Connection:
        """Connect, encrypt and sign in as Settings say. Raises ServerAway."""
        server = self._server
        try:
            self._smtp = self._open()
            if server.username:
                self._smtp.login(server.username, server.password)
        except smtplib.SMTPNotSupportedError as error:
            self.close()
            raise ServerAway(_not_offered(server, error)) from error
        except smtplib.SMTPAuthenticationError as error:
            self.close()
            raise ServerAway(f"The server refuses user name and password: {_said(error)}") from error
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            self.close()
            raise ServerAway(_why_away(server, error)) from error
        return self

    def __exit__(self, *_exc: object) -> None:
        """Say good-bye."""
        self.close()

    def _open(self) -> smtplib.SMTP:
        server = self._server
        host = server.host.encode("idna").decode("ascii")
        if server.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, server.port, timeout=self._timeout_s, context=context)
        smtp = smtplib.SMTP(host, server.port, timeout=self._timeout_s)
        self._smtp = smtp
        if server.security == "starttls":  # never in the clear when encryption was asked for
            smtp.starttls(context=ssl.create_default_context())
        return smtp

    def close(self) -> None:
        """End the conversation; the other side being gone already is no matter."""
        if self._smtp is None:
            return
        try:
            self._smtp.quit()
        except (smtplib.SMTPException, OSError):
            self._smtp.close()
        self._smtp = None

    def send(self, message: EmailMessage) -> None:
        """Hand in one message. Raises MailRefused, or ServerAway when the conversation broke off."""
        assert self._smtp is not None, "used outside its with block"
        try:
            self._smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _judge(code, text, "the recipient") from error
        except smtplib.SMTPSenderRefused as error:
            raise _judge(error.smtp_code, error.smtp_error, "the sender") from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailRefused("The server does not take addresses with other than ASCII letters", permanent=True) from (
                error
            )
        except smtplib.SMTPResponseException as error:
            raise _judge(error.smtp_code, error.smtp_error, "the mail") from error
        except (smtplib.SMTPException, OSError) as error:
            raise ServerAway(_why_away(self._server, error)) from error


def _judge(code: int, text: bytes | str, what: str) -> Exception:
    """What a refusal means: 421 and -1 end the conversation, 5yz is for ever, 4yz for now."""
    said = f"{code} {_text(text)}"
    if code in (421, -1):
        return ServerAway(f"The server broke off: {said}")
    return MailRefused(f"The server refuses {what}: {said}", permanent=code >= 500)


def _text(said: bytes | str) -> str:
    return one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:300]


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _not_offered(server: Server, error: Exception) -> str:
    if server.security == "starttls" and "STARTTLS" in str(error):
        return "The server does not offer STARTTLS: choose TLS or Not encrypted in Settings, or another port"
    return "The server does not let us sign in: leave the user name empty in Settings, or choose another port"


def _why_away(server: Server, error: Exception) -> str:
    where = f"{server.host}, port {server.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {where} is not trusted: {one_line(error.verify_message or str(error))}"
    if isinstance(error, ssl.SSLError):
        return f"No encrypted connection with {where}: is it the right port for this kind of security?"
    if isinstance(error, TimeoutError) or "timed out" in str(error):  # smtplib wraps it while reading an answer
        return f"{where} does not answer"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{where} does not talk to us: {_said(error)}"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return f"{where} hung up"
    return f"{where} cannot be reached: {one_line(str(error))[:300]}"
