"""Exports that are written beside the screen. product.md, "Lists"."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.files import StoredFile
from app.core.types import BigId, LabelledEnum, Text120, enum_type


class ExportStatus(LabelledEnum):
    """How far an export is."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"


#: what may follow what. An export whose worker died is Running until another one runs it again
TRANSITIONS: dict[ExportStatus, frozenset[ExportStatus]] = {
    ExportStatus.WAITING: frozenset({ExportStatus.RUNNING, ExportStatus.CANCELLED, ExportStatus.FAILED}),
    ExportStatus.RUNNING: frozenset(
        {ExportStatus.RUNNING, ExportStatus.FINISHED, ExportStatus.FAILED, ExportStatus.CANCELLED}
    ),
    ExportStatus.FINISHED: frozenset({ExportStatus.EXPIRED}),
    ExportStatus.FAILED: frozenset(),
    ExportStatus.CANCELLED: frozenset(),
    ExportStatus.EXPIRED: frozenset(),
}
UNFINISHED = (ExportStatus.WAITING, ExportStatus.RUNNING)


class ExportJob(Base):
    """An export that an admin asked for: of which list, narrowed how, how far it is, and its file until it expires.

    ``request`` is what the list's page was asked for; the rows are looked for when it runs, with what the admin may
    see then. ``attempts`` counts the workers that began it: only the latest may write.
    """

    __tablename__ = "export_job"
    __table_args__ = (
        CheckConstraint("(status = 'finished') = (file_id IS NOT NULL)", name="file_when_finished"),
        CheckConstraint("status NOT IN ('finished', 'expired') OR expires_at IS NOT NULL", name="finished_expires"),
        CheckConstraint("rows_done >= 0 AND attempts >= 0", name="counts_not_negative"),
        Index("ix_export_job_unfinished", "id", postgresql_where=text("status IN ('waiting', 'running')")),
        Index("ix_export_job_admin_id_id", "admin_id", "id"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"), server_default=text("1"), index=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"))
    #: the page's endpoint, and its name as the admin knows it
    page: Mapped[str] = mapped_column(String(60))
    title: Mapped[Text120]
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    narrowed: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    columns: Mapped[list[str]] = mapped_column(ARRAY(String(120)), server_default=text("'{}'"))
    bom: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    status: Mapped[ExportStatus] = mapped_column(enum_type(ExportStatus, "export_status"), server_default="waiting")
    rows_done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    #: as the database estimates it; None before it runs
    rows_total: Mapped[int | None] = mapped_column(BigInteger)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"), index=True)
    error: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    file: Mapped[StoredFile | None] = relationship(lazy="joined")

    @property
    def percent(self) -> int | None:
        """How far it is; None where that is not known. 100 only when it is over."""
        if self.status is ExportStatus.FINISHED:
            return 100
        return min(99, self.rows_done * 100 // self.rows_total) if self.rows_total else None

    def __str__(self) -> str:
        return f"Export {self.id}"
