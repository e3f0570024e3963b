"""Floor 0's tables: who works here, what was set, done and changed, in which currency and VAT."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask_login import UserMixin
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core import principal
from app.core.db import Base
from app.core.messages import Mail as Mail
from app.core.messages import MessageStatus as MailStatus  # noqa: F401  # what those who write mails call it
from app.core.messages import SmsMessage as SmsMessage
from app.core.permissions import PARTNER_GRANTABLE, Permission, known
from app.core.types import BigId, JsonDict, LabelledEnum, Text120, Text255, enum_type

#: The operator itself, as owner of rows: partner 1, made by the first migration (docs/adr/0003).
HOUSE_PARTNER_ID = 1


class AdminStatus(LabelledEnum):
    """Whether an admin may sign in."""

    INVITED = "invited", "Invited"
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class Role(Base):
    """A named set of permissions. Built-in ones follow the code and cannot be edited.

    A role ``for_partner`` is for admins of partners, and for them only. Manual, "Partner Roles".
    """

    __tablename__ = "role"
    __table_args__ = (UniqueConstraint("id", "for_partner", name="uq_role_id_for_partner"),)

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)
    built_in: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    for_partner: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    permission_names: Mapped[list[str]] = mapped_column(ARRAY(String(80)), server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    @property
    def permissions(self) -> frozenset[Permission]:
        """The permissions the role grants; to a partner never more than partners may have, whatever is stored."""
        granted = known(self.permission_names)
        return granted & PARTNER_GRANTABLE if self.for_partner else granted

    def __str__(self) -> str:
        return self.name


class Admin(Base, UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    """Somebody who signs in to the back office."""

    __tablename__ = "admin"
    __table_args__ = (
        Index("uq_admin_email_lower", func.lower(text("email")), unique=True),
        CheckConstraint("email LIKE '%_@_%'", name="email_form"),
        CheckConstraint(f"partner_id <> {HOUSE_PARTNER_ID}", name="not_of_the_house"),
        # an admin of a partner has a role for partners, and nobody else has
        ForeignKeyConstraint(["role_id", "for_partner"], ["role.id", "role.for_partner"], name="fk_admin_role_kind"),
    )

    id: Mapped[BigId]
    email: Mapped[Text255]
    name: Mapped[Text120]
    password_hash: Mapped[str | None] = mapped_column(Text)
    status: Mapped[AdminStatus] = mapped_column(enum_type(AdminStatus, "admin_status"), server_default="active")
    role_id: Mapped[int] = mapped_column(ForeignKey("role.id"), index=True)
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id"), index=True)
    #: whether it is an admin of a partner, as the database says it
    for_partner: Mapped[bool | None] = mapped_column(Boolean, Computed("partner_id IS NOT NULL", persisted=True))
    locale: Mapped[str] = mapped_column(String(16), server_default="en")
    timezone: Mapped[str | None] = mapped_column(String(64))
    preferences: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_login_at: Mapped[datetime | None]
    #: too many failed sign-ins: nobody gets in before; sign-ins that exist go on
    locked_until: Mapped[datetime | None]
    failed_sign_ins: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    failed_since: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    role: Mapped[Role] = relationship(lazy="joined", innerjoin=True, primaryjoin="foreign(Admin.role_id) == Role.id")

    __mapper_args__ = {"version_id_col": version}

    @property
    def permissions(self) -> frozenset[Permission]:
        """The permissions of the admin's role."""
        return self.role.permissions

    @property
    def is_active(self) -> bool:
        """Flask-Login refuses and ends the sessions of admins for whom this is false."""
        return self.status == AdminStatus.ACTIVE

    def get_id(self) -> str:
        """Who it is. What a cookie carries is the key of one sign-in: ``app.core.admin_sessions``."""
        return str(self.id)

    def is_locked(self, now: datetime) -> bool:
        """Whether nobody gets in by this account's password for the moment."""
        return self.locked_until is not None and self.locked_until > now

    def __str__(self) -> str:
        return self.name


class Setting(Base):
    """A setting that differs from its default. Definitions are in ``app.core.settings``."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="SET NULL"))


class CurrencyRow(Base):
    """A currency prices may be in, and its number of decimals."""

    __tablename__ = "currency"
    __table_args__ = (
        CheckConstraint("code ~ '^[A-Z]{3}$'", name="code_form"),
        CheckConstraint("exponent BETWEEN 0 AND 3", name="exponent_range"),
    )

    code: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[Text120]
    symbol: Mapped[str] = mapped_column(String(8))
    exponent: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return f"{self.code} ({self.symbol})"


class VatRate(Base):
    """A VAT percentage under a name. Manual, "VAT"."""

    __tablename__ = "vat_rate"
    __table_args__ = (CheckConstraint("percent >= 0 AND percent < 100", name="percent_range"),)

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)
    percent: Mapped[Decimal] = mapped_column(Numeric(6, 3))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return f"{self.name} ({self.percent.normalize():f} %)"


def _whose() -> int:
    return principal.current().partner_id or HOUSE_PARTNER_ID


class AuditEntry(Base):
    """Who changed what from what to what. Append-only."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_object", "object_type", "object_id", "id"),
        Index("ix_audit_entry_object_type_id", "object_type", "id"),
        Index("ix_audit_entry_admin_id_id", "admin_id", "id"),
        Index("ix_audit_entry_event_id", "event", "id"),
        Index("ix_audit_entry_words", "words", postgresql_using="gin"),
    )

    id: Mapped[BigId]
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="SET NULL"))
    admin_label: Mapped[Text255]
    #: on whose behalf: the house, unless a partner's admin did it
    partner_id: Mapped[int] = mapped_column(BigInteger, default=_whose, index=True)
    event: Mapped[str] = mapped_column(String(40))
    object_type: Mapped[str] = mapped_column(String(60))
    object_id: Mapped[str] = mapped_column(String(60))
    object_label: Mapped[Text255]
    before: Mapped[JsonDict]
    after: Mapped[JsonDict]
    #: every word of it, for the list's search: a million entries are not read one by one
    words: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "to_tsvector('simple'::regconfig, object_label || ' ' || admin_label)"
            " || jsonb_to_tsvector('simple'::regconfig, before, '[\"all\"]')"
            " || jsonb_to_tsvector('simple'::regconfig, after, '[\"all\"]')",
            persisted=True,
        ),
        deferred=True,
        deferred_raiseload=True,
    )

    def __str__(self) -> str:
        return f"{self.event} {self.object_label}"

    __mapper_args__ = {"eager_defaults": False}


class ActionStatus(LabelledEnum):
    """The outcome of an action (product.md, "Actions"; manual's Actions log)."""

    PENDING = "pending", "Pending"
    ACCEPTED = "accepted", "Accepted"
    REJECTED = "rejected", "Rejected"
    ANSWERED = "answered", "Answered"
    SCHEDULED = "scheduled", "Scheduled"
    TIMED_OUT = "timed_out", "Timed out"
    NOT_CONNECTED = "not_connected", "Not connected"
    FAILED = "failed", "Failure"
    FINISHED = "finished", "Finished"


class Action(Base):
    """Something an admin (or a rule) did or asked a station to do; a row before it is sent."""

    __tablename__ = "action"
    __table_args__ = (
        ForeignKeyConstraint(
            ["charge_point_id"], ["charge_point.id"], name="fk_action_charge_point", ondelete="CASCADE"
        ),
        Index("ix_action_charge_point_id_id", "charge_point_id", "id"),
        Index("ix_action_target", "target_type", "target_id", "id"),
        Index("ix_action_partner_id_id", "partner_id", "id"),
        Index("ix_action_pending", "deadline_at", postgresql_where=text("status = 'pending'")),
        UniqueConstraint("id", "partner_id", name="uq_action_id_partner_id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    name: Mapped[Text120]
    target_type: Mapped[str] = mapped_column(String(60))
    target_id: Mapped[int] = mapped_column(BigInteger)
    target_label: Mapped[Text255]
    charge_point_id: Mapped[int | None] = mapped_column(BigInteger)
    info: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    status: Mapped[ActionStatus] = mapped_column(enum_type(ActionStatus, "action_status"))
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="SET NULL"))
    initiated_by: Mapped[Text255]
    command: Mapped[str | None] = mapped_column(String(60))
    request: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    deadline_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def __str__(self) -> str:
        return f"{self.name} #{self.id}"


class ApiToken(Base):
    """A key to the API: it carries its admin's role, is shown once and stored as a hash. product.md, "Outside in"."""

    __tablename__ = "api_token"

    id: Mapped[BigId]
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"), index=True)
    name: Mapped[Text120]
    prefix: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    admin: Mapped[Admin] = relationship()

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
