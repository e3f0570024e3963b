"""What a charge point shows, what limits it says it has, and what it told about a customer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, Numeric, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.charging.models.ownership import at_charge_point, of_charge_point
from app.core.db import Base
from app.core.types import BigId, JsonDict, LabelledEnum, enum_type


class DisplayStatus(LabelledEnum):
    """Where a message for a display stands."""

    PENDING = "pending", "Pending"
    SHOWN = "shown", "Set"
    REJECTED = "rejected", "Rejected"
    UNANSWERED = "unanswered", "Not answered"
    CLEARED = "cleared", "Cleared"


class DisplayMessage(Base):
    """A message on a charge point's display. ``number`` is how both sides call it."""

    __tablename__ = "display_message"
    __table_args__ = (
        of_charge_point("display_message"),
        Index("uq_display_message_number", "charge_point_id", "number", unique=True),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    #: always_front, in_front, normal_cycle
    priority: Mapped[str] = mapped_column(String(40))
    #: charging, faulted, idle, unavailable; None: always
    state: Mapped[str | None] = mapped_column(String(40))
    text_format: Mapped[str] = mapped_column(String(20), server_default="plain")
    language: Mapped[str | None] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    session_id: Mapped[int | None] = mapped_column(ForeignKey("charging_session.id", ondelete="SET NULL"))
    status: Mapped[DisplayStatus] = mapped_column(enum_type(DisplayStatus, "display_status"), server_default="pending")
    #: set by us, and not found on the station
    ours: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    reported_at: Mapped[datetime | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    def __str__(self) -> str:
        return f"Display message {self.number}"


class ChargingLimit(Base):
    """A limit that a charge point has from elsewhere than from us: an energy manager, the grid's operator, a fuse.

    ``network_id`` 0 is the charge point itself. ``cleared_at``: it holds no more.
    """

    __tablename__ = "charging_limit"
    __table_args__ = (
        at_charge_point("charging_limit"),
        Index("ix_charging_limit_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    network_id: Mapped[int] = mapped_column(Integer)
    #: ems, other, system_operator, operator
    source: Mapped[str] = mapped_column(String(40))
    grid_critical: Mapped[bool | None] = mapped_column(Boolean)
    #: [{starts_at, duration_s, unit, min_rate, periods: [{start_s, limit, phases}]}]
    schedules: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))
    heard_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]


class StationProfile(Base):
    """A charging profile that a charge point says it has, whoever gave it. Replaced by its next whole report."""

    __tablename__ = "station_profile"
    __table_args__ = (
        of_charge_point("station_profile"),
        Index("ix_station_profile_charge_point_id", "charge_point_id", "network_id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    network_id: Mapped[int] = mapped_column(Integer)
    profile_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(String(40))
    stack_level: Mapped[int] = mapped_column(Integer)
    #: station, default, session, external
    purpose: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    session_reference: Mapped[str | None] = mapped_column(String(80))
    schedules: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))
    request_number: Mapped[int | None] = mapped_column(BigInteger)
    reported_at: Mapped[datetime]


class ChargingNeeds(Base):
    """What a car said it needs before it charges; energy in Wh, power in W, current in A, voltage in V."""

    __tablename__ = "charging_needs"
    __table_args__ = (
        at_charge_point("charging_needs"),
        Index("ix_charging_needs_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    network_id: Mapped[int] = mapped_column(Integer)
    session_id: Mapped[int | None] = mapped_column(ForeignKey("charging_session.id", ondelete="SET NULL"))
    heard_at: Mapped[datetime]
    energy_transfer: Mapped[str] = mapped_column(String(40))
    departs_at: Mapped[datetime | None]
    energy_wh: Mapped[Decimal | None] = mapped_column(Numeric(14, 3))
    max_power_w: Mapped[Decimal | None] = mapped_column(Numeric(12, 1))
    max_current_a: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    max_voltage_v: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    soc_percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 1))
    needs: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))


class CustomerInformation(Base):
    """What a charge point was asked about a customer, and what it told; ``cleared``: it was asked to forget."""

    __tablename__ = "customer_information"
    __table_args__ = (
        at_charge_point("customer_information"),
        Index("ix_customer_information_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    asked_at: Mapped[datetime]
    id_tag: Mapped[str | None] = mapped_column(String(64))
    customer: Mapped[str | None] = mapped_column(String(80))
    report: Mapped[bool] = mapped_column(Boolean)
    clear: Mapped[bool] = mapped_column(Boolean)
    content: Mapped[str] = mapped_column(Text, server_default="")
    complete: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    answered_at: Mapped[datetime | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))
