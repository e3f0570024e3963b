"""What belongs to an admin account and to nobody's page: sign-ins, one-time links, the second step.

None of these tables is readable by partners (docs/adr/0017): what a partner's admin may do about its own account is
done on its behalf.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.models import Admin
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type


class AdminSession(Base):
    """A sign-in: from where, with what, since when, until when. The cookie carries its key, the row only a hash."""

    __tablename__ = "admin_session"
    __table_args__ = (
        Index("ix_admin_session_admin_id_id", "admin_id", "id"),
        Index("ix_admin_session_last_seen_at", "last_seen_at"),
        CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="why_it_ended"),
    )

    id: Mapped[BigId]
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[Text120]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None] = mapped_column(String(255))

    admin: Mapped[Admin] = relationship()


class LinkPurpose(LabelledEnum):
    """What a one-time link is for."""

    INVITE = "invite", "Invitation"
    RESET = "reset", "Password reset"


class AdminLink(Base):
    """A one-time link sent to an admin: shown or mailed once, stored as a hash, used at most once."""

    __tablename__ = "admin_link"
    __table_args__ = (
        Index("ix_admin_link_admin_id_id", "admin_id", "id"),
        CheckConstraint("used_at IS NULL OR withdrawn_at IS NULL", name="used_or_withdrawn"),
        CheckConstraint("expires_at > created_at", name="holds_for_a_time"),
    )

    id: Mapped[BigId]
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"))
    purpose: Mapped[LinkPurpose] = mapped_column(enum_type(LinkPurpose, "link_purpose"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    #: who asked for it; the admin itself by "Forgot your password?"
    asked_by: Mapped[Text255]

    admin: Mapped[Admin] = relationship()


class SecondFactor(Base):
    """An admin's second step: a secret that an authenticator app shares (RFC 6238), and codes for when it is lost."""

    __tablename__ = "admin_second_factor"
    __table_args__ = (CheckConstraint("confirmed_at IS NOT NULL OR last_step IS NULL", name="unconfirmed_unused"),)

    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"), primary_key=True)
    #: encrypted (app.core.vault)
    secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]
    #: the 30-second step of the code that was used last: none of it or before is taken again
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    recovery_hashes: Mapped[list[str]] = mapped_column(ARRAY(String(64)), server_default=text("'{}'"))
