"""Charging sessions: their own sums, what was moved for them, and what they say of their payment.

product.md, "Pricing" and "Money"; manual, "Charging Sessions".
"""

from __future__ import annotations

from app.audit_money.checks import NOW, Check, sql_check, within

#: a finished session is billed by the clockwork within a minute; later something is in the way
BILLED_WITHIN = "interval '1 hour'"

_STOPPED = within("coalesce(s.stopped_at, s.created_at)")
_BILLED = "s.payment_status IN ('processing', 'paid', 'outstanding', 'refunded')"

#: what charges and captures came to, by session. What a processor has declined moved nothing, unless it is looked up
#: again because nobody knows; what was written off is waived. A correction of the price withdraws a charge, or gives
#: back of it: then that much was not for this session
_LIVE = "(t.status NOT IN ('failed', 'cancelled') OR (t.status = 'failed' AND t.next_attempt_at IS NOT NULL))"
_TAKES = "t.type IN ('charge', 'capture')"
_MOVED = f"""
    SELECT t.session_id,
           coalesce(sum(t.amount) FILTER (WHERE {_TAKES} AND {_LIVE}), 0)
           - coalesce(sum(t.amount) FILTER (WHERE t.type = 'refund' AND {_LIVE}), 0) AS amount,
           coalesce(sum(t.amount) FILTER (WHERE t.type = 'charge' AND t.status = 'cancelled'
                                          AND t.correction IS NULL), 0) AS waived,
           coalesce(sum(t.amount) FILTER (WHERE {_TAKES} AND t.status = 'succeeded'), 0) AS paid,
           coalesce(sum(t.amount) FILTER (WHERE t.type = 'refund'
                                          AND t.status NOT IN ('failed', 'cancelled')), 0) AS corrected,
           coalesce(bool_or({_TAKES} AND t.status = 'pending'), false) AS asked,
           coalesce(bool_or({_TAKES} AND t.status IN ('outstanding', 'authentication_required')), false) AS owed,
           count(*) FILTER (WHERE {_TAKES}) AS takes,
           min(t.currency) AS currency, max(t.currency) AS other_currency
    FROM transaction t
    WHERE ({_TAKES} OR (t.type = 'refund' AND t.correction IS NOT NULL))
      AND t.purpose = 'session' AND t.session_id IS NOT NULL
    GROUP BY t.session_id"""

#: what was given back, by session
_GIVEN_BACK = """
    SELECT t.session_id, sum(t.amount) AS amount
    FROM transaction t
    WHERE t.type = 'refund' AND t.status = 'succeeded' AND t.session_id IS NOT NULL
    GROUP BY t.session_id"""

CHECKS: tuple[Check, ...] = (
    sql_check(
        "The lines of a session add up to its total",
        f"""
        SELECT s.id, s.currency, s.total_gross, coalesce(lines.amount, 0) AS lines
        FROM charging_session s
        CROSS JOIN LATERAL (
            SELECT sum((line ->> 'amount')::numeric) AS amount
            FROM jsonb_array_elements(CASE jsonb_typeof(s.price_lines) WHEN 'array' THEN s.price_lines END) line
        ) lines
        WHERE s.total_gross IS NOT NULL AND {_STOPPED} AND coalesce(lines.amount, 0) <> s.total_gross
        ORDER BY s.id""",
        "Session {id}: its lines add up to {lines} {currency}, its total is {total_gross} {currency}.",
    ),
    sql_check(
        "Net and VAT of a session are its total",
        f"""
        SELECT s.id, s.total_net, s.total_vat, s.total_gross
        FROM charging_session s
        WHERE s.total_gross IS NOT NULL AND {_STOPPED}
          AND (s.total_net + s.total_vat IS DISTINCT FROM s.total_gross OR s.currency IS NULL)
        ORDER BY s.id""",
        "Session {id}: net {total_net} and VAT {total_vat} are not its total of {total_gross}, or it has no currency.",
    ),
    sql_check(
        "A finished session is billed",
        f"""
        SELECT s.id, s.stopped_at, s.payment_status, s.total_gross
        FROM charging_session s
        WHERE s.status = 'finished' AND {_STOPPED}
          AND ((s.payment_status = 'pending'
                AND coalesce(s.stop_received_at, s.stopped_at) < {NOW} - {BILLED_WITHIN})
               OR ({_BILLED} AND s.total_gross IS NULL))
        ORDER BY s.id""",
        "Session {id}: finished at {stopped_at}, its payment status is {payment_status}, its total {total_gross}.",
    ),
    sql_check(
        "Charges and captures of a session come to its total",
        f"""
        SELECT s.id, s.payment_status, s.currency, coalesce(s.total_gross, 0) AS total, coalesce(m.amount, 0) AS moved,
               coalesce(m.waived, 0) AS waived
        FROM charging_session s
        LEFT JOIN ({_MOVED}) m ON m.session_id = s.id
        WHERE {_STOPPED}
          AND coalesce(m.amount, 0) <> CASE WHEN {_BILLED}
                                            THEN coalesce(s.total_gross, 0) - coalesce(m.waived, 0) ELSE 0 END
        ORDER BY s.id""",
        "Session {id} ({payment_status}): its transactions come to {moved} ({waived} written off), "
        "its total is {total} {currency}.",
    ),
    sql_check(
        "A session and its transactions have one currency",
        f"""
        SELECT s.id, s.currency, m.currency AS one, m.other_currency AS other
        FROM charging_session s
        JOIN ({_MOVED}) m ON m.session_id = s.id
        WHERE {_STOPPED} AND (m.currency IS DISTINCT FROM s.currency OR m.other_currency IS DISTINCT FROM s.currency)
        ORDER BY s.id""",
        "Session {id}: it is billed in {currency}, its transactions are in {one} and {other}.",
    ),
    sql_check(
        "The payment status of a session fits its transactions",
        f"""
        SELECT found.* FROM (
            SELECT s.id, s.payment_status,
                   CASE WHEN m.asked THEN 'processing'
                        WHEN m.owed THEN 'outstanding'
                        WHEN coalesce(m.paid - m.corrected + m.waived, 0) < s.total_gross THEN 'processing'
                        WHEN m.paid = 0 THEN 'not_billed'
                        WHEN coalesce(b.amount, 0) >= m.paid THEN 'refunded'
                        ELSE 'paid' END AS expected
            FROM charging_session s
            LEFT JOIN ({_MOVED}) m ON m.session_id = s.id
            LEFT JOIN ({_GIVEN_BACK}) b ON b.session_id = s.id
            WHERE {_BILLED} AND {_STOPPED}
        ) found
        WHERE found.payment_status <> found.expected
        ORDER BY found.id""",
        "Session {id}: its payment status is {payment_status}, by its transactions it is {expected}.",
    ),
)
