"""Whether receipts agree with themselves, with the sessions on them and with their numbers: for `audit-money`.

Each check is one statement over whole tables, and says in plain words what is not as it should be.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

#: the statement, and what a row of it means
CHECKS: tuple[tuple[str, str], ...] = (
    (
        """
        SELECT r.full_number, r.total_gross, r.total_net, r.total_vat,
               coalesce(sum(l.gross), 0) AS gross, coalesce(sum(l.net), 0) AS net, coalesce(sum(l.vat), 0) AS vat
        FROM receipt r LEFT JOIN receipt_line l ON l.receipt_id = r.id
        GROUP BY r.id
        HAVING r.total_gross <> coalesce(sum(l.gross), 0) OR r.total_net <> coalesce(sum(l.net), 0)
            OR r.total_vat <> coalesce(sum(l.vat), 0)
        ORDER BY r.id
        """,
        "Receipt {full_number} says {total_gross} = {total_net} + {total_vat}, but its lines add up to "
        "{gross} = {net} + {vat}.",
    ),
    (
        """
        SELECT r.full_number, l.session_id, l.price_version, so_far.gross, r.currency,
               coalesce(v.total_gross, s.total_gross) AS price, coalesce(v.currency, s.currency) AS session_currency
        FROM receipt_line l
        JOIN receipt r ON r.id = l.receipt_id
        JOIN charging_session s ON s.id = l.session_id
        LEFT JOIN session_price_version v ON v.session_id = l.session_id AND v.number = l.price_version
        CROSS JOIN LATERAL (
            SELECT coalesce((SELECT sum(o.gross) FROM receipt_line o JOIN receipt p ON p.id = o.receipt_id
                             WHERE o.session_id = l.session_id AND o.kind = 'receipt' AND p.user_id = r.user_id
                               AND o.price_version <= l.price_version), 0)
                 - coalesce((SELECT sum(t.amount) FROM transaction t
                             WHERE t.session_id = l.session_id AND t.user_id = r.user_id AND t.type = 'refund'
                               AND t.status = 'succeeded' AND t.correction <= l.price_version
                               AND EXISTS (SELECT FROM receipt_line e JOIN receipt q ON q.id = e.receipt_id
                                           WHERE e.session_id = t.session_id AND e.kind = 'receipt'
                                             AND q.user_id = t.user_id AND e.price_version < t.correction)), 0) AS gross
        ) so_far
        WHERE l.kind = 'receipt'
          AND (so_far.gross <> coalesce(v.total_gross, s.total_gross)
               OR coalesce(v.currency, s.currency) IS DISTINCT FROM r.currency)
        ORDER BY l.id
        """,
        "Up to receipt {full_number}, receipts say {gross} {currency} of session {session_id}, but version "
        "{price_version} of its price is {price} {session_currency}.",
    ),
    (
        """
        SELECT r.full_number, l.session_id, l.gross, l.net, l.vat, s.total_gross, s.total_net, s.total_vat
        FROM receipt_line l JOIN receipt r ON r.id = l.receipt_id JOIN charging_session s ON s.id = l.session_id
        WHERE l.kind = 'receipt' AND l.price_version = s.price_version AND l.gross = s.total_gross
          AND (l.net, l.vat) IS DISTINCT FROM (s.total_net, s.total_vat)
        ORDER BY l.id
        """,
        "Receipt {full_number} has session {session_id} with {gross} = {net} + {vat}, but the session cost "
        "{total_gross} = {total_net} + {total_vat}.",
    ),
    (
        """
        SELECT session_id, price_version, count(*) AS times FROM receipt_line WHERE kind = 'receipt'
        GROUP BY session_id, price_version HAVING count(*) > 1 ORDER BY session_id
        """,
        "Session {session_id} is on {times} receipts.",
    ),
    (
        """
        SELECT r.full_number, l.session_id, coalesce(v.user_id, s.user_id) AS driver, r.user_id AS recipient,
               s.payment_status
        FROM receipt_line l
        JOIN receipt r ON r.id = l.receipt_id
        JOIN charging_session s ON s.id = l.session_id
        LEFT JOIN session_price_version v ON v.session_id = l.session_id AND v.number = l.price_version
        WHERE l.kind = 'receipt'
          AND (coalesce(v.user_id, s.user_id) IS DISTINCT FROM r.user_id
               OR (l.price_version = s.price_version
                   AND (s.payment_status NOT IN ('paid', 'refunded') OR s.paid_from = 'corporate')))
        ORDER BY l.id
        """,
        "Receipt {full_number} of user {recipient} has session {session_id} of user {driver}, which is "
        "{payment_status}.",
    ),
    (
        """
        SELECT series, year, number AS after, next - 1 AS until
        FROM (SELECT series, year, number, lead(number) OVER (PARTITION BY series, year ORDER BY number) AS next
              FROM (SELECT series, year, number FROM receipt
                    UNION ALL SELECT DISTINCT series, year, 0 FROM receipt) numbers) steps
        WHERE next > number + 1 ORDER BY series, year, number
        """,
        "Series {series} of {year} has no number between {after} and the one after {until}.",
    ),
    (
        """
        SELECT c.series, c.year, c.last_number, coalesce(max(r.number), 0) AS given
        FROM receipt_counter c LEFT JOIN receipt r ON r.series = c.series AND r.year = c.year
        GROUP BY c.series, c.year HAVING c.last_number <> coalesce(max(r.number), 0)
        """,
        "Series {series} of {year} counts up to {last_number}, but its last receipt has number {given}.",
    ),
    (
        """
        SELECT r.full_number, r.refund_id, r.total_gross, r.currency, t.type, t.status, t.amount,
               t.currency AS refund_currency
        FROM receipt r JOIN transaction t ON t.id = r.refund_id
        WHERE t.type <> 'refund' OR t.status <> 'succeeded'
           OR (t.amount, t.currency) IS DISTINCT FROM (r.total_gross, r.currency)
        ORDER BY r.id
        """,
        "Credit note {full_number} gives back {total_gross} {currency}, but transaction {refund_id} is a {status} "
        "{type} of {amount} {refund_currency}.",
    ),
    (
        """
        SELECT session_id, sum(gross) FILTER (WHERE kind = 'receipt') AS paid,
               sum(gross) FILTER (WHERE kind = 'credit_note') AS given_back
        FROM receipt_line
        GROUP BY session_id
        HAVING coalesce(sum(gross) FILTER (WHERE kind = 'credit_note'), 0)
               > coalesce(sum(gross) FILTER (WHERE kind = 'receipt'), 0)
        ORDER BY session_id
        """,
        "Credit notes give back {given_back} of session {session_id}, for which the receipt says {paid}.",
    ),
    (
        """
        SELECT c.full_number, r.full_number AS corrected FROM receipt c
        LEFT JOIN receipt r ON r.id = c.corrects_id
        WHERE c.kind = 'credit_note'
          AND (r.kind <> 'receipt' OR r.user_id <> c.user_id OR r.currency <> c.currency OR c.refund_id IS NULL)
        ORDER BY c.id
        """,
        "Credit note {full_number} does not fit receipt {corrected}: another user or currency, or no refund.",
    ),
)


def receipts_differences(session: Session) -> Iterator[str]:
    """Each difference as a sentence; none when receipts, credit notes, sessions and refunds agree."""
    for statement, sentence in CHECKS:
        for row in session.execute(text(statement)).mappings():
            yield sentence.format(**{name: _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    """Amounts without the zeros that the database keeps."""
    return f"{value.normalize():f}" if hasattr(value, "normalize") else value
