"""Every pricing of a charging session, in versions: a correction makes a new one and never edits the one before.

Issue "ACTIVITY": "each with reason and a new priced version, never an edit in place".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.types import Amount, BigId, LabelledEnum, Text255, enum_type
from app.crm.models import User


class PriceCause(LabelledEnum):
    """Why a session got a price."""

    BILLED = "billed", "Billed"
    TARIFF_CHANGED = "tariff_changed", "Tariff changed"
    USER_ASSIGNED = "user_assigned", "User assigned"
    CREDIT = "credit", "Credit"


class SessionPriceVersion(Base):
    """What a session cost from a moment on, for whom and by which tariff. Never changed.

    ``charging_session`` holds the one with the highest number. What a correction moved stands with it: ``asked`` of
    the payer, ``given_back``, ``withdrawn`` of what was asked for and not paid yet, ``waived``: amounts in its
    currency. ``key`` makes a correction happen once, however often its form is sent.
    """

    __tablename__ = "session_price_version"
    __table_args__ = (
        ForeignKeyConstraint(
            ["session_id", "partner_id"],
            ["charging_session.id", "charging_session.partner_id"],
            name="fk_session_price_version_charging_session",
            onupdate="CASCADE",
        ),
        UniqueConstraint("session_id", "number", name="uq_session_price_version_session_id_number"),
        UniqueConstraint("key", name="uq_session_price_version_key"),
        CheckConstraint("number >= 1", name="number_from_one"),
        CheckConstraint("total_net + total_vat = total_gross", name="net_plus_vat_is_gross"),
        CheckConstraint("total_gross >= 0", name="total_not_negative"),
        CheckConstraint("asked >= 0 AND given_back >= 0 AND withdrawn >= 0 AND waived >= 0", name="moved_not_negative"),
        Index("ix_session_price_version_corrections", "session_id", postgresql_where=text("number > 1")),
    )

    id: Mapped[BigId]
    session_id: Mapped[int] = mapped_column(BigInteger)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    cause: Mapped[PriceCause] = mapped_column(enum_type(PriceCause, "price_cause"))
    priced_at: Mapped[datetime] = mapped_column(server_default=func.now())
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariff.id", ondelete="SET NULL"), index=True)
    tariff_name: Mapped[str | None] = mapped_column(String(255))
    tariff_snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB(none_as_null=True))
    price_lines: Mapped[list[Any]] = mapped_column(JSONB(none_as_null=True))
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    total_gross: Mapped[Amount]
    total_net: Mapped[Amount]
    total_vat: Mapped[Amount]
    asked: Mapped[Amount] = mapped_column(server_default=text("0"))
    given_back: Mapped[Amount] = mapped_column(server_default=text("0"))
    withdrawn: Mapped[Amount] = mapped_column(server_default=text("0"))
    waived: Mapped[Amount] = mapped_column(server_default=text("0"))
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[Text255] = mapped_column(server_default="")
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id"))
    key: Mapped[str | None] = mapped_column(String(80))

    user: Mapped[User | None] = relationship()
