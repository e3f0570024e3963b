"""What goes out to people: mails and SMS. A row is written with what gives rise to it, and sent by a job."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from app.core.db import Base
from app.core.files import StoredFile
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type


class MessageStatus(LabelledEnum):
    """What became of a message."""

    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Outgoing:
    """What every outgoing message has. ``app.core.outbox`` says what happens to it.

    ``key`` is what it is about (``outage:17``): a second one of the same key and recipient is not written.
    """

    id: Mapped[BigId]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    key: Mapped[Text120]
    recipient: Mapped[Text255]
    attempts: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)

    @declared_attr
    @classmethod
    def status(cls) -> Mapped[MessageStatus]:
        """What became of it."""
        name = f"{cls.__tablename__.split('_')[0]}_status"  # type: ignore[attr-defined]  # of the class it is mixed into
        return mapped_column(enum_type(MessageStatus, name), server_default="waiting")


class Mail(Outgoing, Base):
    """The outbox: an e-mail."""

    __tablename__ = "mail"
    __table_args__ = (
        UniqueConstraint("key", "recipient", name="uq_mail_key_recipient"),
        Index("ix_mail_waiting", "next_attempt_at", postgresql_where=sql("status = 'waiting'")),
    )

    subject: Mapped[Text255]
    body: Mapped[str] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    #: the key of the earlier mail that this one is an answer to: both stand in one thread
    answers: Mapped[str | None] = mapped_column(String(120))
    #: a stored file that goes with it
    attachment_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    #: its text holds a personal link or code: the back office shows it to nobody
    confidential: Mapped[bool] = mapped_column(Boolean, server_default=sql("false"))

    attachment: Mapped[StoredFile | None] = relationship()

    def __str__(self) -> str:
        return self.subject


class SmsMessage(Outgoing, Base):
    """A text message. ``recipient`` is a number in the form of E.164."""

    __tablename__ = "sms_message"
    __table_args__ = (
        UniqueConstraint("key", "recipient", name="uq_sms_message_key_recipient"),
        CheckConstraint(r"recipient ~ '^\+[1-9][0-9]{6,14}$'", name="recipient_e164"),
        Index("ix_sms_message_waiting", "next_attempt_at", postgresql_where=sql("status = 'waiting'")),
    )

    text: Mapped[str] = mapped_column(Text)
    #: it holds a code: only who may send it again may read its digits
    confidential: Mapped[bool] = mapped_column(Boolean, server_default=sql("true"))
    #: which processor took it, and under what reference
    processor: Mapped[str | None] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(120))

    def __str__(self) -> str:
        return f"SMS {self.id} to {self.recipient}"


class MailTemplate(Base):
    """The words of a mail in a language where they are not the product's own (``templates/mail/words``)."""

    __tablename__ = "mail_template"
    __table_args__ = (UniqueConstraint("name", "language", name="uq_mail_template_name_language"),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(String(60))
    language: Mapped[str] = mapped_column(String(16))
    subject: Mapped[Text255]
    body: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=sql("1"))

    __mapper_args__ = {"version_id_col": version}


class IntegrationTest(Base):
    """What came of trying an integration, the last time."""

    __tablename__ = "integration_test"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    tested_at: Mapped[datetime]
    tested_by: Mapped[Text255]
    works: Mapped[bool] = mapped_column(Boolean)
    words: Mapped[str] = mapped_column(Text)
    took_ms: Mapped[int] = mapped_column(Integer)
