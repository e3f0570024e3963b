"""Files to and from stations: tickets, diagnostics, firmware. Manual, "Update Firmware" and "Get Diagnostics"."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models import ChargePoint, FirmwareFile
from app.charging.models.ownership import at_charge_point, of_charge_point
from app.core.db import Base
from app.core.files import StoredFile
from app.core.models import Action
from app.core.types import BigId, LabelledEnum, Text255, enum_type


class FileTicket(Base):
    """A one-time address for a station: a file to fetch, or a place to upload one. The token is stored hashed."""

    __tablename__ = "file_ticket"
    __table_args__ = (of_charge_point("file_ticket"),)

    id: Mapped[BigId]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    charge_point_id: Mapped[int] = mapped_column(BigInteger, index=True)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"))
    firmware_update_id: Mapped[int | None] = mapped_column(
        ForeignKey("firmware_update.id", ondelete="CASCADE"), index=True
    )
    diagnostics_id: Mapped[int | None] = mapped_column(
        ForeignKey("diagnostics_request.id", ondelete="CASCADE"), index=True
    )
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    first_used_at: Mapped[datetime | None]
    used_up_at: Mapped[datetime | None]


class DiagnosticsKind(LabelledEnum):
    """What was asked for."""

    DIAGNOSTICS = "diagnostics", "Diagnostics"
    DIAGNOSTICS_LOG = "diagnostics_log", "Diagnostics log"
    SECURITY_LOG = "security_log", "Security log"


class TransferStatus(LabelledEnum):
    """How far an upload of a station is."""

    REQUESTED = "requested", "Requested"
    UPLOADING = "uploading", "Uploading"
    UPLOADED = "uploaded", "Uploaded"
    NOTHING = "nothing", "Nothing to upload"
    FAILED = "failed", "Failed"


class DiagnosticsRequest(Base):
    """A report asked of a station, and the file that came. The id is its number."""

    __tablename__ = "diagnostics_request"
    __table_args__ = (
        at_charge_point("diagnostics_request"),
        Index("ix_diagnostics_request_charge_point_id_id", "charge_point_id", "id"),
        Index(
            "ix_diagnostics_request_awaited",
            "charge_point_id",
            postgresql_where=text("status NOT IN ('nothing', 'failed') AND received_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[DiagnosticsKind] = mapped_column(enum_type(DiagnosticsKind, "diagnostics_kind"))
    status: Mapped[TransferStatus] = mapped_column(
        enum_type(TransferStatus, "transfer_status"), server_default="requested"
    )
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime | None]
    logs_from: Mapped[datetime | None]
    logs_to: Mapped[datetime | None]
    announced_name: Mapped[Text255 | None]
    detail: Mapped[Text255 | None]
    #: when the file was here whole; it may have been deleted since
    received_at: Mapped[datetime | None]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id", ondelete="SET NULL"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    file: Mapped[StoredFile | None] = relationship()
    action: Mapped[Action | None] = relationship()
    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(DiagnosticsRequest.charge_point_id) == ChargePoint.id"
    )

    def __str__(self) -> str:
        return f"{self.kind.label} #{self.id}"


class FirmwareStatus(LabelledEnum):
    """How far a firmware update is, in words common to plain and signed updates."""

    REQUESTED = "requested", "Requested"
    SCHEDULED = "scheduled", "Scheduled"
    DOWNLOADING = "downloading", "Downloading"
    DOWNLOADED = "downloaded", "Downloaded"
    INSTALLING = "installing", "Installing"
    REBOOTING = "rebooting", "Rebooting"
    INSTALLED = "installed", "Installed"
    FAILED = "failed", "Failed"
    REFUSED = "refused", "Refused"


class FirmwareUpdate(Base):
    """A firmware update of one station. The id is the request's number for signed updates."""

    __tablename__ = "firmware_update"
    __table_args__ = (
        at_charge_point("firmware_update"),
        Index("ix_firmware_update_charge_point_id_id", "charge_point_id", "id"),
        Index(
            "ix_firmware_update_unsettled",
            "charge_point_id",
            postgresql_where=text("status NOT IN ('failed', 'refused') AND version_after IS NULL"),
        ),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    charge_point_id: Mapped[int] = mapped_column(BigInteger)
    firmware_file_id: Mapped[int | None] = mapped_column(ForeignKey("firmware_file.id", ondelete="SET NULL"))
    location: Mapped[str] = mapped_column(Text)
    signed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    retrieve_at: Mapped[datetime]
    install_at: Mapped[datetime | None]
    status: Mapped[FirmwareStatus] = mapped_column(
        enum_type(FirmwareStatus, "firmware_status"), server_default="requested"
    )
    reported: Mapped[str | None] = mapped_column(String(60))
    history: Mapped[list[Any]] = mapped_column(JSONB(none_as_null=True), server_default=text("'[]'::jsonb"))
    version_before: Mapped[str | None] = mapped_column(String(120))
    version_after: Mapped[str | None] = mapped_column(String(120))
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id", ondelete="SET NULL"))

    firmware_file: Mapped[FirmwareFile | None] = relationship()
    action: Mapped[Action | None] = relationship()
    charge_point: Mapped[ChargePoint] = relationship(
        viewonly=True, primaryjoin="foreign(FirmwareUpdate.charge_point_id) == ChargePoint.id"
    )

    def __str__(self) -> str:
        return f"Firmware update #{self.id}"
