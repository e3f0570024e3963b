"""The device model of a charge point: its variables as it describes them, its monitors, and what those reported.

A variable's present value, and what was asked of it, is a row of ``configuration_key`` under the same name; here is
what the station says *about* it. Stations that only have a flat list of keys have no rows here.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.charging.models.logs import BY_MONTH
from app.charging.models.ownership import at_charge_point, of_charge_point
from app.core.db import Base
from app.core.types import BigId, JsonDict, LabelledEnum, Text255, enum_type


class DeviceVariable(Base):
    """A variable of a component, as its station describes it.

    ``attributes``: actual, target, minimum, maximum → {value, mutability: read_only | write_only | read_write,
    persistent, constant}. Where the component is one of an EVSE, ``network_id`` is the EVSE's.
    """

    __tablename__ = "device_variable"
    __table_args__ = (
        of_charge_point("device_variable"),
        Index("ix_device_variable_component", "charge_point_id", "component", "network_id"),
    )

    charge_point_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    #: as in ``configuration_key``
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    component: Mapped[str] = mapped_column(String(50))
    component_instance: Mapped[str | None] = mapped_column(String(50))
    network_id: Mapped[int | None] = mapped_column(Integer)
    connector_number: Mapped[int | None] = mapped_column(Integer)
    variable: Mapped[str] = mapped_column(String(50))
    variable_instance: Mapped[str | None] = mapped_column(String(50))
    data_type: Mapped[str | None] = mapped_column(String(40))
    unit: Mapped[str | None] = mapped_column(String(16))
    minimum: Mapped[Decimal | None] = mapped_column(Numeric)
    maximum: Mapped[Decimal | None] = mapped_column(Numeric)
    allowed_values: Mapped[str | None] = mapped_column(Text)
    supports_monitoring: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    attributes: Mapped[JsonDict] = mapped_column(server_default=text("'{}'::jsonb"))
    reported_at: Mapped[datetime]


class MonitorKind(LabelledEnum):
    """When a monitor reports."""

    UPPER = "upper", "Above a value"
    LOWER = "lower", "Below a value"
    DELTA = "delta", "Changed by"
    PERIODIC = "periodic", "Every so many seconds"
    PERIODIC_CLOCK = "periodic_clock", "Every so many seconds of the clock"


class MonitorStatus(LabelledEnum):
    """Where a monitor stands: as the station reported it, or what came of ours."""

    REPORTED = "reported", "Set"
    PENDING = "pending", "Pending"
    REJECTED = "rejected", "Rejected"
    UNANSWERED = "unanswered", "Not answered"


class DeviceMonitor(Base):
    """A rule by which a station reports a variable by itself. ``monitor_id`` is the station's number of it."""

    __tablename__ = "device_monitor"
    __table_args__ = (
        of_charge_point("device_monitor"),
        Index("uq_device_monitor_monitor_id", "charge_point_id", "monitor_id", unique=True),
        CheckConstraint("severity BETWEEN 0 AND 9", name="severity_range"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    monitor_id: Mapped[int | None] = mapped_column(Integer)
    key: Mapped[str] = mapped_column(String(255))
    kind: Mapped[MonitorKind] = mapped_column(enum_type(MonitorKind, "monitor_kind"))
    value: Mapped[Decimal] = mapped_column(Numeric)
    #: 0 danger … 9 debugging
    severity: Mapped[int] = mapped_column(SmallInteger)
    in_session_only: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    #: set by us, and not built in
    ours: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    status: Mapped[MonitorStatus] = mapped_column(enum_type(MonitorStatus, "monitor_status"), server_default="pending")
    reported_at: Mapped[datetime | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    def __str__(self) -> str:
        return f"Monitor {self.monitor_id or '—'} of {self.key}"


class DeviceEvent(Base):
    """What a station reported of a variable by itself: an alert, a change, a value from time to time."""

    __tablename__ = "device_event"
    __table_args__ = (
        at_charge_point("device_event"),
        Index("ix_device_event_charge_point_id_at", "charge_point_id", "at"),
        BY_MONTH,
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    reported_at: Mapped[datetime | None]
    event_number: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(255))
    #: alerting, delta, periodic
    trigger: Mapped[str] = mapped_column(String(40))
    value: Mapped[str] = mapped_column(Text)
    cleared: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    severity: Mapped[int | None] = mapped_column(SmallInteger)
    monitor_id: Mapped[int | None] = mapped_column(Integer)
    cause: Mapped[int | None] = mapped_column(BigInteger)
    session_reference: Mapped[str | None] = mapped_column(String(80))
    technical_code: Mapped[Text255 | None]
    technical_info: Mapped[str | None] = mapped_column(Text)
