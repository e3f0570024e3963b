"""Drivers, their groups and their RFID tags. Manual, "Users" and "RFID Tags"."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    event,
    func,
    inspect,
    text,
)
from sqlalchemy.orm import Mapped, Mapper, mapped_column, relationship

from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type

#: of a user: what can be verified, each with the moment it was in ``<name>_verified_at``
VERIFIABLE = ("email", "phone")

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
        CheckConstraint("phone_verified_at IS NULL OR phone IS NOT NULL", name="verified_phone_there"),
    )

    id: Mapped[BigId]
    email: Mapped[Text255] = mapped_column(active_history=True)
    first_name: Mapped[Text120] = mapped_column(server_default="")
    last_name: Mapped[Text120] = mapped_column(server_default="")
    phone: Mapped[str | None] = mapped_column(String(40), active_history=True)
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
    date_of_birth: Mapped[date | None] = mapped_column(Date)
    car_make: Mapped[str] = mapped_column(String(60), server_default="")
    car_model: Mapped[str] = mapped_column(String(60), server_default="")
    licence_plate: Mapped[str] = mapped_column(String(20), server_default="")
    #: when it was found that mail to the address above, or a text message to the number above, reaches the user
    email_verified_at: Mapped[datetime | None]
    phone_verified_at: Mapped[datetime | None]
    #: when the personal data was removed for good
    erased_at: Mapped[datetime | None]
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


@event.listens_for(User, "before_update")
def _forget_verification(_mapper: Mapper[User], _connection: Connection, user: User) -> None:
    """Another address or number has not been verified, whoever wrote it: form, import, provisioning."""
    state = inspect(user)
    for name in VERIFIABLE:
        verified = f"{name}_verified_at"
        change = state.attrs[name].history
        if change.has_changes() and not state.attrs[verified].history.has_changes():
            before, after = ((values or [None])[0] or "" for values in (change.deleted, change.added))
            if before.strip().lower() != after.strip().lower():
                setattr(user, verified, None)


class VerificationKind(LabelledEnum):
    """What is verified. Manual, "User profile fields", 4."""

    EMAIL = "email", "E-mail"
    PHONE = "phone", "Phone"


class UserVerification(Base):
    """A question that is on its way to a user: a link by e-mail, or a code by SMS. Only a keyed hash is stored."""

    __tablename__ = "user_verification"
    __table_args__ = (
        Index("uq_user_verification_email_hash", "secret_hash", unique=True, postgresql_where=text("kind = 'email'")),
        Index("ix_user_verification_user_id_id", "user_id", "id"),
        CheckConstraint("attempts >= 0", name="attempts_positive"),
    )

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    kind: Mapped[VerificationKind] = mapped_column(enum_type(VerificationKind, "verification_kind"))
    #: the address or number it was sent to: another one is not verified by it
    sent_to: Mapped[Text255]
    secret_hash: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    #: a later one has taken its place
    replaced_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


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
