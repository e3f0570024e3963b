"""The versions of sessions' prices: an unbroken chain whose last one is the price, and whose steps are the money moved.

Issue "ACTIVITY": corrections are new versions, never edits.
"""

from __future__ import annotations

from app.audit_money.checks import Check, sql_check, within

_STOPPED = within("coalesce(s.stopped_at, s.created_at)")

CHECKS: tuple[Check, ...] = (
    sql_check(
        "A priced session is what the last version of its price says",
        f"""
        SELECT s.id, s.price_version, s.total_gross, s.currency, v.number, v.total_gross AS kept, v.user_id AS kept_for,
               s.user_id
        FROM charging_session s
        LEFT JOIN session_price_version v ON v.session_id = s.id AND v.number = s.price_version
        WHERE s.total_gross IS NOT NULL AND {_STOPPED}
          AND ((v.total_gross, v.total_net, v.total_vat, v.currency) IS DISTINCT FROM
               (s.total_gross, s.total_net, s.total_vat, s.currency)
               OR v.price_lines IS DISTINCT FROM coalesce(s.price_lines, '[]')
               OR v.user_id IS DISTINCT FROM s.user_id
               OR v.tariff_snapshot IS DISTINCT FROM coalesce(s.tariff_snapshot, '{{}}'))
        ORDER BY s.id""",
        "Session {id} (user {user_id}): it costs {total_gross} {currency}, version {price_version} of its price says "
        "{kept} for user {kept_for}.",
    ),
    sql_check(
        "The versions of a price have no gaps",
        f"""
        SELECT s.id, s.price_version, count(v.id) AS count, max(v.number) AS last
        FROM charging_session s
        JOIN session_price_version v ON v.session_id = s.id
        WHERE {_STOPPED}
        GROUP BY s.id HAVING count(v.id) <> s.price_version OR max(v.number) <> s.price_version
        ORDER BY s.id""",
        "Session {id}: its price has version {price_version}, but {count} are kept, the last of them {last}.",
    ),
    sql_check(
        "Refunds of a correction are what its version says was given back",
        f"""
        SELECT v.session_id AS id, v.number, v.given_back, v.withdrawn, v.currency,
               coalesce(moved.refunded, 0) AS refunded, coalesce(moved.withdrawn, 0) AS cancelled
        FROM session_price_version v
        JOIN charging_session s ON s.id = v.session_id
        LEFT JOIN (
            SELECT session_id, correction,
                   sum(amount) FILTER (WHERE type = 'refund'
                                       AND idempotency_key LIKE 'session_%_v%_refund_%') AS refunded,
                   sum(amount) FILTER (WHERE type = 'charge' AND status = 'cancelled'
                                       AND failure_reason LIKE 'Withdrawn%') AS withdrawn
            FROM transaction WHERE correction IS NOT NULL GROUP BY session_id, correction
        ) moved ON moved.session_id = v.session_id AND moved.correction = v.number
        WHERE {_STOPPED}
          AND v.given_back + v.withdrawn <> coalesce(moved.refunded, 0) + coalesce(moved.withdrawn, 0)
        ORDER BY v.session_id, v.number""",
        "Session {id}, version {number}: {given_back} {currency} were to be given back and {withdrawn} withdrawn; its "
        "transactions give back {refunded} and withdraw {cancelled}.",
    ),
)
