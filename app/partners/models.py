"""Partners: site hosts and fleets. The operator itself is the house partner (id 1)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.core.types import BigId, Text255


class Partner(Base):
    """Whoever owns charge points. What else a partner has comes with its module."""

    __tablename__ = "partner"
    __table_args__ = (CheckConstraint("is_house = (id = 1)", name="house_is_one"),)

    id: Mapped[BigId]
    name: Mapped[Text255] = mapped_column(unique=True)
    is_house: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name
