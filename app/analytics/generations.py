"""Generations of roll-ups: the one in use, the next one built beside it, those to be deleted.

The wanted one has days of Settings > Timezone. A change of that setting needs nobody to tell us: the next look finds
that the generation in use is of another zone, builds one of the new zone month by month, and then takes it into use at
once. Until then whoever reads computes from the sessions (``app.analytics.totals``).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.analytics.models import Generation, GenerationStatus
from app.analytics.recompute import Zoned, lock, recompute_month

#: rows of a retired generation that one transaction deletes
DELETE_BATCH = 20_000
#: who is reading a generation at the moment of the change may finish
KEEP_RETIRED = timedelta(minutes=10)

_EXTENT = text("""
SELECT min((at AT TIME ZONE :zone)::date) AS first, max((at AT TIME ZONE :zone)::date) AS last FROM (
  SELECT unnest(ARRAY[min(stopped_at), max(stopped_at)]) AS at FROM charging_session WHERE status = 'finished'
  UNION ALL
  SELECT unnest(ARRAY[min(created_at), max(created_at)]) FROM charging_session WHERE status = 'failed'
) ends
""")


def kept_up(session: Session) -> list[Zoned]:
    """Every generation that marks are worked off in: the one in use and the one being built."""
    rows = session.execute(
        select(Generation.id, Generation.zone)
        .where(Generation.status != GenerationStatus.RETIRED)
        .order_by(Generation.id)
    )
    return [Zoned(number, zone) for number, zone in rows]


def advance(session: Session, *, zone: str, now: datetime) -> bool:
    """Do the next step towards a generation of ``zone`` in use and no other; False when there is none.

    A step is at most one month built or one batch deleted. Flushes; holds the lock of ``recompute`` until the commit.
    """
    lock(session)
    current, building = (_with(session, status) for status in (GenerationStatus.CURRENT, GenerationStatus.BUILDING))
    if building is not None and building.zone != zone:
        _retire(building, now)
    elif building is not None:
        _build_on(session, building, current, now)
    elif current is None or current.zone != zone:
        begin(session, zone=zone)
    else:
        return _delete_retired(session, now)
    session.flush()
    return True


def begin(session: Session, *, zone: str) -> Generation:
    """Begin to build a generation. The caller holds the lock, and nothing is being built. Flushes."""
    extent = session.execute(_EXTENT, {"zone": zone}).one()
    made = Generation(zone=zone, status=GenerationStatus.BUILDING, built_until=extent.first, last_day=extent.last)
    session.add(made)
    session.flush()
    return made


def rebuild(session: Session, *, zone: str, now: datetime) -> None:
    """Begin to build everything anew beside what is in use. Flushes; ``advance`` does the rest."""
    lock(session)
    building = _with(session, GenerationStatus.BUILDING)
    if building is not None:
        _retire(building, now)
        session.flush()
    begin(session, zone=zone)


def _with(session: Session, status: GenerationStatus) -> Generation | None:
    # as it is now that we hold the lock, not as it was loaded before
    query = select(Generation).where(Generation.status == status).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _retire(generation: Generation, now: datetime) -> None:
    generation.status, generation.retired_at = GenerationStatus.RETIRED, now


def _build_on(session: Session, building: Generation, current: Generation | None, now: datetime) -> None:
    if building.built_until is not None and building.last_day is not None and building.built_until <= building.last_day:
        month = building.built_until.replace(day=1)
        recompute_month(session, Zoned(building.id, building.zone), month)
        building.built_until = next_month(month)
        return
    if current is not None:
        _retire(current, now)
        session.flush()  # there may be one in use only, also for a moment
    building.status, building.current_since = GenerationStatus.CURRENT, now


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def _delete_retired(session: Session, now: datetime) -> bool:
    over = session.scalars(
        select(Generation.id)
        .where(Generation.status == GenerationStatus.RETIRED, Generation.retired_at < now - KEEP_RETIRED)
        .limit(1)
    ).one_or_none()
    if over is None:
        return False
    for table in ("an_evse_day", "an_evse_month", "an_tot_day", "an_day"):
        deleted = session.execute(
            text(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("
                f"SELECT ctid FROM {table} WHERE generation = :generation LIMIT :batch))"
            ),
            {"generation": over, "batch": DELETE_BATCH},
        )
        if getattr(deleted, "rowcount", 0):
            return True
    session.execute(text("DELETE FROM an_generation WHERE id = :generation"), {"generation": over})
    return True
