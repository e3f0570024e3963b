"""Charge points, their EVSEs and connectors. Manual, "Charge Points" and "Adding a Charge Point".

The operator's intent (``status``) lives here; what a station reports and what its socket says live
in ``state.py``, so that neither ever overwrites the other.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models.catalogue import ChargePointNotice
from app.assets.models.sites import ChargingZone
from app.assets.models.state import ChargePointState, EvseState
from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text120, Text255, enum_type
from app.partners.models import Partner


class SystemStatus(LabelledEnum):
    """The operator's intent for a charge point."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"
    DEMO = "demo", "Demo"
    OUT_OF_ORDER = "out_of_order", "Out of order"


class EvseStatus(LabelledEnum):
    """The operator's intent for an EVSE or a connector."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"
    OUT_OF_ORDER = "out_of_order", "Out of order"


class AccessType(LabelledEnum):
    """Who sees a charge point."""

    PUBLIC = "public", "Public"
    PRIVATE = "private", "Private"


class NetworkType(LabelledEnum):
    """How a charge point reaches the Internet; for reference only."""

    MOBILE_2G_3G = "2g_3g", "2G/3G"
    MOBILE_4G = "4g", "4G"
    MOBILE_5G = "5g", "5G"
    ETHERNET = "ethernet", "Ethernet"
    WIFI = "wifi", "Wi-Fi"


class NetworkProtocol(LabelledEnum):
    """The OCPP version a charge point is expected to speak."""

    OCPP16 = "ocpp1.6", "OCPP 1.6J"
    OCPP201 = "ocpp2.0.1", "OCPP 2.0.1"


class SecurityProfile(LabelledEnum):
    """What a charge point has to bring to be let in (OCPP 1.6 security whitepaper, chapter 2)."""

    ANY = "0", "0: password if one is set"
    BASIC = "1", "1: password"
    TLS_BASIC = "2", "2: TLS and password"
    TLS_CERTIFICATE = "3", "3: TLS and client certificate"


class EvseType(LabelledEnum):
    """Kind of current."""

    AC = "AC", "AC"
    DC = "DC", "DC"


class ConnectorType(LabelledEnum):
    """Plug types; values as in the provisioning file."""

    TYPE_1 = "Type 1", "Type 1"
    TYPE_2 = "Type 2", "Type 2"
    TYPE_3 = "Type 3", "Type 3"
    CCS1 = "CCS1", "CCS1"
    CCS2 = "CCS2", "CCS2"
    CHADEMO = "CHAdeMO", "CHAdeMO"
    GBT_AC = "GB/T AC", "GB/T AC"
    GBT_DC = "GB/T DC", "GB/T DC"
    NACS = "NACS", "NACS"
    SCHUKO = "Schuko", "Schuko"
    UK_3_PIN = "UK 3-pin", "UK 3-pin"
    CEE_BLUE = "CEE blue", "CEE blue"
    CEE_RED = "CEE red", "CEE red"


class ConnectorFormat(LabelledEnum):
    """Whether the driver brings the cable."""

    SOCKET = "socket", "Socket"
    CABLE = "cable", "Cable"


class PhaseRotation(LabelledEnum):
    """Letter k is the grid phase that feeds terminal k. Manual, "Dynamic Load Management"."""

    RST = "RST", "RST"
    RTS = "RTS", "RTS"
    SRT = "SRT", "SRT"
    STR = "STR", "STR"
    TRS = "TRS", "TRS"
    TSR = "TSR", "TSR"


class ChargePoint(Base):
    """The physical device. ``identifier`` is its Charge Point ID in the OCPP URL, unique regardless of case."""

    __tablename__ = "charge_point"
    __table_args__ = (
        UniqueConstraint("id", "partner_id", name="uq_charge_point_id_partner_id"),
        Index("uq_charge_point_identifier_lower", func.lower(text("identifier")), unique=True),
        CheckConstraint("identifier <> '' AND identifier !~ '[/[:cntrl:]]'", name="identifier_form"),
        CheckConstraint("phases IN (1, 3)", name="phases_range"),
        CheckConstraint("connected_phase BETWEEN 1 AND 3", name="connected_phase_range"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"), server_default=text("1"), index=True)
    zone_id: Mapped[int] = mapped_column(ForeignKey("charging_zone.id"), index=True)
    name: Mapped[Text255] = mapped_column(index=True)
    manufacture_date: Mapped[date | None] = mapped_column(Date)
    integration_date: Mapped[date | None] = mapped_column(Date)
    network_type: Mapped[NetworkType | None] = mapped_column(enum_type(NetworkType, "network_type"))
    access_type: Mapped[AccessType] = mapped_column(enum_type(AccessType, "access_type"), server_default="public")
    show_to_public_with_notice: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("charge_point_notice.id"), index=True)
    status: Mapped[SystemStatus] = mapped_column(
        enum_type(SystemStatus, "system_status"), server_default="active", index=True
    )
    managed_by_operator: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    protocol: Mapped[NetworkProtocol] = mapped_column(
        enum_type(NetworkProtocol, "network_protocol"), server_default="ocpp1.6"
    )
    identifier: Mapped[Text255]
    password_hash: Mapped[str | None] = mapped_column(String(200))
    #: a new password on its way to the station: both are accepted until it has come with this one
    next_password_hash: Mapped[str | None] = mapped_column(String(200))
    #: when the station first came with a password that was changed from the screen
    password_changed_at: Mapped[datetime | None]
    security_profile: Mapped[SecurityProfile] = mapped_column(
        enum_type(SecurityProfile, "security_profile"), server_default="0"
    )
    plug_and_charge: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    local_auth_list: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    auto_recovery: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    load_management: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    max_current_a: Mapped[Decimal | None] = mapped_column(Numeric(7, 1))
    phases: Mapped[int | None] = mapped_column(SmallInteger)
    input_voltage_v: Mapped[int | None] = mapped_column(SmallInteger)
    connected_phase: Mapped[int | None] = mapped_column(SmallInteger)
    phase_rotation: Mapped[PhaseRotation | None] = mapped_column(enum_type(PhaseRotation, "cp_phase_rotation"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    partner: Mapped[Partner] = relationship()
    zone: Mapped[ChargingZone] = relationship()
    notice: Mapped[ChargePointNotice | None] = relationship()
    evses: Mapped[list[Evse]] = relationship(
        back_populates="charge_point",
        order_by="Evse.network_id",
        cascade="all, delete-orphan",
        passive_deletes=True,
        passive_updates=True,
    )
    state: Mapped[ChargePointState] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class Tag(Base):
    """A mark put on EVSEs for reports and filters."""

    __tablename__ = "tag"

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)

    def __str__(self) -> str:
        return self.name


evse_tag = Table(
    "evse_tag",
    Base.metadata,
    Column("evse_id", BigInteger, ForeignKey("evse.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", BigInteger, ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Evse(Base):
    """A place where one car charges. ``code`` is the EVSE ID on the QR sticker, ``network_id`` the number
    the station knows it by."""

    __tablename__ = "evse"
    __table_args__ = (
        UniqueConstraint("id", "partner_id", name="uq_evse_id_partner_id"),
        UniqueConstraint("charge_point_id", "network_id", name="uq_evse_charge_point_id_network_id", deferrable=True),
        Index("uq_evse_code_upper", func.upper(text("code")), unique=True),
        ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_evse_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        CheckConstraint("network_id > 0", name="network_id_positive"),
        CheckConstraint("max_power_w > 0", name="max_power_positive"),
        CheckConstraint("code ~ '^[A-Za-z0-9*_-]+$'", name="code_form"),
        CheckConstraint("reservation_minutes >= 0", name="reservation_minutes_range"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger, index=True)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    network_id: Mapped[int] = mapped_column(Integer)
    code: Mapped[str] = mapped_column(String(40))
    type: Mapped[EvseType] = mapped_column(enum_type(EvseType, "evse_type"))
    max_power_w: Mapped[int | None] = mapped_column(Integer)
    tariff_group_id: Mapped[int | None] = mapped_column(ForeignKey("tariff_group.id"), index=True)
    reservation_minutes: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[EvseStatus] = mapped_column(enum_type(EvseStatus, "evse_status"), server_default="active")
    max_current_a: Mapped[Decimal | None] = mapped_column(Numeric(7, 1))
    phases: Mapped[int | None] = mapped_column(SmallInteger)
    connected_phase: Mapped[int | None] = mapped_column(SmallInteger)
    phase_rotation: Mapped[PhaseRotation | None] = mapped_column(enum_type(PhaseRotation, "evse_phase_rotation"))

    charge_point: Mapped[ChargePoint] = relationship(back_populates="evses")
    connectors: Mapped[list[Connector]] = relationship(
        back_populates="evse", order_by="Connector.id", cascade="all, delete-orphan", passive_deletes=True
    )
    tags: Mapped[list[Tag]] = relationship(secondary=evse_tag, order_by="Tag.name")
    state: Mapped[EvseState] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    def __str__(self) -> str:
        return self.code


class Connector(Base):
    """A plug or socket of an EVSE; only one of an EVSE's connectors is in use at a time."""

    __tablename__ = "connector"
    __table_args__ = (
        ForeignKeyConstraint(
            ["evse_id", "partner_id"],
            ["evse.id", "evse.partner_id"],
            name="fk_connector_evse",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        Index("ix_connector_evse_id", "evse_id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[ConnectorType] = mapped_column(enum_type(ConnectorType, "connector_type"))
    format: Mapped[ConnectorFormat] = mapped_column(
        enum_type(ConnectorFormat, "connector_format"), server_default="socket"
    )
    status: Mapped[EvseStatus] = mapped_column(enum_type(EvseStatus, "connector_status"), server_default="active")

    evse: Mapped[Evse] = relationship(back_populates="connectors")

    def __str__(self) -> str:
        return self.type.label
