"""What charge points and locations are made from: templates, notices, pictures, firmware, and models of stations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.files import StoredFile
from app.core.types import BigId, I18nText, JsonDict, Text120, Text255


class ChargePointTemplate(Base):
    """What a new charge point's form is filled with. Manual, "CP Templates". ``content`` is checked when it is used."""

    __tablename__ = "charge_point_template"

    id: Mapped[BigId]
    name: Mapped[Text255] = mapped_column(unique=True)
    content: Mapped[JsonDict]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class ChargePointNotice(Base):
    """A text drivers see at a private or unmanaged charge point. Manual, "Access Type" and "Managed By Operator"."""

    __tablename__ = "charge_point_notice"

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)
    message: Mapped[I18nText]
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class LocationImage(Base):
    """A picture of the predefined set. Replacing it shows at all its locations. Manual, "Location Images"."""

    __tablename__ = "location_image"

    id: Mapped[BigId]
    name: Mapped[Text120] = mapped_column(unique=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    file: Mapped[StoredFile] = relationship()

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class LocationPhoto(Base):
    """A picture uploaded for one location. Manual, "Adding a Location", Images."""

    __tablename__ = "location_photo"

    id: Mapped[BigId]
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"), index=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    position: Mapped[int] = mapped_column(Integer, server_default=text("0"))

    file: Mapped[StoredFile] = relationship()


class FirmwareFile(Base):
    """Firmware uploaded to us, to be served to stations. ``vendor`` and ``model`` narrow what it is offered for.

    ``signing_certificate`` (PEM) and ``signature`` (base64) make it usable for a signed update.
    """

    __tablename__ = "firmware_file"

    id: Mapped[BigId]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    name: Mapped[Text120] = mapped_column(unique=True)
    firmware_version: Mapped[Text120]
    vendor: Mapped[str | None] = mapped_column(String(120))
    model: Mapped[str | None] = mapped_column(String(120))
    notes: Mapped[str | None] = mapped_column(Text)
    signing_certificate: Mapped[str | None] = mapped_column(Text)
    signature: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    #: its bytes are nobody else's: they go with it
    file: Mapped[StoredFile] = relationship(cascade="all, delete-orphan", single_parent=True)

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return f"{self.name} ({self.firmware_version})"


class StationModel(Base):
    """A vendor's model, made when its first station boots. The boot recipe can be switched off for it.

    Some firmware hangs on configuration that is sent right after boot (stations.md, line 20).
    """

    __tablename__ = "station_model"
    __table_args__ = (
        Index("uq_station_model_vendor_model", func.lower(text("vendor")), func.lower(text("model")), unique=True),
    )

    id: Mapped[BigId]
    vendor: Mapped[Text120]
    model: Mapped[Text120]
    configure_after_boot: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    notes: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return f"{self.vendor} {self.model}"
