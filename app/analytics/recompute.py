"""Computing roll-ups anew: the buckets of some EVSEs' days, or all of some days, and what is added up from them.

A pure function of the sessions, so that it may be repeated. Whoever calls it holds ``lock``, taken as a statement of
its own before anything is read: in READ COMMITTED every later statement sees what was committed until then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics.source import DAYS, MEASURES, measured, sums

_LOCK = 0x5359_4155


@dataclass(frozen=True, slots=True)
class Zoned:
    """A generation as computing needs it: its number and its time zone."""

    id: int
    zone: str


#: an EVSE's day
Key = tuple[int, date]

_KEYS = "unnest(CAST(:evses AS bigint[]), CAST(:days AS date[])) AS k(evse_id, day)"
_FORGET_KEYS = text(f"""
DELETE FROM an_evse_day b USING {_KEYS} WHERE b.generation = :generation AND b.day = k.day AND b.evse_id = k.evse_id
""")
_OF_KEY = "s.evse_id = k.evse_id AND {at} >= d.t0 AND {at} < d.t1 AND ({at} AT TIME ZONE :zone)::date = k.day"
_FILL_KEYS = text(f"""
INSERT INTO an_evse_day (generation, day, evse_id, partner_id, currency, {MEASURES})
SELECT :generation, k.day, k.evse_id, r.partner_id, r.currency, {sums("r")}
FROM {_KEYS} JOIN an_day d ON d.generation = :generation AND d.day = k.day
CROSS JOIN LATERAL {measured(_OF_KEY)} r
GROUP BY k.day, k.evse_id, r.partner_id, r.currency
""")

_FORGET_SPAN = text("DELETE FROM an_evse_day WHERE generation = :generation AND day >= :first AND day < :until")
_OF_SPAN = (
    "{at} >= :t0 AND {at} < :t1 AND ({at} AT TIME ZONE :zone)::date >= :first"
    " AND ({at} AT TIME ZONE :zone)::date < :until"
)
OF_SPAN_SQL = f"""
SELECT (r.at AT TIME ZONE :zone)::date AS day, r.evse_id, r.partner_id, r.currency, {sums("r")}
FROM {measured(_OF_SPAN)} r GROUP BY 1, 2, 3, 4
"""
_FILL_SPAN = text(f"""
INSERT INTO an_evse_day (day, evse_id, partner_id, currency, {MEASURES}, generation)
SELECT f.*, :generation FROM ({OF_SPAN_SQL}) f
""")
BOUNDS = text(
    "SELECT min(t0) AS t0, max(t1) AS t1 FROM an_day WHERE generation = :generation AND day >= :first AND day < :until"
)

_MONTHS = "unnest(CAST(:evses AS bigint[]), CAST(:months AS date[])) AS k(evse_id, month)"
_FORGET_MONTHS = text(f"""
DELETE FROM an_evse_month b USING {_MONTHS}
WHERE b.generation = :generation AND b.month = k.month AND b.evse_id = k.evse_id
""")
_FILL_MONTHS = text(f"""
INSERT INTO an_evse_month (generation, month, evse_id, partner_id, currency, {MEASURES})
SELECT :generation, k.month, k.evse_id, b.partner_id, b.currency, {sums("b")}
FROM {_MONTHS} JOIN an_evse_day b ON b.generation = :generation AND b.evse_id = k.evse_id
  AND b.day >= k.month AND b.day < k.month + interval '1 month'
GROUP BY k.month, k.evse_id, b.partner_id, b.currency
""")
_FORGET_WHOLE_MONTH = text("DELETE FROM an_evse_month WHERE generation = :generation AND month = :month")
_FILL_WHOLE_MONTH = text(f"""
INSERT INTO an_evse_month (generation, month, evse_id, partner_id, currency, {MEASURES})
SELECT :generation, :month, b.evse_id, b.partner_id, b.currency, {sums("b")} FROM an_evse_day b
WHERE b.generation = :generation AND b.day >= :month AND b.day < CAST(:month AS date) + interval '1 month'
GROUP BY b.evse_id, b.partner_id, b.currency
""")

_FORGET_TOTALS = text("DELETE FROM an_tot_day WHERE generation = :generation AND day = ANY(CAST(:days AS date[]))")
TOTALS_SQL = f"""
SELECT b.day, b.partner_id, l.country, e.type AS kind, b.currency, {sums("b")}
FROM an_evse_day b JOIN evse e ON e.id = b.evse_id JOIN charge_point p ON p.id = e.charge_point_id
JOIN charging_zone z ON z.id = p.zone_id JOIN location l ON l.id = z.location_id
WHERE b.generation = :generation AND b.day = ANY(CAST(:days AS date[]))
GROUP BY b.day, b.partner_id, l.country, e.type, b.currency
"""
_FILL_TOTALS = text(f"""
INSERT INTO an_tot_day (day, partner_id, country, kind, currency, {MEASURES}, generation)
SELECT f.*, :generation FROM ({TOTALS_SQL}) f
""")


def lock(session: Session) -> None:
    """Let nobody else compute roll-ups until this transaction ends. Before anything else is read."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def know_days(session: Session, generation: Zoned, days: Iterable[date]) -> None:
    """Note where days lie in the generation's zone, unless they are known."""
    session.execute(text(DAYS), {"generation": generation.id, "zone": generation.zone, "days": sorted(set(days))})


def recompute_keys(session: Session, generation: Zoned, keys: Collection[Key]) -> None:
    """Compute some EVSEs' days anew, the months they are in, and the totals of the days."""
    if not keys:
        return
    evses, days = [evse for evse, _ in keys], [day for _, day in keys]
    know_days(session, generation, days)
    asked = {"generation": generation.id, "zone": generation.zone, "evses": evses, "days": days}
    session.execute(_FORGET_KEYS, asked)
    session.execute(_FILL_KEYS, asked)
    months = sorted({(evse, day.replace(day=1)) for evse, day in keys})
    asked_months = {
        "generation": generation.id,
        "evses": [evse for evse, _ in months],
        "months": [month for _, month in months],
    }
    session.execute(_FORGET_MONTHS, asked_months)
    session.execute(_FILL_MONTHS, asked_months)
    recompute_totals(session, generation, set(days))


def recompute_month(session: Session, generation: Zoned, month: date) -> None:
    """Compute everything of a calendar month anew; ``month`` is its first day."""
    until = (month + timedelta(days=31)).replace(day=1)
    days = [month + timedelta(days=number) for number in range((until - month).days)]
    know_days(session, generation, days)
    asked = span(session, generation, month, until)
    session.execute(_FORGET_SPAN, asked)
    session.execute(_FILL_SPAN, asked)
    asked_month = {"generation": generation.id, "month": month}
    session.execute(_FORGET_WHOLE_MONTH, asked_month)
    session.execute(_FILL_WHOLE_MONTH, asked_month)
    recompute_totals(session, generation, days)


def span(session: Session, generation: Zoned, first: date, until: date) -> dict[str, object]:
    """What ``OF_SPAN_SQL`` asks for: the days from ``first`` before ``until``, which must be known."""
    asked = {"generation": generation.id, "first": first, "until": until}
    bounds = session.execute(BOUNDS, asked).one()
    return {**asked, "zone": generation.zone, "t0": bounds.t0, "t1": bounds.t1}


def recompute_totals(session: Session, generation: Zoned, days: Collection[date]) -> None:
    """Add the EVSEs' days up anew, by what the EVSEs are now."""
    asked = {"generation": generation.id, "days": sorted(days)}
    session.execute(_FORGET_TOTALS, asked)
    session.execute(_FILL_TOTALS, asked)
