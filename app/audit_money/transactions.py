"""Transactions among themselves: refunds and what they give back, holds and what became of them, what got stuck."""

from __future__ import annotations

from app.audit_money.checks import NOW, Check, sql_check, within

#: processors keep idempotency keys for a day: what is not answered then is nobody's knowledge any more
_ANSWERED_WITHIN = "interval '1 day'"
_CREATED = within("t.created_at")
_HELD = "t.type = 'preauthorization'"

CHECKS: tuple[Check, ...] = (
    sql_check(
        "Nothing is pending for more than a day",
        f"""
        SELECT t.id, t.type, t.amount, t.currency, t.created_at, t.failure_reason
        FROM transaction t
        WHERE t.status = 'pending' AND t.updated_at < {NOW} - {_ANSWERED_WITHIN} AND {_CREATED}
        ORDER BY t.id""",
        "Transaction {id} ({type} of {amount} {currency}): pending since {created_at}; last problem: {failure_reason}.",
    ),
    sql_check(
        "No more is refunded than was paid",
        f"""
        SELECT t.id, t.type, t.status, t.amount, t.currency, refunds.amount AS refunded
        FROM transaction t
        JOIN (
            SELECT parent_id, sum(amount) AS amount FROM transaction
            WHERE type = 'refund' AND status IN ('pending', 'succeeded') GROUP BY parent_id
        ) refunds ON refunds.parent_id = t.id
        WHERE {_CREATED}
          AND (refunds.amount > t.amount OR t.status <> 'succeeded' OR t.type NOT IN ('charge', 'capture'))
        ORDER BY t.id""",
        "Transaction {id} ({type} of {amount} {currency}, {status}): {refunded} {currency} of it are refunded.",
    ),
    sql_check(
        "A capture, void or refund is of its parent's session, user and currency",
        f"""
        SELECT t.id, t.type, p.id AS parent
        FROM transaction t
        JOIN transaction p ON p.id = t.parent_id
        WHERE {_CREATED} AND (t.session_id IS DISTINCT FROM p.session_id OR t.user_id IS DISTINCT FROM p.user_id
               OR t.currency <> p.currency OR t.purpose <> p.purpose)
        ORDER BY t.id""",
        "Transaction {id} ({type}): its parent {parent} is of another session, user, currency or purpose.",
    ),
    sql_check(
        "A pre-authorization is captured once at most, for no more than it held",
        f"""
        SELECT t.id, t.status, t.amount, t.currency, captures.count, captures.amount AS captured
        FROM transaction t
        JOIN (
            SELECT parent_id, count(*) AS count, sum(amount) AS amount FROM transaction
            WHERE type = 'capture' AND status IN ('pending', 'succeeded') GROUP BY parent_id
        ) captures ON captures.parent_id = t.id
        WHERE {_CREATED}
          AND (captures.count > 1 OR captures.amount > t.amount OR t.status <> 'succeeded' OR NOT ({_HELD}))
        ORDER BY t.id""",
        "Pre-authorization {id} ({amount} {currency}, {status}): captured {count} times, {captured} {currency} in all.",
    ),
    sql_check(
        "A pre-authorization is closed when it was captured or voided, and only then",
        f"""
        SELECT t.id, t.closed_at, ends.type AS ended_by
        FROM transaction t
        LEFT JOIN (
            SELECT parent_id, min(type) AS type FROM transaction
            WHERE type IN ('capture', 'void') AND status = 'succeeded' GROUP BY parent_id
        ) ends ON ends.parent_id = t.id
        WHERE {_HELD} AND t.status = 'succeeded' AND {_CREATED}
          AND (t.closed_at IS NULL) <> (ends.parent_id IS NULL)
        ORDER BY t.id""",
        "Pre-authorization {id}: closed at {closed_at}, while what ended it is {ended_by}.",
    ),
    sql_check(
        "No pre-authorization outlives its session by more than a day",
        f"""
        SELECT t.id, t.amount, t.currency, t.session_id, coalesce(s.stopped_at, s.created_at, t.created_at) AS since
        FROM transaction t
        LEFT JOIN charging_session s ON s.id = t.session_id
        WHERE {_HELD} AND t.status = 'succeeded' AND t.closed_at IS NULL AND {_CREATED}
          AND (s.id IS NULL OR s.status IN ('finished', 'failed'))
          AND coalesce(s.stopped_at, s.created_at, t.created_at) < {NOW} - interval '1 day'
        ORDER BY t.id""",
        "Pre-authorization {id} (session {session_id}): {amount} {currency} are still held; "
        "it has been over since {since}.",
    ),
)
