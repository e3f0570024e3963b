"""Asking for a trial and cancelling one. product.md, "Why this price?": a change is tried before it is saved."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core import events, settings
from app.core.models import HOUSE_PARTNER_ID, Admin
from app.tariffs.models import Tariff, TariffTrial, TrialStatus
from app.tariffs.trials import Draft

#: announced when a trial waits to be run
ASKED = "tariff_trial.asked"
UNFINISHED = (TrialStatus.WAITING, TrialStatus.RUNNING)


class Period(StrEnum):
    """Which sessions, by when they ended."""

    LAST_MONTH = "last_month"
    LAST_30_DAYS = "last_30_days"


def bounds(period: Period, *, now: datetime, timezone: str) -> tuple[datetime, datetime]:
    """From (inclusive) and to (exclusive), UTC: the calendar month before this one by the zone's clock, or 30 days."""
    if period is Period.LAST_30_DAYS:
        return now - timedelta(days=30), now
    zone = ZoneInfo(timezone)
    this_month = now.astimezone(zone).date().replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    since, until = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (last_month, this_month))
    return since, until


def ask_for_trial(
    session: Session, *, tariff: Tariff, draft: Draft, period: Period, actor: Admin | None, now: datetime
) -> TariffTrial:
    """Put a trial in the queue; an unfinished one of the same admin and tariff is cancelled. Flushes."""
    since, until = bounds(period, now=now, timezone=settings.get_text(session, "system.timezone"))
    session.execute(
        update(TariffTrial)
        .where(
            TariffTrial.tariff_id == tariff.id,
            TariffTrial.admin_id == (actor.id if actor else None),
            TariffTrial.status.in_(UNFINISHED),
        )
        .values(status=TrialStatus.CANCELLED, finished_at=now)
    )
    trial = TariffTrial(
        tariff_id=tariff.id,
        admin_id=actor.id if actor else None,
        created_at=now,
        draft=draft.as_json(),
        period_from=since,
        period_to=until,
        currency=draft.snapshot.currency.code,
    )
    session.add(trial)
    session.flush()
    events.announce(session, ASKED, partner_id=HOUSE_PARTNER_ID, trial_id=trial.id)
    return trial


def cancel_trial(session: Session, *, trial_id: int, now: datetime) -> bool:
    """Cancel one that is not over; False when it is. What was priced up to then stays to be looked at. Flushes."""
    cancelled = session.execute(
        update(TariffTrial)
        .where(TariffTrial.id == trial_id, TariffTrial.status.in_(UNFINISHED))
        .values(status=TrialStatus.CANCELLED, finished_at=now)
        .returning(TariffTrial.id)
    ).all()
    session.flush()
    return bool(cancelled)


def unfinished(session: Session, *, limit: int) -> list[int]:
    """The trials that wait or run, the oldest first."""
    return list(
        session.scalars(
            select(TariffTrial.id).where(TariffTrial.status.in_(UNFINISHED)).order_by(TariffTrial.id).limit(limit)
        )
    )
