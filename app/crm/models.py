"""Drivers, their groups and their RFID tags. Manual, "Users" and "RFID Tags"."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type

user_group_member = Table(
    "user_group_member",
    Base.metadata,
    Column("user_id", BigInteger, ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "user_group_id",
        BigInteger,
        ForeignKey("user_group.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)


class UserStatus(LabelledEnum):
    """A disabled user can neither sign in nor charge. Manual, "Disable user account"."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class UserGroup(Base):
    """A named set of users that tariffs may be restricted to."""

    __tablename__ = "user_group"

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    users: Mapped[list[User]] = relationship(secondary=user_group_member, back_populates="groups")

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class User(Base):
    """A driver. The address and company are for receipts."""

    __tablename__ = "user_account"
    __table_args__ = (
        Index("uq_user_account_email_lower", func.lower(text("email")), unique=True),
        CheckConstraint("email LIKE '%_@_%'", name="email_form"),
    )

    id: Mapped[BigId]
    email: Mapped[Text255]
    first_name: Mapped[Text120] = mapped_column(server_default="")
    last_name: Mapped[Text120] = mapped_column(server_default="")
    phone: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[UserStatus] = mapped_column(
        enum_type(UserStatus, "user_status"), server_default="active", index=True
    )
    locale: Mapped[str] = mapped_column(String(16), server_default="en")
    company: Mapped[str] = mapped_column(String(255), server_default="")
    vat_no: Mapped[str] = mapped_column(String(40), server_default="")
    address: Mapped[str] = mapped_column(String(255), server_default="")
    post_code: Mapped[str] = mapped_column(String(20), server_default="")
    city: Mapped[str] = mapped_column(String(120), server_default="")
    country: Mapped[str] = mapped_column(String(2), server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    groups: Mapped[list[UserGroup]] = relationship(
        secondary=user_group_member, back_populates="users", order_by=UserGroup.name
    )
    rfid_tags: Mapped[list[RfidTag]] = relationship(
        back_populates="user", order_by="RfidTag.id", cascade="all, delete-orphan", passive_deletes=True
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def full_name(self) -> str:
        """First and last name; the e-mail address where neither is known."""
        return f"{self.first_name} {self.last_name}".strip() or self.email

    def __str__(self) -> str:
        return self.full_name


class RfidTagStatus(LabelledEnum):
    """Only active tags start a session."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class TagPayment(LabelledEnum):
    """What pays when a tag is used. Manual, "Add RFID tag (card) for user", 6."""

    LAST_USED = "last_used", "Last used"
    PAYMENT_METHOD = "payment_method", "Payment method"
    BALANCE = "balance", "Balance"
    CORPORATE = "corporate", "Corporate account"


class RfidTag(Base):
    """A card or chip of a user. ``tag_id`` is compared without regard to case (OCPP CiString)."""

    __tablename__ = "rfid_tag"
    __table_args__ = (
        Index("uq_rfid_tag_tag_id_upper", func.upper(text("tag_id")), unique=True),
        CheckConstraint("tag_id <> ''", name="tag_id_present"),
        CheckConstraint("payment <> 'payment_method' OR payment_method_id IS NOT NULL", name="payment_method_named"),
        CheckConstraint("payment <> 'corporate' OR payer_partner_id IS NOT NULL", name="payer_named"),
    )

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    tag_id: Mapped[str] = mapped_column(String(40))
    card_no: Mapped[str | None] = mapped_column(String(60))
    expires_on: Mapped[date | None] = mapped_column(Date)
    status: Mapped[RfidTagStatus] = mapped_column(enum_type(RfidTagStatus, "rfid_tag_status"), server_default="active")
    payment: Mapped[TagPayment] = mapped_column(enum_type(TagPayment, "tag_payment"), server_default="last_used")
    payment_method_id: Mapped[int | None] = mapped_column(ForeignKey("payment_method.id"), index=True)
    payer_partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    user: Mapped[User] = relationship(back_populates="rfid_tags")

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.tag_id
