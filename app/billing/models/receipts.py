"""Receipts for drivers and their numbers. Manual, "Receipts"; product.md, "Money"."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.types import Amount, BigId, EnergyWh, JsonDict, LabelledEnum, Text255, enum_type
from app.crm.models import User


class ReceiptKind(LabelledEnum):
    """A receipt says what was paid, a credit note what was given back of it."""

    RECEIPT = "receipt", "Receipt"
    CREDIT_NOTE = "credit_note", "Credit note"


class ReceiptCounter(Base):
    """The last number given in a series and year; its row lock makes the numbers gap-free."""

    __tablename__ = "receipt_counter"

    series: Mapped[str] = mapped_column(String(40), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_number: Mapped[int] = mapped_column(Integer)


class Receipt(Base):
    """What a driver is sent: numbers as issued, with company and driver as they were then. Never changed.

    Amounts of a credit note are positive, and given back.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("series", "year", "number", name="uq_receipt_series_year_number"),
        CheckConstraint("total_net + total_vat = total_gross", name="net_plus_vat_is_gross"),
        CheckConstraint("(kind = 'credit_note') = (corrects_id IS NOT NULL)", name="credit_note_corrects"),
        CheckConstraint("period_to >= period_from", name="period_order"),
        Index("ix_receipt_user_id_id", "user_id", "id"),
    )

    id: Mapped[BigId]
    kind: Mapped[ReceiptKind] = mapped_column(enum_type(ReceiptKind, "receipt_kind"), server_default="receipt")
    series: Mapped[str] = mapped_column(String(40))
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    full_number: Mapped[str] = mapped_column(String(60), unique=True)
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    period_from: Mapped[date] = mapped_column(Date)
    period_to: Mapped[date] = mapped_column(Date)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    recipient: Mapped[Text255]
    driver: Mapped[JsonDict]
    company: Mapped[JsonDict]
    language: Mapped[str] = mapped_column(String(16))
    timezone: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    total_gross: Mapped[Amount]
    total_net: Mapped[Amount]
    total_vat: Mapped[Amount]
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("receipt.id"), index=True)
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("transaction.id"), unique=True)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    reason: Mapped[str | None] = mapped_column(Text)
    sent_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))

    user: Mapped[User] = relationship()
    corrects: Mapped[Receipt | None] = relationship(remote_side="Receipt.id")
    lines: Mapped[list[ReceiptLine]] = relationship(order_by="ReceiptLine.position", viewonly=True)

    def __str__(self) -> str:
        return self.full_number


class ReceiptLine(Base):
    """A charging session on a receipt (or what was given back of it), with its own net and VAT."""

    __tablename__ = "receipt_line"
    __table_args__ = (
        UniqueConstraint("receipt_id", "position", name="uq_receipt_line_receipt_id_position"),
        CheckConstraint("net + vat = gross", name="net_plus_vat_is_gross"),
        Index(
            "uq_receipt_line_session_once",
            "session_id",
            "price_version",
            unique=True,
            postgresql_where=text("kind = 'receipt'"),
        ),
    )

    id: Mapped[BigId]
    receipt_id: Mapped[int] = mapped_column(ForeignKey("receipt.id"))
    kind: Mapped[ReceiptKind] = mapped_column(enum_type(ReceiptKind, "receipt_line_kind"))
    position: Mapped[int] = mapped_column(Integer)
    session_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("charging_session.id"))
    started_at: Mapped[datetime]
    stopped_at: Mapped[datetime]
    place: Mapped[Text255]
    evse_code: Mapped[str] = mapped_column(String(60), server_default="")
    energy_wh: Mapped[EnergyWh]
    vat_percent: Mapped[Decimal] = mapped_column(Numeric(6, 3))
    gross: Mapped[Amount]
    net: Mapped[Amount]
    vat: Mapped[Amount]
    #: the version of the session's price that it is about; a correction may ask for more, on another receipt
    price_version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
