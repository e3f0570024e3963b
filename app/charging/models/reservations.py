"""Reservations of EVSEs. Manual, "Reserving an EVSE" and Settings, "Reservations"."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models import ChargePoint, Evse
from app.charging.models.sessions import ChargingSession
from app.core.db import Base
from app.core.models import Action
from app.core.types import BigId, LabelledEnum, Text255, enum_type
from app.crm.models import User


class ReservationStatus(LabelledEnum):
    """The life of a reservation; all but the first two are final."""

    PENDING = "pending", "Pending"
    ACTIVE = "active", "Active"
    USED = "used", "Used"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    ENDED = "ended", "Ended by fault"
    REFUSED = "refused", "Refused"


OPEN_RESERVATION_SQL = "status IN ('pending', 'active')"


class Reservation(Base):
    """An EVSE kept for one user until ``expires_at``. Its id is also the number the station is given for it."""

    __tablename__ = "reservation"
    __table_args__ = (
        ForeignKeyConstraint(["evse_id"], ["evse.id"], name="fk_reservation_evse"),
        CheckConstraint("expires_at > created_at", name="expires_after_creation"),
        Index("uq_reservation_open_evse", "evse_id", unique=True, postgresql_where=text(OPEN_RESERVATION_SQL)),
        Index("ix_reservation_open_expires_at", "expires_at", postgresql_where=text(OPEN_RESERVATION_SQL)),
        Index("ix_reservation_charge_point_id_id", "charge_point_id", "id"),
        Index("ix_reservation_user_id_created_at", "user_id", "created_at"),
        Index("ix_reservation_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    id_tag: Mapped[str] = mapped_column(String(64))
    status: Mapped[ReservationStatus] = mapped_column(
        enum_type(ReservationStatus, "reservation_status"), server_default="pending"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[Text255 | None]
    session_id: Mapped[int | None] = mapped_column(ForeignKey("charging_session.id", ondelete="SET NULL"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))
    reminded_at: Mapped[datetime | None]

    evse: Mapped[Evse] = relationship(viewonly=True)
    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(Reservation.charge_point_id) == ChargePoint.id"
    )
    user: Mapped[User] = relationship()
    action: Mapped[Action | None] = relationship()
    session: Mapped[ChargingSession | None] = relationship()

    def __str__(self) -> str:
        return f"Reservation #{self.id}"
