"""CONTENT: what drivers read: terms & policies with their versions, questions and answers, how to reach us."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.i18n import localized
from app.core.types import BigId, I18nText, Text255


class TermsDocument(Base):
    """A document that drivers agree to or read, and the draft of its next version. Manual, "Terms & Policies"."""

    __tablename__ = "terms_document"
    __table_args__ = (CheckConstraint("kind ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="kind_form"),)

    id: Mapped[BigId]
    #: stands in the public address
    kind: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[I18nText]
    #: language → cleaned HTML (``app.content.rich_text``)
    draft: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    versions: Mapped[list[TermsVersion]] = relationship(
        back_populates="document", order_by="TermsVersion.number.desc()", passive_deletes="all"
    )

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return localized(self.name)


class TermsVersion(Base):
    """A version as it was published: never changed. In force from the beginning of its day, system's time zone."""

    __tablename__ = "terms_version"
    __table_args__ = (
        UniqueConstraint("document_id", "number", name="uq_terms_version_document_id_number"),
        CheckConstraint("number >= 1", name="number_positive"),
        CheckConstraint("length(btrim(reason)) > 0", name="reason_given"),
    )

    id: Mapped[BigId]
    document_id: Mapped[int] = mapped_column(ForeignKey("terms_document.id"))
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[I18nText]
    texts: Mapped[I18nText]
    valid_from: Mapped[date] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime]
    published_by: Mapped[Text255]

    document: Mapped[TermsDocument] = relationship(back_populates="versions")

    def __str__(self) -> str:
        return f"{self.document}, version {self.number}"


class FaqCategory(Base):
    """A heading under which questions stand."""

    __tablename__ = "faq_category"

    id: Mapped[BigId]
    name: Mapped[I18nText]
    position: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return localized(self.name)


class FaqEntry(Base):
    """A question and its answer. Manual, "FAQ"."""

    __tablename__ = "faq_entry"

    id: Mapped[BigId]
    category_id: Mapped[int | None] = mapped_column(ForeignKey("faq_category.id", ondelete="SET NULL"), index=True)
    question: Mapped[I18nText]
    #: language → cleaned HTML
    answer: Mapped[I18nText]
    published: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    position: Mapped[int] = mapped_column(Integer, server_default=text("0"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    category: Mapped[FaqCategory | None] = relationship()

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return localized(self.question)


class ContactDetails(Base):
    """How drivers reach the operator; there is one row. Manual, "Contacts"."""

    __tablename__ = "contact_details"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    email: Mapped[str] = mapped_column(String(255), server_default=text("''"))
    phone: Mapped[str] = mapped_column(String(40), server_default=text("''"))
    hours: Mapped[dict[str, Any]] = mapped_column(JSONB(none_as_null=True), server_default=text("'{}'::jsonb"))
    address: Mapped[dict[str, Any]] = mapped_column(JSONB(none_as_null=True), server_default=text("'{}'::jsonb"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}
