"""The drivers' balances as an append-only ledger. Manual, "Add to User's Balance"."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.billing.models.vouchers import Voucher
from app.core.db import Base
from app.core.types import Amount, BigId, LabelledEnum, enum_type
from app.crm.models import User


class BalanceAccount(Base):
    """A user's balance in one currency. Its row lock is what keeps two ledger entries from racing."""

    __tablename__ = "balance_account"
    __table_args__ = (UniqueConstraint("user_id", "currency", name="uq_balance_account_user_id_currency"),)

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    balance: Mapped[Amount] = mapped_column(server_default=text("0"))

    user: Mapped[User] = relationship()


class LedgerEntryType(LabelledEnum):
    """Why a balance moved. Manual, "Add to User's Balance"."""

    OPERATOR_TOP_UP = "operator_top_up", "Operator top up"
    TOP_UP = "top_up", "Top up"
    AUTO_TOP_UP = "auto_top_up", "Auto top up"
    VOUCHER = "voucher", "Voucher"
    CHARGING_SESSION = "charging_session", "Charging session"
    REFUND = "refund", "Refund"
    CORRECTION = "correction", "Correction"


class LedgerEntry(Base):
    """One movement of a balance, never changed. ``reference`` makes it happen once."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("(credit > 0 AND debit = 0) OR (debit > 0 AND credit = 0)", name="either_credit_or_debit"),
        Index("ix_ledger_entry_account_id_id", "account_id", "id"),
        Index("ix_ledger_entry_session_id", "session_id"),
    )

    id: Mapped[BigId]
    account_id: Mapped[int] = mapped_column(ForeignKey("balance_account.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    type: Mapped[LedgerEntryType] = mapped_column(enum_type(LedgerEntryType, "ledger_entry_type"))
    reference: Mapped[str] = mapped_column(String(120), unique=True)
    credit: Mapped[Amount] = mapped_column(server_default=text("0"))
    debit: Mapped[Amount] = mapped_column(server_default=text("0"))
    balance_after: Mapped[Amount]
    session_id: Mapped[int | None] = mapped_column(ForeignKey("charging_session.id"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id"))
    #: a voucher is credited once
    voucher_id: Mapped[int | None] = mapped_column(ForeignKey("voucher.id"), unique=True)
    description: Mapped[str | None] = mapped_column(Text)

    account: Mapped[BalanceAccount] = relationship()
    voucher: Mapped[Voucher | None] = relationship()
