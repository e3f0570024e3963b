"""Security events and certificates of stations (OCPP 1.6 security whitepaper)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models import ChargePoint
from app.charging.models.ownership import at_charge_point, of_charge_point
from app.core.db import Base
from app.core.types import BigId, LabelledEnum, Text255, enum_type


class SecurityEvent(Base):
    """What a station reported with SecurityEventNotification, as it said it."""

    __tablename__ = "security_event"
    __table_args__ = (
        at_charge_point("security_event"),
        Index("ix_security_event_charge_point_id_id", "charge_point_id", "id"),
    )

    id: Mapped[BigId]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    happened_at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(60))
    info: Mapped[Text255 | None]

    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(SecurityEvent.charge_point_id) == ChargePoint.id"
    )

    def __str__(self) -> str:
        return self.type


class CertificateUse(LabelledEnum):
    """What a certificate is for."""

    CLIENT = "client", "Charge point (client)"
    CENTRAL_SYSTEM_ROOT = "central_system_root", "Central system root"
    MANUFACTURER_ROOT = "manufacturer_root", "Manufacturer root"


class CertificateStatus(LabelledEnum):
    """Where a certificate stands."""

    REQUESTED = "requested", "Requested by the station"
    SENDING = "sending", "Sending"
    INSTALLED = "installed", "Installed"
    REFUSED = "refused", "Refused"
    REMOVED = "removed", "Removed"


class StationCertificate(Base):
    """A certificate that a station asked for, was sent, or says it has. Fingerprint: SHA-256 of the DER, hex."""

    __tablename__ = "station_certificate"
    __table_args__ = (
        of_charge_point("station_certificate"),
        Index("ix_station_certificate_charge_point_id_id", "charge_point_id", "id"),
        Index("ix_station_certificate_fingerprint", "fingerprint"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    use: Mapped[CertificateUse] = mapped_column(enum_type(CertificateUse, "certificate_use"))
    status: Mapped[CertificateStatus] = mapped_column(enum_type(CertificateStatus, "certificate_status"))
    csr: Mapped[str | None] = mapped_column(Text)
    pem: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    subject: Mapped[Text255 | None]
    issuer: Mapped[Text255 | None]
    serial_number: Mapped[str | None] = mapped_column(String(80))
    hash_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime | None]
    detail: Mapped[Text255 | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(StationCertificate.charge_point_id) == ChargePoint.id"
    )

    def __str__(self) -> str:
        return self.subject or f"{self.use.label} #{self.id}"


class CertificateAuthority(Base):
    """Our own authority for stations' client certificates; its key is locked in the vault."""

    __tablename__ = "certificate_authority"

    id: Mapped[BigId]
    pem: Mapped[str] = mapped_column(Text)
    locked_key: Mapped[str] = mapped_column(Text)
    valid_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
