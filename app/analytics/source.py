"""What roll-ups are computed from, in SQL: the measures of each session, and where a day lies.

One place, so that what was rolled up and what is computed while somebody waits are the same by construction.
Sessions of Demo stations are left out.
"""

from __future__ import annotations

from app.analytics.models import ADDITIVE, MAXIMUM

#: of which sessions the money counts: what was billed, whether it was had or not, and what was given back
_BILLED = "s.payment_status IN ('processing', 'paid', 'outstanding', 'refunded')"
#: an amount in minor units; a currency has 0 to 3 decimals
_MINOR = "coalesce(round({} * (ARRAY[1, 10, 100, 1000])[c.exponent + 1]), 0)::bigint"
_DURATION = "coalesce(extract(epoch FROM s.stopped_at - s.started_at), 0)::bigint"
_CHARGING = (
    "greatest(0, coalesce(extract(epoch FROM least(s.charging_ended_at, s.stopped_at) - s.started_at), 0))::bigint"
)


def _billed(amount: str) -> str:
    return f"CASE WHEN {_BILLED} THEN {_MINOR.format(amount)} ELSE 0 END"


_FINISHED = f"""
SELECT s.evse_id, s.partner_id, coalesce(s.currency, '') AS currency, s.stopped_at AS at,
       1 AS sessions, 0 AS failed, round(s.energy_wh)::bigint AS energy_wh,
       {_DURATION} AS duration_s, {_CHARGING} AS charging_s, {_DURATION} - {_CHARGING} AS idle_s,
       CASE WHEN {_BILLED} AND s.total_gross IS NOT NULL THEN 1 ELSE 0 END AS billed,
       {_billed("s.total_gross")} AS gross, {_billed("s.total_gross")} - {_billed("s.total_vat")} AS net,
       {_billed("s.total_vat")} AS vat,
       CASE WHEN s.payment_status = 'refunded' THEN {_MINOR.format("s.total_gross")} ELSE 0 END AS refunded_gross,
       CASE WHEN s.currency IS NULL THEN 0 ELSE {_MINOR.format("back.amount")} END AS refunds,
       coalesce(round(s.max_power_w), 0)::bigint AS peak_w
FROM charging_session s LEFT JOIN currency c ON c.code = s.currency
LEFT JOIN LATERAL (
  SELECT sum(t.amount) AS amount FROM "transaction" t
  WHERE t.session_id = s.id AND t.type = 'refund' AND t.status = 'succeeded' AND t.currency = s.currency
) back ON true
WHERE s.status = 'finished' AND NOT 'demo' = ANY(s.flags)
"""
_FAILED = """
SELECT s.evse_id, s.partner_id, coalesce(s.currency, ''), s.created_at, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM charging_session s
WHERE s.status = 'failed' AND NOT 'demo' = ANY(s.flags)
"""


def measured(where: str) -> str:
    """A sub-select of sessions with their measures and their moment ``at``, for which ``where`` holds.

    In ``where`` ``s`` is the session, and ``{at}`` the moment it belongs to, such that an index can be used.
    """
    finished, failed = (where.format(at=f"s.{column}") for column in ("stopped_at", "created_at"))
    return f"({_FINISHED} AND ({finished}) UNION ALL {_FAILED} AND ({failed}))"


def sums(alias: str) -> str:
    """All measures of many rows together, as columns under their own names."""
    added = [f"sum({alias}.{name})::bigint AS {name}" for name in ADDITIVE]
    return ", ".join([*added, f"max({alias}.{MAXIMUM})::bigint AS {MAXIMUM}"])


MEASURES = ", ".join((*ADDITIVE, MAXIMUM))

_OFFSET = "({at} AT TIME ZONE :zone) - ({at} AT TIME ZONE 'UTC')"
_STEADY = f"({_OFFSET.format(at='(d.m0 - d.slack)')} = {_OFFSET.format(at='(d.m1 + d.slack)')})"

#: a day is what projects onto it: near a change of clocks minute by minute, else from midnight to midnight
DAYS = f"""
INSERT INTO an_day (generation, day, t0, t1, seconds)
SELECT :generation, d.day, coalesce(e.t0, d.m0), coalesce(e.t1, d.m0), coalesce(e.seconds, 0)
FROM (
  SELECT day, (day::timestamp AT TIME ZONE :zone) AS m0, ((day + 1)::timestamp AT TIME ZONE :zone) AS m1,
         interval '26 hours' AS slack
  FROM unnest(CAST(:days AS date[])) AS day
) d CROSS JOIN LATERAL (
  SELECT d.m0 AS t0, d.m1 AS t1, extract(epoch FROM d.m1 - d.m0)::integer AS seconds WHERE {_STEADY}
  UNION ALL
  SELECT min(g), max(g) + interval '1 minute', 60 * count(*)::integer
  FROM generate_series(d.m0 - d.slack, d.m1 + d.slack, interval '1 minute') g
  WHERE NOT {_STEADY} AND (g AT TIME ZONE :zone)::date = d.day HAVING NOT {_STEADY}
) e
ON CONFLICT DO NOTHING
"""
