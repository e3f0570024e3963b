"""Payment methods of drivers, kept by a processor. Card numbers never reach this system."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.types import BigId, LabelledEnum, enum_type
from app.crm.models import User


class PaymentMethodStatus(LabelledEnum):
    """Only active ones are charged; an expired or removed one stays for the history of what it paid."""

    ACTIVE = "active", "Active"
    EXPIRED = "expired", "Expired"
    REMOVED = "removed", "Removed"


class PaymentMethod(Base):
    """A card (or the like) of a driver: the processor's token for it, and what may be shown.

    ``forgotten_at``: when the processor was told that a removed one is not needed any more.
    """

    __tablename__ = "payment_method"
    __table_args__ = (
        Index("uq_payment_method_processor_reference", "processor", "reference", unique=True),
        Index("ix_payment_method_user_id", "user_id"),
        Index(
            "ix_payment_method_to_forget",
            "removed_at",
            postgresql_where=text("removed_at IS NOT NULL AND forgotten_at IS NULL"),
        ),
        CheckConstraint("exp_month BETWEEN 1 AND 12", name="month_range"),
        CheckConstraint("last4 ~ '^[0-9]{4}$'", name="last4_form"),
    )

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    processor: Mapped[str] = mapped_column(String(40))
    reference: Mapped[str] = mapped_column(String(255))
    brand: Mapped[str] = mapped_column(String(40), server_default="")
    last4: Mapped[str | None] = mapped_column(String(4))
    exp_month: Mapped[int | None] = mapped_column(SmallInteger)
    exp_year: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[PaymentMethodStatus] = mapped_column(
        enum_type(PaymentMethodStatus, "payment_method_status"), server_default="active"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    forgotten_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    user: Mapped[User] = relationship()

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        brand = self.brand.upper() if self.brand else "Card"
        return f"{brand} **** {self.last4}" if self.last4 else brand


class ProcessorCustomer(Base):
    """The name under which a processor knows a driver."""

    __tablename__ = "processor_customer"
    __table_args__ = (UniqueConstraint("processor", "reference", name="uq_processor_customer_reference"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    processor: Mapped[str] = mapped_column(String(40), primary_key=True)
    reference: Mapped[str] = mapped_column(String(255))


class PaymentMethodSetup(Base):
    """A driver's invitation to enter a card at the processor: a one-time address, stored as its hash."""

    __tablename__ = "payment_method_setup"

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    processor: Mapped[str] = mapped_column(String(40))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    reference: Mapped[str | None] = mapped_column(String(255), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    payment_method_id: Mapped[int | None] = mapped_column(ForeignKey("payment_method.id", ondelete="SET NULL"))

    user: Mapped[User] = relationship()
