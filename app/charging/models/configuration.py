"""What stations are configured with, and the deviations of their firmware: the quirk book."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.charging.models.ownership import of_charge_point
from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type


class ConfigurationStatus(LabelledEnum):
    """Where a key stands: as the station reported it, or what came of our change."""

    REPORTED = "reported", "Reported"
    PENDING = "pending", "Pending"
    ACCEPTED = "accepted", "Accepted"
    REBOOT_REQUIRED = "reboot_required", "Reboot required"
    REJECTED = "rejected", "Rejected"
    NOT_SUPPORTED = "not_supported", "Not supported"
    UNANSWERED = "unanswered", "Not answered"


class ConfigurationKey(Base):
    """One configuration key of a station: what it last reported, and what was last asked of it."""

    __tablename__ = "configuration_key"
    __table_args__ = (of_charge_point("configuration_key"),)

    charge_point_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[str | None] = mapped_column(Text)
    readonly: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    reported_at: Mapped[datetime | None]
    wanted_value: Mapped[str | None] = mapped_column(Text)
    status: Mapped[ConfigurationStatus] = mapped_column(
        enum_type(ConfigurationStatus, "configuration_status"), server_default="reported"
    )
    changed_at: Mapped[datetime | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))


class Deviation(Base):
    """A rule by which a message of some firmware had to be put right: the quirk book."""

    __tablename__ = "deviation"
    __table_args__ = (
        UniqueConstraint(
            "vendor", "model", "firmware_version", "protocol", "action", "rule", "path", name="uq_deviation_what"
        ),
    )

    id: Mapped[BigId]
    vendor: Mapped[Text120]
    model: Mapped[Text120]
    firmware_version: Mapped[Text120]
    protocol: Mapped[str] = mapped_column(String(20))
    action: Mapped[str] = mapped_column(String(60))
    rule: Mapped[str] = mapped_column(String(60))
    path: Mapped[Text255]
    example: Mapped[Text255]
    messages: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    last_charge_point_id: Mapped[int | None] = mapped_column(ForeignKey("charge_point.id", ondelete="SET NULL"))

    def __str__(self) -> str:
        return f"{self.vendor} {self.model}: {self.rule}"
