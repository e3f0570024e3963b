"""Authorizations, charging sessions and their meter readings. Manual, "Activity"."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models import ChargePoint, Evse
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models.ownership import at_charge_point
from app.core.db import Base
from app.core.types import Amount, BigId, EnergyWh, LabelledEnum, enum_type
from app.crm.models import User

#: a number beyond it, as stations and people may say one, is no session's: the database could not even compare it
LARGEST_ID = 2**63 - 1

RUNNING_SQL = "status IN ('pending', 'active', 'stopping')"


class AuthorizationSource(LabelledEnum):
    """How somebody asked to charge. Manual, "Authorizations"."""

    RFID_TAG = "rfid_tag", "RFID Tag"
    MOBILE_DEVICE = "mobile_device", "Mobile Device"
    PLUG_AND_CHARGE = "plug_and_charge", "Plug-and-charge"
    OPERATOR = "operator", "Operator"


class AuthorizationResult(LabelledEnum):
    """Whether charging was allowed."""

    ACCEPTED = "accepted", "Accepted"
    REJECTED = "rejected", "Rejected"


class Authorization(Base):
    """One request to charge, with its outcome and, when rejected, the first check that failed."""

    __tablename__ = "authorization"
    __table_args__ = (
        ForeignKeyConstraint(["charge_point_id"], ["charge_point.id"], name="fk_authorization_charge_point"),
        CheckConstraint("(result = 'rejected') = (reason IS NOT NULL)", name="reason_when_rejected"),
        Index("ix_authorization_charge_point_id_id", "charge_point_id", "id"),
        Index("ix_authorization_user_id_id", "user_id", "id"),
        Index("ix_authorization_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    source: Mapped[AuthorizationSource] = mapped_column(enum_type(AuthorizationSource, "authorization_source"))
    id_tag: Mapped[str | None] = mapped_column(String(64), index=True)
    result: Mapped[AuthorizationResult] = mapped_column(enum_type(AuthorizationResult, "authorization_result"))
    reason: Mapped[str | None] = mapped_column(String(60))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(ForeignKey("evse.id", ondelete="SET NULL"), index=True)

    charge_point: Mapped[ChargePoint] = relationship(viewonly=True)
    evse: Mapped[Evse | None] = relationship()
    user: Mapped[User | None] = relationship()

    def __str__(self) -> str:
        return f"Authorization #{self.id}"


class ChargingSession(Base):
    """One charge. Its id is also the number the station is given for it."""

    __tablename__ = "charging_session"
    __table_args__ = (
        # its revenue stays with the partner it started under, also when the station changes hands meanwhile
        ForeignKeyConstraint(["evse_id"], ["evse.id"], name="fk_charging_session_evse"),
        UniqueConstraint("id", "partner_id", name="uq_charging_session_id_partner_id"),
        Index(
            "uq_charging_session_start_key",
            "charge_point_id",
            "start_key",
            unique=True,
            postgresql_where=text("start_key IS NOT NULL"),
        ),
        Index("ix_charging_session_running", "evse_id", postgresql_where=text(RUNNING_SQL)),
        Index("ix_charging_session_evse_id_id", "evse_id", "id"),
        Index("ix_charging_session_charge_point_id_id", "charge_point_id", "id"),
        Index("ix_charging_session_user_id_id", "user_id", "id"),
        Index("ix_charging_session_partner_id_id", "partner_id", "id"),
        Index("ix_charging_session_stopped_at", "stopped_at"),
        Index("ix_charging_session_id_tag_id", "id_tag", "id"),
        # what is asked for again and again, newest first, and is rare
        Index("ix_charging_session_failed", "id", postgresql_where=text("status = 'failed'")),
        Index("ix_charging_session_unpaid", "id", postgresql_where=text("payment_status = 'outstanding'")),
        Index("ix_charging_session_flagged", "id", postgresql_where=text("cardinality(flags) > 0")),
        Index("ix_charging_session_corrected", "user_id", postgresql_where=text("price_version > 1")),
        CheckConstraint("total_net + total_vat = total_gross", name="net_plus_vat_is_gross"),
        CheckConstraint("energy_wh >= 0", name="energy_not_negative"),
        CheckConstraint("total_gross >= 0", name="total_not_negative"),
        CheckConstraint("stopped_at >= started_at", name="stop_after_start"),
        CheckConstraint("status <> 'finished' OR stopped_at IS NOT NULL", name="finished_has_stop"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    authorization_id: Mapped[int | None] = mapped_column(ForeignKey("authorization.id"), index=True)
    id_tag: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[AuthorizationSource] = mapped_column(enum_type(AuthorizationSource, "session_source"))
    status: Mapped[SessionStatus] = mapped_column(enum_type(SessionStatus, "session_status"))
    payment_status: Mapped[PaymentStatus] = mapped_column(
        enum_type(PaymentStatus, "payment_status"), server_default="pending"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    #: the station's own times, and when they reached us
    started_at: Mapped[datetime | None] = mapped_column(index=True)
    stopped_at: Mapped[datetime | None]
    start_received_at: Mapped[datetime | None]
    stop_received_at: Mapped[datetime | None]
    stopping_at: Mapped[datetime | None]
    charging_ended_at: Mapped[datetime | None]
    #: same station, same content → the same session (repeated Start after a reconnect)
    start_key: Mapped[str | None] = mapped_column(String(120))
    station_reference: Mapped[str | None] = mapped_column(String(80))
    #: registers in Wh: as reported at start and stop, and the normalised series between
    meter_start_wh: Mapped[EnergyWh | None]
    meter_stop_wh: Mapped[EnergyWh | None]
    last_raw_wh: Mapped[EnergyWh | None]
    register_offset_wh: Mapped[EnergyWh] = mapped_column(server_default=text("0"))
    energy_wh: Mapped[EnergyWh] = mapped_column(server_default=text("0"))
    last_reading_at: Mapped[datetime | None]
    last_activity_at: Mapped[datetime | None]
    power_w: Mapped[Decimal | None] = mapped_column(Numeric(12, 1))
    max_power_w: Mapped[Decimal | None] = mapped_column(Numeric(12, 1))
    soc_percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 1))
    stop_reason: Mapped[str | None] = mapped_column(String(60))
    failure_reason: Mapped[str | None] = mapped_column(String(120))
    flags: Mapped[list[str]] = mapped_column(ARRAY(String(60)), server_default=text("'{}'"))
    #: price: the snapshot it is and always will be priced by, and the result
    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariff.id", ondelete="SET NULL"), index=True)
    tariff_name: Mapped[str | None] = mapped_column(String(255))
    tariff_snapshot: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    tariff_explanation: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    currency: Mapped[str | None] = mapped_column(ForeignKey("currency.code"))
    total_gross: Mapped[Amount | None]
    total_net: Mapped[Amount | None]
    total_vat: Mapped[Amount | None]
    price_lines: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    priced_at: Mapped[datetime | None]
    #: the number of the price it has: 1 unless it was corrected (`price_versions`)
    price_version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    #: who pays: a `PaidFrom` (balance, payment_method, corporate), chosen at the start; None: nobody yet
    paid_from: Mapped[str | None] = mapped_column(String(40))
    payment_method_id: Mapped[int | None] = mapped_column(
        ForeignKey("payment_method.id", ondelete="SET NULL"), index=True
    )
    payer_partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id"), index=True)
    #: when the session is to be stopped, as it was agreed at the start (`app.charging.stop_rules`)
    stop_rules: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    #: the rule that has asked the station to stop, when last, and how often
    stop_rule: Mapped[str | None] = mapped_column(String(60))
    stop_rule_at: Mapped[datetime | None]
    stop_rule_attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    stop_note: Mapped[str | None] = mapped_column(Text)
    #: numbers of the station's events that have arrived, where it numbers them
    event_numbers: Mapped[Any | None] = mapped_column(INT4MULTIRANGE, deferred=True)
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    evse: Mapped[Evse] = relationship(viewonly=True)
    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(ChargingSession.charge_point_id) == ChargePoint.id"
    )
    user: Mapped[User | None] = relationship()
    authorization: Mapped[Authorization | None] = relationship()

    def __str__(self) -> str:
        return f"Session {self.id}"


class MeterReading(Base):
    """One sample set of a station's meter, partitioned by month of arrival.

    ``register_wh`` is the normalised energy since the start of the session, in Wh, that the session is priced by; NULL
    where the reading takes no part in pricing. ``raw_register_wh`` is the register as the station said it, in Wh.
    """

    __tablename__ = "meter_reading"
    __table_args__ = (
        at_charge_point("meter_reading"),
        Index("ix_meter_reading_session_id_measured_at", "session_id", "measured_at"),
        Index("ix_meter_reading_charge_point_id", "charge_point_id", "received_at"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )

    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[int | None] = mapped_column(BigInteger)
    measured_at: Mapped[datetime]
    context: Mapped[str | None] = mapped_column(String(40))
    register_wh: Mapped[EnergyWh | None]
    raw_register_wh: Mapped[EnergyWh | None]
    power_w: Mapped[Decimal | None] = mapped_column(Numeric(12, 1))
    current_l1_a: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    current_l2_a: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    current_l3_a: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    voltage_v: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    soc_percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 1))
    other: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    flags: Mapped[list[str]] = mapped_column(ARRAY(String(60)), server_default=text("'{}'"))
