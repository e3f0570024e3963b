"""Transactions: every movement of money by a processor, and what was asked and answered about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.billing.models.payment_methods import PaymentMethod
from app.core.db import Base
from app.core.types import Amount, BigId, JsonDict, LabelledEnum, Text120, enum_type
from app.crm.models import User


class TransactionType(LabelledEnum):
    """What a transaction does with the money."""

    CHARGE = "charge", "Charge"
    PREAUTHORIZATION = "preauthorization", "Pre-authorization"
    CAPTURE = "capture", "Capture"
    VOID = "void", "Void"
    REFUND = "refund", "Refund"


class TransactionPurpose(LabelledEnum):
    """What the money is for. Top-ups are listed as vouchers, not as transactions (manual, "Transactions")."""

    SESSION = "session", "Charging session"
    TOP_UP = "top_up", "Top-up"
    PAYMENT_METHOD = "payment_method", "Payment method"


class TransactionStatus(LabelledEnum):
    """Where a transaction stands; `app.billing.payments.lifecycle` says what may follow what."""

    PENDING = "pending", "Pending"
    AUTHENTICATION_REQUIRED = "authentication_required", "Authentication required"
    SUCCEEDED = "succeeded", "Succeeded"
    OUTSTANDING = "outstanding", "Outstanding"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Transaction(Base):
    """One movement of money by a processor ("balance" and "corporate" are built in); a row before anybody is asked.

    ``idempotency_key`` is unique here; attempt n > 1 is known to the processor as ``key#n``. A capture, void or
    refund names the transaction it belongs to as its parent. A pre-authorization is made for an authorization,
    and gets its session when that starts; ``closed_at`` is when it was captured or voided, whole or in part.
    """

    __tablename__ = "transaction"
    __table_args__ = (
        ForeignKeyConstraint(
            ["session_id", "partner_id"],
            ["charging_session.id", "charging_session.partner_id"],
            name="fk_transaction_charging_session",
            onupdate="CASCADE",
        ),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("(type IN ('capture', 'void', 'refund')) = (parent_id IS NOT NULL)", name="parent_where_due"),
        Index("ix_transaction_session_id", "session_id"),
        Index("ix_transaction_user_id_id", "user_id", "id"),
        Index("ix_transaction_partner_id_id", "partner_id", "id"),
        Index("ix_transaction_corrections", "session_id", postgresql_where=text("correction IS NOT NULL")),
        Index("ix_transaction_refunds", "session_id", postgresql_where=text("type = 'refund'")),
        Index("ix_transaction_due", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
        Index("ix_transaction_owed", "user_id", postgresql_where=text("status = 'outstanding'")),
        Index(
            "ix_transaction_held",
            "created_at",
            postgresql_where=text("type = 'preauthorization' AND closed_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    type: Mapped[TransactionType] = mapped_column(enum_type(TransactionType, "transaction_type"))
    purpose: Mapped[TransactionPurpose] = mapped_column(
        enum_type(TransactionPurpose, "transaction_purpose"), server_default="session"
    )
    status: Mapped[TransactionStatus] = mapped_column(
        enum_type(TransactionStatus, "transaction_status"), server_default="pending", index=True
    )
    amount: Mapped[Amount]
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    session_id: Mapped[int | None] = mapped_column(BigInteger)
    authorization_id: Mapped[int | None] = mapped_column(ForeignKey("authorization.id"), index=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("transaction.id"), index=True)
    payment_method_id: Mapped[int | None] = mapped_column(ForeignKey("payment_method.id"), index=True)
    payer_partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id"), index=True)
    processor: Mapped[str] = mapped_column(String(40))
    processor_reference: Mapped[str | None] = mapped_column(String(255), index=True)
    idempotency_key: Mapped[str] = mapped_column(String(120), unique=True)
    failure_reason: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    asked_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    #: the price version of its session that gives this back (a refund) or no longer asks for it (a charge)
    correction: Mapped[int | None] = mapped_column(Integer)

    user: Mapped[User | None] = relationship()
    payment_method: Mapped[PaymentMethod | None] = relationship()
    parent: Mapped[Transaction | None] = relationship(remote_side="Transaction.id")
    events: Mapped[list[TransactionEvent]] = relationship(order_by="TransactionEvent.id", viewonly=True)

    def __str__(self) -> str:
        return f"Transaction #{self.id}"


class TransactionEvent(Base):
    """One entry of a transaction's history with its processor: asked, answered, told by webhook. Append-only."""

    __tablename__ = "transaction_event"
    __table_args__ = (Index("ix_transaction_event_transaction_id_id", "transaction_id", "id"),)

    id: Mapped[BigId]
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transaction.id", ondelete="CASCADE"))
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    event: Mapped[Text120]
    processor: Mapped[str] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(255))
    message: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))


class ProcessorNews(Base):
    """A webhook, once per processor and event id, as it came and what became of it."""

    __tablename__ = "processor_news"
    __table_args__ = (Index("uq_processor_news_processor_event_id", "processor", "event_id", unique=True),)

    id: Mapped[BigId]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    processor: Mapped[str] = mapped_column(String(40))
    event_id: Mapped[str] = mapped_column(String(255))
    type: Mapped[Text120]
    payload: Mapped[JsonDict]
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(Text)


class TestProcessorRecord(Base):
    """What the built-in Test processor remembers: it stands for somebody outside, so it has books of its own.

    One row per idempotency key, written by a connection of its own, whatever becomes of the asker's transaction.
    ``state`` of a hold or charge: held, captured, voided, charged, declined, authentication_required.
    """

    __test__ = False  # no test case, though its name begins like one
    __tablename__ = "test_processor_record"

    id: Mapped[BigId]
    key: Mapped[str] = mapped_column(String(160), unique=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    operation: Mapped[str] = mapped_column(String(40))
    reference: Mapped[str] = mapped_column(String(255), unique=True)
    parent_reference: Mapped[str | None] = mapped_column(String(255), index=True)
    token: Mapped[str | None] = mapped_column(String(255))
    amount: Mapped[Amount]
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(40))
