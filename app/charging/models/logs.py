"""The stations' logs: messages, connection, hardware; and stations nobody knows. All partitioned by month."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.assets.models import ConnectionStatus, ReportedStatus
from app.charging.models.ownership import at_charge_point
from app.core.db import Base
from app.core.types import BigId, JsonDict, LabelledEnum, Text255, enum_type

BY_MONTH = {"postgresql_partition_by": "RANGE (at)"}


class Direction(LabelledEnum):
    """Who sent a message."""

    FROM_STATION = "in", "From station"
    TO_STATION = "out", "To station"


class FrameKind(LabelledEnum):
    """Request, answer or error."""

    REQUEST = "request", "Request"
    ANSWER = "answer", "Answer"
    ERROR = "error", "Error"


class CommunicationLog(Base):
    """Every message exchanged with a station, as it was on the wire."""

    __tablename__ = "communication_log"
    __table_args__ = (
        at_charge_point("communication_log"),
        Index("ix_communication_log_charge_point_id_at", "charge_point_id", "at"),
        BY_MONTH,
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    direction: Mapped[Direction] = mapped_column(enum_type(Direction, "direction"))
    kind: Mapped[FrameKind] = mapped_column(enum_type(FrameKind, "frame_kind"))
    message_id: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(60))
    payload: Mapped[str] = mapped_column(Text)


class NetworkStatusLog(Base):
    """Changes of a charge point's connection. Manual, "Network Status Logs"."""

    __tablename__ = "network_status_log"
    __table_args__ = (
        at_charge_point("network_status_log"),
        Index("ix_network_status_log_charge_point_id_at", "charge_point_id", "at"),
        BY_MONTH,
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[ConnectionStatus] = mapped_column(enum_type(ConnectionStatus, "network_log_status"))
    detail: Mapped[str | None] = mapped_column(String(255))


class HardwareStatusLog(Base):
    """What a station reported of itself or an EVSE. Manual, "Hardware Status Logs"."""

    __tablename__ = "hardware_status_log"
    __table_args__ = (
        at_charge_point("hardware_status_log"),
        Index("ix_hardware_status_log_charge_point_id_at", "charge_point_id", "at"),
        BY_MONTH,
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(BigInteger)
    network_id: Mapped[int] = mapped_column(Integer)
    status: Mapped[ReportedStatus] = mapped_column(enum_type(ReportedStatus, "hardware_log_status"))
    error_code: Mapped[str | None] = mapped_column(String(80))
    info: Mapped[str | None] = mapped_column(String(255))
    vendor_error_code: Mapped[str | None] = mapped_column(String(80))
    reported_at: Mapped[datetime | None]


class UnknownStation(Base):
    """A station that tried to connect and was refused: who, why, how often."""

    __tablename__ = "unknown_station"

    identifier: Mapped[str] = mapped_column(String(255), primary_key=True)
    reason: Mapped[str] = mapped_column(String(60))
    protocols: Mapped[str] = mapped_column(String(255), server_default="")
    remote_address: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime] = mapped_column(index=True)

    def __str__(self) -> str:
        return self.identifier


class StrayMessage(Base):
    """A message of a station that fits no session, e.g. a stop of one nobody knows. Flagged, never lost."""

    __tablename__ = "stray_message"
    __table_args__ = (
        at_charge_point("stray_message"),
        Index("ix_stray_message_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    at: Mapped[datetime] = mapped_column(index=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[str] = mapped_column(String(60))
    payload: Mapped[JsonDict]
    note: Mapped[Text255]
