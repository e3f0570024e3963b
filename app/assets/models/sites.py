"""Locations and their charging zones. Manual, "Locations" and "Charging Zones"."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Integer, Numeric, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.assets.models.catalogue import LocationImage, LocationPhoto
from app.core.db import Base
from app.core.i18n import localized
from app.core.types import BigId, I18nText, LabelledEnum, Text255, enum_type


class ZoneStatus(LabelledEnum):
    """Disabled hides the zone's charge points from drivers."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class Location(Base):
    """A pin on the map: coordinates, address, texts for the driver."""

    __tablename__ = "location"
    __table_args__ = (
        CheckConstraint("latitude BETWEEN -90 AND 90", name="latitude_range"),
        CheckConstraint("longitude BETWEEN -180 AND 180", name="longitude_range"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country_form"),
        CheckConstraint("name <> '{}'::jsonb", name="name_present"),
    )

    id: Mapped[BigId]
    name: Mapped[I18nText]
    short_description: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    description: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    latitude: Mapped[Decimal] = mapped_column(Numeric(9, 6))
    longitude: Mapped[Decimal] = mapped_column(Numeric(9, 6))
    address: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    city: Mapped[str] = mapped_column(String(120), server_default="", index=True)
    postcode: Mapped[str] = mapped_column(String(20), server_default="")
    region: Mapped[str] = mapped_column(String(120), server_default="")
    country: Mapped[str] = mapped_column(String(2))
    image_id: Mapped[int | None] = mapped_column(ForeignKey("location_image.id"), index=True)
    what3words: Mapped[str | None] = mapped_column(String(120))
    timezone: Mapped[str | None] = mapped_column(String(64))
    roaming: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    image: Mapped[LocationImage | None] = relationship()
    photos: Mapped[list[LocationPhoto]] = relationship(
        order_by="LocationPhoto.position", cascade="all, delete-orphan", passive_deletes=True
    )
    zones: Mapped[list[ChargingZone]] = relationship(back_populates="location", order_by="ChargingZone.name")

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return localized(self.name)


class ChargingZone(Base):
    """A part of a location that groups charge points."""

    __tablename__ = "charging_zone"

    id: Mapped[BigId]
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id"), index=True)
    name: Mapped[Text255] = mapped_column(index=True)
    status: Mapped[ZoneStatus] = mapped_column(enum_type(ZoneStatus, "zone_status"), server_default="active")
    show_in_app: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    title: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    description: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    location: Mapped[Location] = relationship(back_populates="zones")

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name
