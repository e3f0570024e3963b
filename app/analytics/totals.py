"""What sessions of wall-clock spans came to: whole days from the roll-ups, the rest from the sessions.

Exact at every moment: days of EVSEs that are marked to be computed anew are left out of the roll-ups and computed
here, in the statement that reads the roll-ups, so that both are of the same moment. Without a generation of the asked
zone (it is being built), or with very many marks, all of it is computed from the sessions. Under row-level security
a partner's admin gets what its own sessions came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics.models import ADDITIVE, GenerationStatus
from app.analytics.source import measured

#: from so many marks on, the sessions themselves are quicker than leaving out what is marked
TOO_MANY_MARKS = 5000


@dataclass(frozen=True, slots=True)
class WallSpan:
    """Wall-clock time of the zone from ``start`` until just before ``end``, under a name.

    ``grain`` is PostgreSQL's word for ``date_trunc`` (hour, day, week, month); None: one sum of all of it.
    """

    name: str
    start: datetime
    end: datetime
    grain: str | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """What sessions of a bucket of a span came to, in one currency ("": those that have none).

    Amounts are in the currency's own units. A bucket may come in several parts, to be added up.
    """

    name: str
    bucket: datetime | None
    currency: str
    sessions: int
    failed: int
    energy_wh: int
    duration_s: int
    charging_s: int
    idle_s: int
    billed: int
    gross: Decimal
    net: Decimal
    vat: Decimal
    refunded_gross: Decimal
    refunds: Decimal


_MONEY = ("gross", "net", "vat", "refunded_gross", "refunds")
_SUMS = ", ".join(f"sum(r.{name})::bigint AS {name}" for name in ADDITIVE)
_COLUMNS = ", ".join(ADDITIVE)
_MINUS = ", ".join(f"-b.{name}" for name in ADDITIVE)
#: no clock is changed by more
_SLACK = "interval '3 hours'"

_LIVE = f"""
SELECT l.name, CASE WHEN l.grain <> '' THEN date_trunc(l.grain, r.at AT TIME ZONE :zone) END AS bucket, r.currency,
       {_SUMS}
FROM unnest(CAST(:live_names AS text[]), CAST(:starts AS timestamp[]), CAST(:ends AS timestamp[]),
            CAST(:live_grains AS text[])) AS l(name, first, until, grain)
CROSS JOIN LATERAL {
    measured(
        "{at} >= (l.first AT TIME ZONE :zone) - "
        + _SLACK
        + " AND {at} < (l.until AT TIME ZONE :zone) + "
        + _SLACK
        + " AND {at} AT TIME ZONE :zone >= l.first AND {at} AT TIME ZONE :zone < l.until"
    )
} r
GROUP BY 1, 2, 3
"""

#: EVSEs' days that are marked, of the days asked for
DIRTY = """
SELECT DISTINCT evse_id, day FROM (
  SELECT evse_id, (at AT TIME ZONE :zone)::date AS day FROM an_dirty WHERE evse_id IS NOT NULL AND at IS NOT NULL
  UNION ALL
  SELECT s.evse_id, ((CASE s.status WHEN 'finished' THEN s.stopped_at ELSE s.created_at END) AT TIME ZONE :zone)::date
  FROM an_dirty m JOIN charging_session s ON s.id = m.session_id
) m WHERE day >= :first AND day < :until
"""
_ROLLED = f"""
SELECT a.name, CASE WHEN a.grain <> '' THEN date_trunc(a.grain, r.day::timestamp) END AS bucket, r.currency, {_SUMS}
FROM unnest(CAST(:names AS text[]), CAST(:firsts AS date[]), CAST(:untils AS date[]), CAST(:grains AS text[]))
  AS a(name, first, until, grain)
JOIN by_day r ON r.day >= a.first AND r.day < a.until
GROUP BY 1, 2, 3
"""
_BY_DAY = f"""
dirty AS MATERIALIZED ({DIRTY}),
by_day AS MATERIALIZED (
  SELECT r.day, r.currency, {_SUMS} FROM (
    SELECT day, currency, {_COLUMNS} FROM an_tot_day WHERE generation = :generation AND day >= :first AND day < :until
    UNION ALL
    SELECT b.day, b.currency, {_MINUS} FROM dirty k
    JOIN an_evse_day b ON b.generation = :generation AND b.day = k.day AND b.evse_id = k.evse_id
    UNION ALL
    SELECT k.day, r.currency, {", ".join(f"r.{name}" for name in ADDITIVE)} FROM dirty k
    CROSS JOIN LATERAL {
    measured(
        "s.evse_id = k.evse_id AND {at} >= (k.day::timestamp AT TIME ZONE :zone) - "
        + _SLACK
        + " AND {at} < ((k.day + 1)::timestamp AT TIME ZONE :zone) + "
        + _SLACK
        + " AND ({at} AT TIME ZONE :zone)::date = k.day"
    )
} r
  ) r GROUP BY r.day, r.currency
)
"""
_IN_UNITS = ", ".join(
    f"{name} / (ARRAY[1, 10, 100, 1000])[coalesce(c.exponent, 0) + 1]::numeric AS {name}" if name in _MONEY else name
    for name in ADDITIVE
)
_SHOWN = f"SELECT f.name, f.bucket, f.currency, {_IN_UNITS} FROM ({{}}) f LEFT JOIN currency c ON c.code = f.currency"
_ONLY_LIVE = text(_SHOWN.format(_LIVE))
_BOTH = text(f"WITH {_BY_DAY} " + _SHOWN.format(f"{_ROLLED} UNION ALL {_LIVE}"))

_WAY = text("""
SELECT (SELECT id FROM an_generation WHERE status = :current AND zone = :zone) AS generation,
       (SELECT count(*) FROM (SELECT FROM an_dirty LIMIT :most) m) AS marks
""")


def generation_in_use(session: Session, *, zone: str) -> int | None:
    """The roll-ups that can be read for that zone; None where the sessions themselves have to be asked."""
    way = session.execute(_WAY, {"current": GenerationStatus.CURRENT.value, "zone": zone, "most": TOO_MANY_MARKS}).one()
    return None if way.generation is None or way.marks >= TOO_MANY_MARKS else int(way.generation)


def session_sums(session: Session, spans: Sequence[WallSpan], *, zone: str) -> list[Sum]:
    """What the sessions of each span came to, by bucket and currency. Two queries, or one where days do not matter."""
    pieces = [_split(span) for span in spans]
    whole = [days for days, _ in pieces if days is not None]
    generation = generation_in_use(session, zone=zone) if whole else None
    if generation is None:
        rows = session.execute(_ONLY_LIVE, _live(spans, zone))
    else:
        edges = [edge for _, found in pieces for edge in found]
        rows = session.execute(_BOTH, {**_live(edges, zone), **_rolled(whole), "generation": generation})
    return [Sum(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Days:
    """Whole days of a span."""

    name: str
    first: date
    until: date
    grain: str


def _split(span: WallSpan) -> tuple[_Days | None, list[WallSpan]]:
    """The whole days of a span, and what is left before and after them."""
    first = span.start.date() + timedelta(days=span.start.time() != time())
    until = span.end.date()
    if span.grain == "hour" or first >= until:
        return None, [span]
    edges = [(span.start, datetime.combine(first, time())), (datetime.combine(until, time()), span.end)]
    left = [WallSpan(span.name, start, end, span.grain) for start, end in edges if start < end]
    return _Days(span.name, first, until, span.grain or ""), left


def _live(spans: Iterable[WallSpan], zone: str) -> dict[str, Any]:
    rows = list(spans)
    return {
        "zone": zone,
        "live_names": [span.name for span in rows],
        "starts": [span.start for span in rows],
        "ends": [span.end for span in rows],
        "live_grains": [span.grain or "" for span in rows],
    }


def _rolled(days: Sequence[_Days]) -> dict[str, Any]:
    return {
        "names": [each.name for each in days],
        "firsts": [each.first for each in days],
        "untils": [each.until for each in days],
        "grains": [each.grain for each in days],
        "first": min(each.first for each in days),
        "until": max(each.until for each in days),
    }


def each_day(first: date, until: date) -> Iterator[date]:
    """The days from ``first`` before ``until``."""
    for number in range((until - first).days):
        yield first + timedelta(days=number)
