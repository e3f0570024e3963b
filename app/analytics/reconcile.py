"""The nightly reconcile: everything computed anew, compared with the roll-ups; what differs is repaired and told.

Marks should leave nothing to find. What is found all the same is logged, kept as a row of ``Check`` with examples, and
printed by ``flask --app wsgi rollups --check``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.analytics.generations import next_month
from app.analytics.models import Check, Generation, GenerationStatus
from app.analytics.recompute import (
    OF_SPAN_SQL,
    TOTALS_SQL,
    Zoned,
    know_days,
    lock,
    recompute_keys,
    recompute_totals,
    span,
)
from app.analytics.source import MEASURES, sums
from app.analytics.totals import DIRTY, each_day
from app.core.db import allow_minutes

log = structlog.get_logger(__name__)

EXAMPLES = 20
MINUTES = 10

Transaction = Callable[[], AbstractContextManager[Session]]

_KEYS = f"""
WITH fresh AS MATERIALIZED ({OF_SPAN_SQL}),
stored AS MATERIALIZED (
  SELECT day, evse_id, partner_id, currency, {MEASURES} FROM an_evse_day
  WHERE generation = :generation AND day >= :first AND day < :until
),
months AS MATERIALIZED (
  SELECT CAST(:first AS date) AS day, evse_id, partner_id, currency, {sums("s")} FROM stored s GROUP BY 2, 3, 4
),
stored_months AS MATERIALIZED (
  SELECT month, evse_id, partner_id, currency, {MEASURES} FROM an_evse_month
  WHERE generation = :generation AND month = :first
)
SELECT DISTINCT d.day, d.evse_id FROM (
  (SELECT * FROM fresh EXCEPT SELECT * FROM stored) UNION ALL (SELECT * FROM stored EXCEPT SELECT * FROM fresh)
  UNION ALL (SELECT * FROM months EXCEPT SELECT * FROM stored_months)
  UNION ALL (SELECT * FROM stored_months EXCEPT SELECT * FROM months)
) d
WHERE NOT EXISTS (SELECT FROM ({DIRTY}) k WHERE k.evse_id = d.evse_id
                  AND (k.day = d.day OR date_trunc('month', k.day)::date = d.day))
ORDER BY 1, 2
"""
#: totals are added up from the days of EVSEs, repaired before; of marked EVSEs both are equally old
_TOTALS = f"""
WITH fresh AS MATERIALIZED ({TOTALS_SQL}),
stored AS MATERIALIZED (
  SELECT day, partner_id, country, kind, currency, {MEASURES} FROM an_tot_day
  WHERE generation = :generation AND day = ANY(CAST(:days AS date[]))
)
SELECT DISTINCT day FROM (
  (SELECT * FROM fresh EXCEPT SELECT * FROM stored) UNION ALL (SELECT * FROM stored EXCEPT SELECT * FROM fresh)
) d
WHERE NOT EXISTS (SELECT FROM an_dirty m WHERE m.evse_id IS NULL OR m.at IS NULL)
ORDER BY 1
"""
_EXTENT = text("""
SELECT min(day) AS first, max(day) AS last FROM (
  SELECT min((at AT TIME ZONE :zone)::date) AS day FROM (
    SELECT min(stopped_at) AS at FROM charging_session WHERE status = 'finished'
    UNION ALL SELECT min(created_at) FROM charging_session WHERE status = 'failed') a
  UNION ALL SELECT max((at AT TIME ZONE :zone)::date) FROM (
    SELECT max(stopped_at) AS at FROM charging_session WHERE status = 'finished'
    UNION ALL SELECT max(created_at) FROM charging_session WHERE status = 'failed') z
  UNION ALL SELECT min(day) FROM an_evse_day WHERE generation = :generation
  UNION ALL SELECT max(day) FROM an_evse_day WHERE generation = :generation
) ends
""")


def reconcile(transaction: Transaction, *, clock: Callable[[], datetime]) -> Check | None:
    """Compare the generation in use with the sessions, month by month, and repair it; None where none is in use.

    Each month is a transaction of its own that holds the lock of ``recompute``: marks wait meanwhile, writers do not.
    """
    with transaction() as session:
        found = session.scalars(select(Generation).where(Generation.status == GenerationStatus.CURRENT)).one_or_none()
        if found is None:
            return None
        generation = Zoned(found.id, found.zone)
        extent = session.execute(_EXTENT, {"generation": generation.id, "zone": generation.zone}).one()
        check = Check(generation=generation.id, began_at=clock())
        session.add(check)
        session.flush()
        number = check.id
    days, differences, examples = 0, 0, list[dict[str, Any]]()
    for month in _months(extent.first, extent.last):
        with transaction() as session:
            allow_minutes(session, MINUTES)
            different = check_month(session, generation, month)
        days += (next_month(month) - month).days
        differences += len(different)
        examples += different[: EXAMPLES - len(examples)]
    with transaction() as session:
        ended = session.get_one(Check, number)
        ended.ended_at, ended.days, ended.differences, ended.examples = clock(), days, differences, examples
        session.flush()
        session.refresh(ended)
        session.expunge(ended)
    if differences:
        log.error("rollups.differed", generation=generation.id, differences=differences, examples=examples)
    else:
        log.info("rollups.agree", generation=generation.id, days=days)
    return ended


def check_month(session: Session, generation: Zoned, month: date) -> list[dict[str, Any]]:
    """What of a month differed, as rows for people; it is repaired. The caller commits."""
    lock(session)
    until = next_month(month)
    days = list(each_day(month, until))
    know_days(session, generation, days)
    keys = session.execute(text(_KEYS), span(session, generation, month, until)).all()
    recompute_keys(session, generation, [(row.evse_id, row.day) for row in keys])
    totals = session.execute(text(_TOTALS), {"generation": generation.id, "days": days}).all()
    if totals:
        recompute_totals(session, generation, [row.day for row in totals])
    return [{"day": f"{row.day}", "evse_id": row.evse_id} for row in keys] + [
        {"day": f"{row.day}", "totals": True} for row in totals
    ]


def _months(first: date | None, last: date | None) -> Iterator[date]:
    if first is None or last is None:
        return
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)


def last_check(session: Session) -> Check | None:
    """The newest check that came to its end."""
    return session.scalars(
        select(Check).where(Check.ended_at.is_not(None)).order_by(Check.id.desc()).limit(1)
    ).one_or_none()


#: how long a check's outcome is kept
KEEP = timedelta(days=400)


def forget_old(session: Session, *, now: datetime) -> None:
    """Delete outcomes that nobody asks for any more."""
    session.execute(text("DELETE FROM an_check WHERE began_at < :before"), {"before": now - KEEP})
