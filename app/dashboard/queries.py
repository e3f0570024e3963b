"""The numbers of the dashboard's cards: of sessions by the roll-ups (``app.analytics``), the rest by index.

All measures of a session belong to one instant, its end, so that sessions, energy and revenue of a period are of
the same sessions; those of Demo stations are none. Currencies are never added up. Periods are wall-clock times of the
system's zone (``periods``). A partner's admin gets numbers of its own rows: row-level security sees to that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics.totals import WallSpan, session_sums
from app.dashboard.periods import Comparison, change

#: a wall-clock time is at most this far from the same figures read as UTC; for an index's coarse bounds
_ZONE_SLACK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Point:
    """A bucket of a period (its start, wall-clock time) and its value."""

    at: datetime
    value: Decimal


@dataclass(slots=True)
class Figure:
    """A number of a period, the same of the period before, and how it came about."""

    comparison: Comparison
    current: Decimal = Decimal(0)
    preceding: Decimal = Decimal(0)
    _by_bucket: dict[datetime, Decimal] = field(default_factory=dict)

    @property
    def change(self) -> float | None:
        """The change as a ratio; None where there was nothing before."""
        return change(float(self.current), float(self.preceding))

    @property
    def points(self) -> list[Point]:
        """Every bucket that has begun, those without anything as zero."""
        return [Point(at, self._by_bucket.get(at, Decimal(0))) for at in self.comparison.buckets()]

    def add(self, bucket: datetime | None, value: Decimal) -> None:
        """Count a value to a bucket of the period, or (None) to the period before."""
        if bucket is None:
            self.preceding += value
        else:
            self.current += value
            self._by_bucket[bucket] = self._by_bucket.get(bucket, Decimal(0)) + value


@dataclass(slots=True)
class SessionFigures:
    """What finished sessions of a period came to; energy in Wh, revenue (with VAT) per currency."""

    sessions: Figure
    energy_wh: Figure
    revenue: dict[str, Figure]

    def revenue_in(self, currency: str) -> Figure:
        """The revenue in a currency, zero where there is none."""
        return self.revenue.setdefault(currency, Figure(self.sessions.comparison))


#: what a span is of, before the period's own name
_NOW, _BEFORE = "=", "<"

_SPANS = """
unnest(CAST(:names AS text[]), CAST(:starts AS timestamp[]), CAST(:ends AS timestamp[]),
       CAST(:before_starts AS timestamp[]), CAST(:before_ends AS timestamp[]), CAST(:grains AS text[]),
       CAST(:from_ AS timestamptz[]), CAST(:until AS timestamptz[]))
  AS p(name, start, "end", before_start, before_end, grain, coarse_start, coarse_end)
"""
_IN_SPAN = "(r.local >= p.start AND r.local < p.end) OR (r.local >= p.before_start AND r.local < p.before_end)"
_BUCKET = "CASE WHEN r.local >= p.start THEN date_trunc(p.grain, r.local) END"

_GROWTH = text(f"""
SELECT split_part(p.name, '/', 1) AS kind, split_part(p.name, '/', 2) AS name, {_BUCKET} AS bucket, count(*) AS number
FROM {_SPANS} CROSS JOIN LATERAL (
  SELECT created_at AT TIME ZONE :zone AS local FROM charge_point
  WHERE p.name LIKE 'charge_points/%' AND created_at >= p.coarse_start AND created_at < p.coarse_end
  UNION ALL
  SELECT created_at AT TIME ZONE :zone FROM user_account
  WHERE p.name LIKE 'users/%' AND created_at >= p.coarse_start AND created_at < p.coarse_end
) r WHERE {_IN_SPAN} GROUP BY 1, 2, 3
""")  # noqa: S608 (constants of this module only)


def _spans(named: Iterable[tuple[str, Comparison]], zone: str) -> dict[str, Any]:
    rows = list(named)
    return {
        "zone": zone,
        "names": [name for name, _ in rows],
        "starts": [c.current.start for _, c in rows],
        "ends": [c.current.end for _, c in rows],
        "before_starts": [c.preceding.start for _, c in rows],
        "before_ends": [c.preceding.end for _, c in rows],
        "grains": [c.grain.value for _, c in rows],
        "from_": [(c.preceding.start - _ZONE_SLACK).replace(tzinfo=UTC) for _, c in rows],
        "until": [(c.current.end + _ZONE_SLACK).replace(tzinfo=UTC) for _, c in rows],
    }


def session_figures(session: Session, *, comparisons: Collection[Comparison], zone: str) -> dict[str, SessionFigures]:
    """Sessions, energy and revenue of each period, by the period's value. Two queries at most, whatever the number.

    Counted are finished sessions by their end; revenue is the gross total of those that are being paid, paid or
    outstanding. Exact at once: whole days come from the roll-ups, parts of days and what has just changed from the
    sessions.
    """
    found = {c.period.value: SessionFigures(sessions=Figure(c), energy_wh=Figure(c), revenue={}) for c in comparisons}
    if not found:
        return found
    spans = [WallSpan(f"{_NOW}{c.period.value}", c.current.start, c.current.end, c.grain.value) for c in comparisons]
    spans += [WallSpan(f"{_BEFORE}{c.period.value}", c.preceding.start, c.preceding.end) for c in comparisons]
    for row in session_sums(session, spans, zone=zone):
        figures = found[row.name[1:]]
        figures.sessions.add(row.bucket, Decimal(row.sessions))
        figures.energy_wh.add(row.bucket, Decimal(row.energy_wh))
        if row.currency and row.billed:
            figures.revenue_in(row.currency).add(row.bucket, row.gross - row.refunded_gross)
    return found


def growth(
    session: Session, *, charge_points: Comparison | None, users: Comparison | None, zone: str
) -> dict[str, Figure]:
    """New charge points and new users of a period each; what is not asked for is not counted."""
    asked = {"charge_points": charge_points, "users": users}
    found = {kind: Figure(comparison) for kind, comparison in asked.items() if comparison is not None}
    if not found:
        return found
    names = [(f"{kind}/{figure.comparison.period.value}", figure.comparison) for kind, figure in found.items()]
    for row in session.execute(_GROWTH, _spans(names, zone)):
        found[row.kind].add(row.bucket, Decimal(row.number))
    return found


@dataclass(frozen=True, slots=True)
class Active:
    """Sessions that are running now, and what they draw together in W."""

    sessions: int
    power_w: Decimal


def active_sessions(session: Session) -> Active:
    """How many sessions charge (or are being stopped) at this moment, and their total power."""
    row = session.execute(
        text(
            "SELECT count(*) AS sessions, coalesce(sum(power_w), 0) AS power_w FROM charging_session "
            # the first condition is the index's, the second leaves out who has not plugged in yet
            "WHERE status IN ('pending', 'active', 'stopping') AND status <> 'pending' AND NOT 'demo' = ANY(flags)"
        )
    ).one()
    return Active(row.sessions, row.power_w)


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a breakdown: its key in the database (None: not known) and how many."""

    key: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """How the fleet divides. EVSEs by power in W, strongest first; locations by city, most first."""

    evses_by_power: list[Share]
    charge_points_by_access: list[Share]
    locations_by_city: list[Share]


_FLEET = text("""
SELECT 'power' AS part, max_power_w::text AS key, count(*) AS number FROM evse GROUP BY max_power_w
UNION ALL SELECT 'access', access_type, count(*) FROM charge_point GROUP BY access_type
UNION ALL SELECT 'city', nullif(city, ''), count(*) FROM location GROUP BY nullif(city, '')
""")


def fleet(session: Session) -> Fleet:
    """The breakdowns of EVSEs by maximum power, charge points by access type and locations by city. One query."""
    parts: dict[str, list[Share]] = {"power": [], "access": [], "city": []}
    for row in session.execute(_FLEET):
        parts[row.part].append(Share(row.key, row.number))
    return Fleet(
        evses_by_power=sorted(parts["power"], key=lambda share: -int(share.key or 0)),
        charge_points_by_access=sorted(parts["access"], key=lambda share: (-share.number, share.key or "")),
        locations_by_city=sorted(parts["city"], key=lambda share: (-share.number, share.key or "\uffff")),
    )
