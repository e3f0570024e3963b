"""What stations report and what their sockets say: one narrow row each, updated often.

Kept apart from the operator's data, so that a status message never fights an edit form and
PostgreSQL can update these rows in place.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKeyConstraint, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.core.types import LabelledEnum, enum_type


class ConnectionStatus(LabelledEnum):
    """The state of a charge point's connection. Manual, "Charge Point details", Connection."""

    AVAILABLE = "available", "Available"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable", "Temp. unavailable"
    LONG_TERM_UNAVAILABLE = "long_term_unavailable", "Long-term unavailable"
    NEVER_CONNECTED = "never_connected", "Never connected"


class ReportedStatus(LabelledEnum):
    """What a station says of an EVSE or of itself, in words common to all OCPP versions."""

    AVAILABLE = "available", "Available"
    PREPARING = "preparing", "Preparing"
    CHARGING = "charging", "Charging"
    SUSPENDED_EV = "suspended_ev", "Suspended by car"
    SUSPENDED_EVSE = "suspended_evse", "Suspended by station"
    FINISHING = "finishing", "Finishing"
    OCCUPIED = "occupied", "Occupied"
    RESERVED = "reserved", "Reserved"
    UNAVAILABLE = "unavailable", "Unavailable"
    FAULTED = "faulted", "Fault"
    UNKNOWN = "unknown", "Unknown"


class ChargePointState(Base):
    """One per charge point, made with it."""

    __tablename__ = "charge_point_state"
    __table_args__ = (
        ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_charge_point_state_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
    )

    charge_point_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    connection: Mapped[ConnectionStatus] = mapped_column(
        enum_type(ConnectionStatus, "connection_status"), server_default="never_connected", index=True
    )
    connected: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    connection_ref: Mapped[str | None] = mapped_column(String(80))
    connection_changed_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    protocol: Mapped[str | None] = mapped_column(String(20))
    remote_address: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[ReportedStatus] = mapped_column(
        enum_type(ReportedStatus, "cp_reported_status"), server_default="unknown"
    )
    error_code: Mapped[str | None] = mapped_column(String(80))
    error_info: Mapped[str | None] = mapped_column(String(255))
    #: since when it has reported a fault, by our clock; None while it reports none
    faulted_at: Mapped[datetime | None]
    status_at: Mapped[datetime | None]
    status_received_at: Mapped[datetime | None]
    vendor: Mapped[str | None] = mapped_column(String(120))
    model: Mapped[str | None] = mapped_column(String(120))
    serial_number: Mapped[str | None] = mapped_column(String(120))
    firmware_version: Mapped[str | None] = mapped_column(String(120))
    iccid: Mapped[str | None] = mapped_column(String(40))
    imsi: Mapped[str | None] = mapped_column(String(40))
    meter_type: Mapped[str | None] = mapped_column(String(120))
    meter_serial_number: Mapped[str | None] = mapped_column(String(120))
    booted_at: Mapped[datetime | None]
    boot_reason: Mapped[str | None] = mapped_column(Text)
    clock_offset_s: Mapped[int | None] = mapped_column(Integer)
    #: for which boot, and with which defaults, the boot recipe (app.charging.upkeep) was last begun; since when it
    #: runs, if it does; and how many times in a row it came to nothing with these defaults
    tended_boot_at: Mapped[datetime | None]
    defaults_digest: Mapped[str | None] = mapped_column(String(64))
    recipe_begun_at: Mapped[datetime | None] = mapped_column(index=True)
    recipe_tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class EvseState(Base):
    """One per EVSE, made with it."""

    __tablename__ = "evse_state"
    __table_args__ = (
        ForeignKeyConstraint(
            ["evse_id", "partner_id"],
            ["evse.id", "evse.partner_id"],
            name="fk_evse_state_evse",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
    )

    evse_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[ReportedStatus] = mapped_column(
        enum_type(ReportedStatus, "evse_reported_status"), server_default="unknown"
    )
    error_code: Mapped[str | None] = mapped_column(String(80))
    error_info: Mapped[str | None] = mapped_column(String(255))
    #: since when it has reported a fault, by our clock; None while it reports none
    faulted_at: Mapped[datetime | None]
    vendor_error_code: Mapped[str | None] = mapped_column(String(80))
    status_at: Mapped[datetime | None]
    status_received_at: Mapped[datetime | None]
