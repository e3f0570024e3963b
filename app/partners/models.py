"""Partners: site hosts and fleets. The operator itself is the house partner (id 1)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Integer, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.core.types import BigId, Text255


class Partner(Base):
    """Whoever owns charge points: its name, its company and how to reach it. Manual, "Create Partner"."""

    __tablename__ = "partner"
    __table_args__ = (
        CheckConstraint("is_house = (id = 1)", name="house_is_one"),
        CheckConstraint("contact_email LIKE '%_@_%'", name="contact_email_form"),
        CheckConstraint("length(address) <= 400", name="address_length"),
    )

    id: Mapped[BigId]
    name: Mapped[Text255] = mapped_column(unique=True)
    is_house: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    company_name: Mapped[Text255 | None]
    address: Mapped[str | None] = mapped_column(Text)
    registration_no: Mapped[str | None] = mapped_column(String(60))
    vat_no: Mapped[str | None] = mapped_column(String(60))
    contact_email: Mapped[Text255 | None]
    contact_phone: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name
