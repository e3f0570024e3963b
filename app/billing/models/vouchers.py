"""Vouchers, top-ups, top-up packages and auto top-up. Manual, "Top-Up Packages" and "Vouchers"."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.billing.models.payment_methods import PaymentMethod
from app.billing.models.transactions import Transaction
from app.core.db import Base
from app.core.models import Admin
from app.core.types import Amount, BigId, LabelledEnum, enum_type
from app.crm.models import User


class TopUpPackage(Base):
    """What a driver can buy: pays ``price``, gets ``price + bonus`` in the balance."""

    __tablename__ = "top_up_package"
    __table_args__ = (
        CheckConstraint("price > 0 AND bonus >= 0", name="amounts_range"),
        Index("ix_top_up_package_position", "position"),
    )

    id: Mapped[BigId]
    price: Mapped[Amount]
    bonus: Mapped[Amount] = mapped_column(server_default=text("0"))
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    position: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    @property
    def total(self) -> Decimal:
        """What is added to the balance."""
        return self.price + self.bonus

    def __str__(self) -> str:
        bonus = f" + {self.bonus.normalize():f}" if self.bonus else ""
        return f"{self.price.normalize():f}{bonus} {self.currency}"


class AutoTopUp(Base):
    """A driver's standing order: buy this package by this payment method when the balance reaches the limit."""

    __tablename__ = "auto_top_up"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    package_id: Mapped[int] = mapped_column(ForeignKey("top_up_package.id", ondelete="CASCADE"), index=True)
    payment_method_id: Mapped[int] = mapped_column(ForeignKey("payment_method.id", ondelete="CASCADE"), index=True)
    enabled_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: the debit (0: none yet) that brought the balance to the limit and was answered with a top-up: once for each
    crossing_entry_id: Mapped[int | None] = mapped_column(BigInteger)
    #: after a decline: not tried again before this
    paused_until: Mapped[datetime | None]
    declines: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    last_error: Mapped[str | None] = mapped_column(Text)

    user: Mapped[User] = relationship()
    package: Mapped[TopUpPackage] = relationship()
    payment_method: Mapped[PaymentMethod] = relationship()


class VoucherType(LabelledEnum):
    """How the amount came about. product.md, "Vouchers, top-ups"."""

    VOUCHER = "voucher", "Voucher"
    TOP_UP = "top_up", "Top up (manual)"
    OPERATOR_TOP_UP = "operator_top_up", "Top up by operator"
    AUTO_TOP_UP = "auto_top_up", "Auto top up"


class VoucherStatus(LabelledEnum):
    """As in the manual's list a redeemed voucher stays Active; one not redeemed in time is Expired."""

    ACTIVE = "active", "Active"
    PENDING = "pending", "Pending payment"
    FAILED = "failed", "Payment failed"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"


class Voucher(Base):
    """An amount for somebody's balance. Top-ups are vouchers that are redeemed at once.

    ``redeem_before``: the last moment is the end of that day in the system's time zone. ``paid_amount`` is what was
    charged to a payment method for it, by the transaction ``transaction_id``.
    """

    __tablename__ = "voucher"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("code ~ '^[A-Z0-9]{6}$'", name="code_form"),
        CheckConstraint("(redeemed_at IS NULL) = (user_id IS NULL) OR type <> 'voucher'", name="redeemed_by_somebody"),
        CheckConstraint("redeemed_at IS NULL OR status = 'active'", name="redeemed_is_active"),
        Index(
            "ix_voucher_open",
            "redeem_before",
            postgresql_where=text("status = 'active' AND redeemed_at IS NULL"),
        ),
        Index("ix_voucher_user_id_id", "user_id", "id"),
        Index(
            "uq_voucher_auto_top_up_in_flight",
            "user_id",
            unique=True,
            postgresql_where=text("type = 'auto_top_up' AND status = 'pending'"),
        ),
    )

    id: Mapped[BigId]
    code: Mapped[str] = mapped_column(String(6), unique=True)
    type: Mapped[VoucherType] = mapped_column(enum_type(VoucherType, "voucher_type"), server_default="voucher")
    status: Mapped[VoucherStatus] = mapped_column(enum_type(VoucherStatus, "voucher_status"), server_default="active")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    amount: Mapped[Amount]
    paid_amount: Mapped[Amount | None]
    bonus: Mapped[Amount] = mapped_column(server_default=text("0"))
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    redeem_before: Mapped[date | None] = mapped_column(Date)
    redeemed_at: Mapped[datetime | None] = mapped_column(index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(String(255), server_default="")
    description: Mapped[str | None] = mapped_column(Text)
    package_id: Mapped[int | None] = mapped_column(ForeignKey("top_up_package.id", ondelete="SET NULL"))
    transaction_id: Mapped[int | None] = mapped_column(ForeignKey("transaction.id"), unique=True)
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    user: Mapped[User | None] = relationship()
    admin: Mapped[Admin | None] = relationship()
    package: Mapped[TopUpPackage | None] = relationship()
    transaction: Mapped[Transaction | None] = relationship()

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.code
