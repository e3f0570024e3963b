"""Balances: the ledger's own sums, and each movement beside the transaction that speaks of it.

Manual, "Add to User's Balance"; product.md, "Money".
"""

from __future__ import annotations

from app.audit_money.checks import Check, sql_check, within

_BOOKED = within("e.at")
_CREATED = within("t.created_at")

CHECKS: tuple[Check, ...] = (
    sql_check(
        "Each balance follows from the one before",
        f"""
        SELECT e.* FROM (
            SELECT id, account_id, at, credit, debit, balance_after,
                   coalesce(lag(balance_after) OVER (PARTITION BY account_id ORDER BY id), 0) AS before
            FROM ledger_entry
        ) e
        WHERE e.before + e.credit - e.debit <> e.balance_after AND {_BOOKED}
        ORDER BY e.id""",
        "Ledger entry {id} (account {account_id}): {before} plus {credit} minus {debit} is not {balance_after}.",
    ),
    sql_check(
        "An account has what its last entry says",
        """
        SELECT a.id, a.user_id, a.currency, a.balance, coalesce(last.balance_after, 0) AS booked
        FROM balance_account a
        LEFT JOIN (
            SELECT DISTINCT ON (account_id) account_id, balance_after FROM ledger_entry ORDER BY account_id, id DESC
        ) last ON last.account_id = a.id
        WHERE a.balance <> coalesce(last.balance_after, 0)
        ORDER BY a.id""",
        "Balance account {id} of user {user_id}: it says {balance} {currency}, its last entry {booked} {currency}.",
    ),
    sql_check(
        "Each charge to a balance is one debit",
        f"""
        SELECT t.id, t.amount, t.currency, t.user_id, t.session_id, t.processor_reference, e.id AS entry, e.debit
        FROM transaction t
        LEFT JOIN ledger_entry e ON 'ledger:' || e.id = t.processor_reference
        LEFT JOIN balance_account a ON a.id = e.account_id
        WHERE t.processor = 'balance' AND t.type = 'charge' AND t.status IN ('succeeded', 'outstanding') AND {_CREATED}
          AND (e.id IS NULL OR e.debit <> t.amount OR a.currency <> t.currency OR a.user_id IS DISTINCT FROM t.user_id
               OR e.session_id IS DISTINCT FROM t.session_id)
        ORDER BY t.id""",
        "Transaction {id}: {amount} {currency} of user {user_id} for session {session_id} by {processor_reference}, "
        "where ledger entry {entry} debits {debit}.",
    ),
    sql_check(
        "Each refund to a balance is one credit",
        f"""
        SELECT t.id, t.amount, t.currency, t.user_id, t.processor_reference, e.id AS entry, e.credit
        FROM transaction t
        LEFT JOIN ledger_entry e ON 'ledger:' || e.id = t.processor_reference
        LEFT JOIN balance_account a ON a.id = e.account_id
        WHERE t.processor = 'balance' AND t.type = 'refund' AND t.status = 'succeeded' AND {_CREATED}
          AND (e.id IS NULL OR e.credit <> t.amount OR a.currency <> t.currency OR a.user_id IS DISTINCT FROM t.user_id
               OR e.type <> 'refund')
        ORDER BY t.id""",
        "Transaction {id}: {amount} {currency} refunded to user {user_id} by {processor_reference}, "
        "where ledger entry {entry} credits {credit}.",
    ),
    sql_check(
        "Each debit for a session and each refund is a transaction",
        f"""
        SELECT e.id, e.type, e.credit, e.debit, e.session_id, count(t.id) AS count
        FROM ledger_entry e
        LEFT JOIN transaction t ON t.processor_reference = 'ledger:' || e.id AND t.processor = 'balance'
             AND t.status IN ('succeeded', 'outstanding')
             AND t.type = CASE e.type WHEN 'refund' THEN 'refund' ELSE 'charge' END
        WHERE e.type IN ('charging_session', 'refund') AND {_BOOKED}
        GROUP BY e.id HAVING count(t.id) <> 1
        ORDER BY e.id""",
        "Ledger entry {id} ({type}, session {session_id}, credit {credit}, debit {debit}): "
        "{count} transactions belong to it.",
    ),
)
