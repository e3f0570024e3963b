"""Local authorisation lists and composite schedules."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.charging.models.ownership import of_charge_point
from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text255, enum_type

#: the users whose tags a station keeps for when it is offline. Manual, "Enable Local Auth List"
local_list_user = Table(
    "local_list_user",
    Base.metadata,
    Column("charge_point_id", BigInteger, ForeignKey("charge_point.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True, index=True),
)


#: numbers of charging profiles: a station replaces the profile whose number it has already
charging_profile_id = Sequence("charging_profile_id", metadata=Base.metadata, data_type=Integer, cycle=True)


class LocalListStatus(LabelledEnum):
    """Whether a station's list is the one it should have."""

    UNKNOWN = "unknown", "Not sent yet"
    SENDING = "sending", "Sending"
    IN_STEP = "in_step", "In step"
    FAILED = "failed", "Failed"
    NOT_SUPPORTED = "not_supported", "Not supported by the station"


class LocalList(Base):
    """The list a station has: ``entries`` as it confirmed them, keyed by tag; ``version`` as it confirmed it."""

    __tablename__ = "local_list"
    __table_args__ = (of_charge_point("local_list"),)

    charge_point_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    entries: Mapped[dict[str, Any]] = mapped_column(JSONB(none_as_null=True), server_default=text("'{}'::jsonb"))
    #: what is under way: the next version and its entries
    sending: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[LocalListStatus] = mapped_column(
        enum_type(LocalListStatus, "local_list_status"), server_default="unknown"
    )
    detail: Mapped[Text255 | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]


class CompositeSchedule(Base):
    """A station's answer to "Get Composite Schedule". ``periods``: start_s, limit and phases each."""

    __tablename__ = "composite_schedule"
    __table_args__ = (
        of_charge_point("composite_schedule"),
        Index("ix_composite_schedule_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(ForeignKey("evse.id", ondelete="CASCADE"), index=True)
    network_id: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    starts_at: Mapped[datetime]
    duration_s: Mapped[int] = mapped_column(Integer)
    unit: Mapped[str] = mapped_column(String(1))
    periods: Mapped[list[Any]] = mapped_column(JSONB(none_as_null=True))
    min_rate: Mapped[Decimal | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))
