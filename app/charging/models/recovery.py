"""Faults, outages and what was done about them. Manual, "Enable Auto-Recovery"."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models import ChargePoint, Evse
from app.charging.models.ownership import at_charge_point
from app.core.db import Base
from app.core.models import Action
from app.core.types import BigId, LabelledEnum, Text255, enum_type


class RecoveryStatus(LabelledEnum):
    """How auto-recovery of a fault stands. All but the first are final."""

    RUNNING = "running", "Running"
    RECOVERED = "recovered", "Recovered"
    GIVEN_UP = "given_up", "Given up"
    CANCELLED = "cancelled", "Cancelled"


class Recovery(Base):
    """The attempts to clear one fault of a station or EVSE. Manual, "Enable Auto-Recovery"."""

    __tablename__ = "recovery"
    __table_args__ = (
        at_charge_point("recovery"),
        Index(
            "uq_recovery_running",
            "charge_point_id",
            "network_id",
            unique=True,
            postgresql_where=text("status = 'running'"),
        ),
        Index("ix_recovery_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(ForeignKey("evse.id", ondelete="SET NULL"))
    network_id: Mapped[int] = mapped_column(Integer)
    error_code: Mapped[str | None] = mapped_column(String(80))
    error_info: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[RecoveryStatus] = mapped_column(
        enum_type(RecoveryStatus, "recovery_status"), server_default="running"
    )
    #: the next step of the ladder, from 0, and when it is due
    next_step: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    mailed_at: Mapped[datetime | None]
    outcome: Mapped[Text255 | None]

    attempts: Mapped[list[RecoveryAttempt]] = relationship(order_by="RecoveryAttempt.id", back_populates="recovery")
    charge_point: Mapped[ChargePoint] = relationship(viewonly=True)
    evse: Mapped[Evse | None] = relationship()

    def __str__(self) -> str:
        return f"Recovery {self.id}"


class RecoveryAttempt(Base):
    """One step of the ladder: a command, or why it was left out."""

    __tablename__ = "recovery_attempt"

    id: Mapped[BigId]
    recovery_id: Mapped[int] = mapped_column(ForeignKey("recovery.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    step: Mapped[str] = mapped_column(String(40))
    note: Mapped[Text255 | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    recovery: Mapped[Recovery] = relationship(back_populates="attempts")
    action: Mapped[Action | None] = relationship()


class Outage(Base):
    """A time in which a station was not connected, from its last sign of life. At most one is open for each."""

    __tablename__ = "outage"
    __table_args__ = (
        at_charge_point("outage"),
        Index("uq_outage_open", "charge_point_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_outage_charge_point_id_id", "charge_point_id", "id"),
        Index(
            "ix_outage_unanswered",
            "mail_key",
            postgresql_where=text("mailed_at IS NOT NULL AND back_mailed_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    #: when it was seen to be long-term; it is mailed a minute later, to tell one station from all of them
    noticed_at: Mapped[datetime]
    #: key of the mail that told of it, alone (``outage:17``) or with others (``outages:17``)
    mail_key: Mapped[str | None] = mapped_column(String(120))
    mailed_at: Mapped[datetime | None]
    back_mailed_at: Mapped[datetime | None]

    charge_point: Mapped[ChargePoint] = relationship(viewonly=True)

    def __str__(self) -> str:
        return f"Outage {self.id}"
