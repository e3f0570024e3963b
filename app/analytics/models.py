"""Roll-ups of charging sessions: what each EVSE came to per day and month, and the totals of a day.

Whole numbers only: Wh, W, seconds, minor units of the currency beside them (cents), which are never added up across
currencies; what costs nothing stands under the currency "". A row belongs to the partner *of the session*, so
that a station which changes hands leaves the past where it was, and row-level security confines every table.
Days are those of a generation's time zone (docs/adr/0018-roll-ups.md).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Integer, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.charging.models import ChargingSession
from app.core.db import Base
from app.core.types import BigId, LabelledEnum, enum_type

#: what is counted of sessions, in the order of the columns; all but the maximum add up
ADDITIVE = (
    "sessions",
    "failed",
    "energy_wh",
    "duration_s",
    "charging_s",
    "idle_s",
    "billed",
    "gross",
    "net",
    "vat",
    "refunded_gross",
    "refunds",
)
MAXIMUM = "peak_w"


class GenerationStatus(LabelledEnum):
    """What a generation of roll-ups is good for."""

    BUILDING = "building", "Being built"
    CURRENT = "current", "In use"
    RETIRED = "retired", "To be deleted"


class Generation(Base):
    """One set of all roll-ups, with days of one time zone. Another zone is another generation, built beside it.

    While it is built, days before ``built_until`` are done; ``last_day`` is the last that had a session when it began.
    """

    __tablename__ = "an_generation"
    __table_args__ = (
        Index(
            "uq_an_generation_status",
            "status",
            unique=True,
            postgresql_where=text("status IN ('building', 'current')"),
        ),
    )

    id: Mapped[BigId]
    zone: Mapped[str] = mapped_column(String(64))
    status: Mapped[GenerationStatus] = mapped_column(enum_type(GenerationStatus, "an_generation_status"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    built_until: Mapped[date | None] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
    current_since: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class Day(Base):
    """A day of a generation's zone: the moments it lies between, and how long it is (23 or 25 hours twice a year).

    ``t0`` and ``t1`` enclose it, no more: where clocks were once set back over midnight, a part of another day lies
    between, so that what belongs to a day is asked by projecting its moment onto the zone.
    """

    __tablename__ = "an_day"
    __table_args__ = (CheckConstraint("t0 <= t1 AND seconds >= 0", name="runs_forward"),)

    generation: Mapped[int] = mapped_column(ForeignKey("an_generation.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    t0: Mapped[datetime]
    t1: Mapped[datetime]
    seconds: Mapped[int] = mapped_column(Integer)


class _Measures:
    """What sessions came to. A session belongs to the moment it ended, a failed one to that of its beginning.

    ``sessions`` finished, ``failed`` failed. ``duration_s`` from start to stop, of which ``charging_s`` until charging
    ended and ``idle_s`` after it. Of what was billed (Processing, Paid, Outstanding, Refunded): how many sessions, and
    gross = net + VAT; ``refunded_gross`` is the part of ``gross`` whose sessions are Refunded as a whole, ``refunds``
    what succeeded refunds gave back, in whole or in part. ``peak_w`` is the highest power of a session.
    """

    sessions: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    energy_wh: Mapped[int] = mapped_column(BigInteger)
    duration_s: Mapped[int] = mapped_column(BigInteger)
    charging_s: Mapped[int] = mapped_column(BigInteger)
    idle_s: Mapped[int] = mapped_column(BigInteger)
    billed: Mapped[int] = mapped_column(BigInteger)
    gross: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)
    vat: Mapped[int] = mapped_column(BigInteger)
    refunded_gross: Mapped[int] = mapped_column(BigInteger)
    refunds: Mapped[int] = mapped_column(BigInteger)
    peak_w: Mapped[int] = mapped_column(BigInteger)


class EvseDay(_Measures, Base):
    """What the sessions of an EVSE came to on a day, per partner and currency."""

    __tablename__ = "an_evse_day"
    __table_args__ = (
        Index("ix_an_evse_day_partner_id", "generation", "partner_id", "day"),
        Index("ix_an_evse_day_evse_id", "generation", "evse_id", "day"),
    )

    generation: Mapped[int] = mapped_column(ForeignKey("an_generation.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    evse_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)


class EvseMonth(_Measures, Base):
    """The same by month; ``month`` is its first day."""

    __tablename__ = "an_evse_month"
    __table_args__ = (
        Index("ix_an_evse_month_partner_id", "generation", "partner_id", "month"),
        Index("ix_an_evse_month_evse_id", "generation", "evse_id", "month"),
    )

    generation: Mapped[int] = mapped_column(ForeignKey("an_generation.id"), primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    evse_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)


class TotalDay(_Measures, Base):
    """The same of all EVSEs together, by what they are now: the country of their location, AC or DC."""

    __tablename__ = "an_tot_day"
    __table_args__ = (Index("ix_an_tot_day_partner_id", "generation", "partner_id", "day"),)

    generation: Mapped[int] = mapped_column(ForeignKey("an_generation.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    country: Mapped[str] = mapped_column(String(2), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)


class DirtyMark(Base):
    """What has to be computed anew: left in the transaction that changed it, deleted by the one that recomputes it.

    Append-only, one mark per change: a unique key with ON CONFLICT would lose the mark of who comes second. By kind:
    an EVSE's sessions at ``at`` (its day, in every generation); where a transaction of ``session_id`` changed, also
    where that session is by then; an EVSE without ``at``: what it *is* has changed, so the totals of all its days are
    split anew, which become marks of a day (``at`` without EVSE), worked off in portions.
    """

    __tablename__ = "an_dirty"
    __table_args__ = (
        CheckConstraint("evse_id IS NOT NULL OR at IS NOT NULL", name="says_what"),
        Index("ix_an_dirty_at", "at"),
    )

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(BigInteger)
    evse_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime | None]
    session_id: Mapped[int | None] = mapped_column(BigInteger)


class Check(Base):
    """One run of the nightly reconcile: how many days were computed anew, what differed, with the first examples."""

    __tablename__ = "an_check"

    id: Mapped[BigId]
    generation: Mapped[int] = mapped_column(BigInteger)
    began_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    days: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    differences: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    examples: Mapped[list[Any]] = mapped_column(JSONB(none_as_null=True), server_default=text("'[]'::jsonb"))


#: what sessions are found by when a bucket is computed anew, and by partners' screens
Index("ix_charging_session_evse_id_stopped_at", ChargingSession.evse_id, ChargingSession.stopped_at)
Index("ix_charging_session_partner_id_stopped_at", ChargingSession.partner_id, ChargingSession.stopped_at)
Index(
    "ix_charging_session_failed_at",
    ChargingSession.evse_id,
    ChargingSession.created_at,
    postgresql_where=text("status = 'failed'"),
)
