"""The Test processor's own books beside our transactions: it stands for somebody outside, who has what it has.

An order's key is a transaction's, with the number of the attempt behind it from the second on (key#2).
"""

from __future__ import annotations

from app.audit_money.checks import Check, sql_check, within

_AT = within("r.at")

#: the record of an order with the transaction it is an attempt of
_ATTEMPTS = """
    SELECT r.*, t.id AS transaction_id
    FROM test_processor_record r
    LEFT JOIN transaction t ON t.idempotency_key = regexp_replace(r.key, '#[0-9]+$', '')"""
_DONE = "r.state IN ('charged', 'held', 'captured', 'voided', 'refunded')"

CHECKS: tuple[Check, ...] = (
    sql_check(
        "The Test processor did nothing that we do not know",
        f"""
        SELECT r.id, r.operation, r.amount, r.currency, r.key
        FROM ({_ATTEMPTS}) r
        WHERE {_DONE} AND r.transaction_id IS NULL AND {_AT}
        ORDER BY r.id""",
        "Test processor's record {id}: {operation} of {amount} {currency} (key {key}) is no transaction of ours.",
    ),
    sql_check(
        "The Test processor did nothing twice",
        f"""
        SELECT r.transaction_id AS id, count(*) AS count, sum(r.amount) AS amount, min(r.currency) AS currency
        FROM ({_ATTEMPTS}) r
        WHERE {_DONE} AND r.transaction_id IS NOT NULL AND {_AT}
        GROUP BY r.transaction_id HAVING count(*) > 1
        ORDER BY r.transaction_id""",
        "Transaction {id}: the Test processor did it {count} times, {amount} {currency} in all.",
    ),
    sql_check(
        "What the Test processor did has succeeded here, with its amount",
        f"""
        SELECT t.id, t.type, t.status, t.amount, t.currency, r.operation, r.state,
               r.amount AS done, r.currency AS done_currency
        FROM ({_ATTEMPTS}) r
        JOIN transaction t ON t.id = r.transaction_id
        WHERE {_DONE} AND {_AT} AND t.status <> 'pending'
          AND (t.status <> 'succeeded' OR t.processor <> 'test' OR t.processor_reference IS DISTINCT FROM r.reference
               OR t.amount <> r.amount OR t.currency <> r.currency OR t.type <> r.operation)
        ORDER BY t.id""",
        "Transaction {id} ({type} of {amount} {currency}, {status}): by the Test processor it is {operation} of "
        "{done} {done_currency}, {state}.",
    ),
    sql_check(
        "What succeeded here was done by the Test processor",
        f"""
        SELECT t.id, t.type, t.amount, t.currency, t.processor_reference
        FROM transaction t
        LEFT JOIN test_processor_record r ON r.reference = t.processor_reference AND {_DONE}
        WHERE t.processor = 'test' AND t.status = 'succeeded' AND r.id IS NULL AND {within("t.created_at")}
        ORDER BY t.id""",
        "Transaction {id} ({type} of {amount} {currency}): the Test processor knows nothing of {processor_reference}.",
    ),
)
