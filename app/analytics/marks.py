"""Working off what has to be computed anew (``DirtyMark``): take some marks, recompute their buckets, commit.

The order is what makes it exact under concurrent writers: first the lock, as a statement of its own; then
``DELETE … RETURNING``, which takes only marks whose transaction is committed; then, in later statements, the sessions,
which are at least as new as the marks. A change that is not visible yet has a mark that is not visible yet either.
Killed at any point, all of it is undone and the marks are still there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics.generations import kept_up
from app.analytics.recompute import Zoned, lock, recompute_keys, recompute_totals

#: marks of one transaction, and how many days they may lie apart: each day's totals are added up anew
BATCH = 1000
DAYS_BATCH = 31

_FIRST = text("SELECT id, at FROM an_dirty ORDER BY at NULLS FIRST LIMIT :batch")
_TAKE = text(
    "DELETE FROM an_dirty WHERE id = ANY(CAST(:ids AS bigint[])) RETURNING evse_id, at, session_id, partner_id"
)
_KEYS = text("""
SELECT DISTINCT evse_id, (at AT TIME ZONE :zone)::date AS day FROM (
  SELECT * FROM unnest(CAST(:evses AS bigint[]), CAST(:moments AS timestamptz[])) AS m(evse_id, at)
  UNION ALL
  SELECT evse_id, CASE status WHEN 'finished' THEN stopped_at ELSE created_at END FROM charging_session
  WHERE id = ANY(CAST(:sessions AS bigint[]))
) k
""")
_DAYS = text("""
SELECT DISTINCT (at AT TIME ZONE :zone)::date AS day FROM unnest(CAST(:moments AS timestamptz[])) AS at
""")
_SPREAD = text("""
INSERT INTO an_dirty (partner_id, at)
SELECT DISTINCT CAST(:partner AS bigint), d.t0 FROM an_evse_day b
JOIN an_day d ON d.generation = b.generation AND d.day = b.day
WHERE b.generation = ANY(CAST(:generations AS bigint[])) AND b.evse_id = ANY(CAST(:evses AS bigint[]))
""")


@dataclass(frozen=True, slots=True)
class _Taken:
    """Marks by kind."""

    buckets: list[tuple[int, datetime]]
    sessions: list[int]
    moved: dict[int, set[int]]
    days: list[datetime]


def work_off(session: Session, *, batch: int = BATCH) -> int:
    """Recompute what some marks name, in every generation that is kept up. Returns how many marks; 0: there is none.

    Does all of one transaction, in READ COMMITTED; the caller commits. Raises RuntimeError in another isolation level,
    where later statements would not see what is newer than the lock.
    """
    if session.execute(text("SHOW transaction_isolation")).scalar_one() != "read committed":
        raise RuntimeError("marks are worked off in READ COMMITTED only")
    lock(session)
    ids = _first_ids(session.execute(_FIRST, {"batch": batch}))
    if not ids:
        return 0
    rows = session.execute(_TAKE, {"ids": ids}).all()
    taken = _by_kind(rows)
    generations = kept_up(session)
    for generation in generations:
        recompute_keys(session, generation, _keys(session, generation, taken))
        if taken.days:
            asked = {"zone": generation.zone, "moments": taken.days}
            recompute_totals(session, generation, [row.day for row in session.execute(_DAYS, asked)])
    for partner, evses in taken.moved.items():
        session.execute(
            _SPREAD,
            {"partner": partner, "generations": [each.id for each in generations], "evses": sorted(evses)},
        )
    return len(rows)


def _first_ids(rows: Iterable[Any]) -> list[int]:
    """The first marks that lie no further apart than a batch may."""
    ids: list[int] = []
    first: datetime | None = None
    for number, at in rows:
        if at is not None:
            first = first or at
            if at - first > timedelta(days=DAYS_BATCH):
                break
        ids.append(number)
    return ids


def _by_kind(rows: Iterable[Any]) -> _Taken:
    taken = _Taken([], [], {}, [])
    for row in rows:
        if row.session_id is not None:
            taken.sessions.append(row.session_id)
        if row.evse_id is None:
            taken.days.append(row.at)
        elif row.at is None:
            taken.moved.setdefault(row.partner_id, set()).add(row.evse_id)
        else:
            taken.buckets.append((row.evse_id, row.at))
    return taken


def _keys(session: Session, generation: Zoned, taken: _Taken) -> list[tuple[int, date]]:
    found = session.execute(
        _KEYS,
        {
            "zone": generation.zone,
            "evses": [evse for evse, _ in taken.buckets],
            "moments": [at for _, at in taken.buckets],
            "sessions": taken.sessions,
        },
    )
    return [(row.evse_id, row.day) for row in found]
