"""Tariffs and tariff groups. Manual, "Tariffs" and "Tariff Groups"."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db import Base
from app.core.types import Amount, BigId, I18nText, JsonDict, LabelledEnum, Text255, UnitPrice, enum_type
from app.crm.models import UserGroup
from app.partners.models import Partner


class TariffType(LabelledEnum):
    """The five types; values as in the provisioning file."""

    FREE = "free", "Free"
    FLAT = "flat", "Flat rate"
    DURATION_ENERGY = "duration_energy", "Duration + energy"
    DURATION_ENERGY_TOD = "duration_energy_tod", "Duration + energy TOD"
    POWER_LEVELS = "power_levels", "Power levels"


tariff_user_group = Table(
    "tariff_user_group",
    Base.metadata,
    Column("tariff_id", BigInteger, ForeignKey("tariff.id", ondelete="CASCADE"), primary_key=True),
    Column("user_group_id", BigInteger, ForeignKey("user_group.id"), primary_key=True, index=True),
)

tariff_partner = Table(
    "tariff_partner",
    Base.metadata,
    Column("tariff_id", BigInteger, ForeignKey("tariff.id", ondelete="CASCADE"), primary_key=True),
    Column("partner_id", BigInteger, ForeignKey("partner.id"), primary_key=True, index=True),
)


class Tariff(Base):
    """A price list for one session. Prices include VAT. ``revision`` counts changes of what is charged and of what
    stops a session; each session keeps a snapshot of both, so a change never alters the past."""

    __tablename__ = "tariff"
    __table_args__ = (
        CheckConstraint("type <> 'flat' OR price_per_session IS NOT NULL", name="flat_has_price"),
        CheckConstraint(
            "type <> 'duration_energy_tod' OR (day_starts IS NOT NULL AND night_starts IS NOT NULL "
            "AND day_starts <> night_starts)",
            name="tod_has_times",
        ),
        CheckConstraint(
            "coalesce(price_per_session, 0) >= 0 AND coalesce(price_per_minute, 0) >= 0 "
            "AND coalesce(price_per_kwh, 0) >= 0 AND coalesce(connection_fee, 0) >= 0 "
            "AND coalesce(night_price_per_minute, 0) >= 0 AND coalesce(night_price_per_kwh, 0) >= 0 "
            "AND coalesce(idle_fee_per_minute, 0) >= 0 AND coalesce(idle_grace_minutes, 0) >= 0",
            name="prices_not_negative",
        ),
        CheckConstraint(
            "NOT is_base OR NOT (for_owner_users OR for_roaming_users OR for_ad_hoc_users)",
            name="base_unrestricted",
        ),
    )

    id: Mapped[BigId]
    name: Mapped[Text255] = mapped_column(index=True)
    description: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    additional_information: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    learn_more_url: Mapped[I18nText] = mapped_column(server_default=text("'{}'::jsonb"))
    type: Mapped[TariffType] = mapped_column(enum_type(TariffType, "tariff_type"), server_default="free")
    price_per_session: Mapped[UnitPrice | None]
    #: per minute and kWh; by day where the type is time of day
    price_per_minute: Mapped[UnitPrice | None]
    price_per_kwh: Mapped[UnitPrice | None]
    connection_fee: Mapped[UnitPrice | None]
    day_starts: Mapped[time | None] = mapped_column(Time)
    night_starts: Mapped[time | None] = mapped_column(Time)
    night_price_per_minute: Mapped[UnitPrice | None]
    night_price_per_kwh: Mapped[UnitPrice | None]
    idle_fee_per_minute: Mapped[UnitPrice | None]
    idle_grace_minutes: Mapped[int | None] = mapped_column(SmallInteger)
    is_base: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    for_owner_users: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    for_roaming_users: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    for_ad_hoc_users: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    max_minutes: Mapped[int | None] = mapped_column(Integer)
    max_energy_kwh: Mapped[Decimal | None] = mapped_column(Numeric(10, 3))
    stop_below_preauthorization: Mapped[Decimal | None] = mapped_column(Numeric(16, 4))
    minimum_balance_to_start: Mapped[Decimal | None] = mapped_column(Numeric(16, 4))
    auto_stop_amount: Mapped[Decimal | None] = mapped_column(Numeric(16, 4))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    levels: Mapped[list[TariffPowerLevel]] = relationship(
        order_by="TariffPowerLevel.max_power_w", cascade="all, delete-orphan", passive_deletes=True
    )
    user_groups: Mapped[list[UserGroup]] = relationship(secondary=tariff_user_group)
    partners: Mapped[list[Partner]] = relationship(secondary=tariff_partner)
    group_links: Mapped[list[TariffGroupTariff]] = relationship(back_populates="tariff", passive_deletes=True)

    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class TariffPowerLevel(Base):
    """A price per minute up to an average power in W."""

    __tablename__ = "tariff_power_level"
    __table_args__ = (
        UniqueConstraint(
            "tariff_id", "max_power_w", name="uq_tariff_power_level_tariff_id_max_power_w", deferrable=True
        ),
        CheckConstraint("max_power_w > 0", name="max_power_positive"),
        CheckConstraint("price_per_minute >= 0", name="price_not_negative"),
    )

    id: Mapped[BigId]
    tariff_id: Mapped[int] = mapped_column(ForeignKey("tariff.id", ondelete="CASCADE"))
    max_power_w: Mapped[int] = mapped_column(Integer)
    price_per_minute: Mapped[UnitPrice]

    def __str__(self) -> str:
        return f"≤ {self.max_power_w / 1000:g} kW"


class TariffGroup(Base):
    """What an EVSE is given: a base tariff and, below it, tariffs for some drivers."""

    __tablename__ = "tariff_group"

    id: Mapped[BigId]
    name: Mapped[Text255] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    links: Mapped[list[TariffGroupTariff]] = relationship(
        back_populates="group",
        order_by="TariffGroupTariff.position",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def tariffs(self) -> list[Tariff]:
        """The attached tariffs in list order, the base tariff first."""
        return [link.tariff for link in self.links]

    def __str__(self) -> str:
        return self.name


class TariffGroupTariff(Base):
    """A tariff's place in a group. Position 0 is the base tariff's and nobody else's."""

    __tablename__ = "tariff_group_tariff"
    __table_args__ = (
        UniqueConstraint("tariff_group_id", "position", name="uq_tariff_group_tariff_position", deferrable=True),
        CheckConstraint("position >= 0", name="position_range"),
        CheckConstraint("is_base = (position = 0)", name="base_is_first"),
        Index("uq_tariff_group_tariff_base", "tariff_id", unique=True, postgresql_where=text("is_base")),
    )

    tariff_group_id: Mapped[int] = mapped_column(ForeignKey("tariff_group.id", ondelete="CASCADE"), primary_key=True)
    tariff_id: Mapped[int] = mapped_column(ForeignKey("tariff.id"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(Integer)
    is_base: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    group: Mapped[TariffGroup] = relationship(back_populates="links")
    tariff: Mapped[Tariff] = relationship(back_populates="group_links")


class TrialStatus(LabelledEnum):
    """Where the trial of a draft tariff stands."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class TariffTrial(Base):
    """A draft of a tariff tried on last month's sessions before it is saved. Totals include VAT.

    ``draft`` is the tariff as it would be (`app.tariffs.trials`); ``total`` the sessions to look at, ``done`` those
    looked at, up to the one that stopped at ``reached_at`` with the number ``reached_id``. ``basis`` says which they
    are: those this tariff has priced, or those that would get it now.
    """

    __tablename__ = "tariff_trial"

    id: Mapped[BigId]
    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariff.id", ondelete="CASCADE"), index=True)
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    finished_at: Mapped[datetime | None]
    status: Mapped[TrialStatus] = mapped_column(enum_type(TrialStatus, "trial_status"), server_default="waiting")
    draft: Mapped[JsonDict]
    period_from: Mapped[datetime]
    period_to: Mapped[datetime]
    basis: Mapped[str | None] = mapped_column(String(20))
    reached_at: Mapped[datetime | None]
    reached_id: Mapped[int | None] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    done: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    skipped: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    currency: Mapped[str | None] = mapped_column(ForeignKey("currency.code"))
    billed_gross: Mapped[Amount | None]
    draft_gross: Mapped[Amount | None]
    error: Mapped[str | None] = mapped_column(Text)


class TariffTrialSession(Base):
    """One session of a trial: what was billed, and what the draft would have billed; None where it cannot price it."""

    __tablename__ = "tariff_trial_session"

    trial_id: Mapped[int] = mapped_column(ForeignKey("tariff_trial.id", ondelete="CASCADE"), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("charging_session.id", ondelete="CASCADE"), primary_key=True)
    billed_gross: Mapped[Amount]
    draft_gross: Mapped[Amount | None]
    note: Mapped[str | None] = mapped_column(String(255))
