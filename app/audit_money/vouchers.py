"""Vouchers and top-ups: what was redeemed stands in the ledger, what was paid for it was charged.

Manual, "Vouchers", "Top-Up Packages"; product.md, "Vouchers, top-ups".
"""

from __future__ import annotations

from app.audit_money.checks import Check, sql_check, within

_VOUCHER = within("coalesce(v.redeemed_at, v.created_at)")
#: what a voucher's payment must be, by the voucher's status
_PAYMENT = """CASE v.status WHEN 'active' THEN t.status = 'succeeded'
                            WHEN 'pending' THEN t.status IN ('pending', 'authentication_required')
                            ELSE t.status IN ('failed', 'cancelled') END"""

CHECKS: tuple[Check, ...] = (
    sql_check(
        "Each redeemed voucher is one credit of its amount",
        f"""
        SELECT v.id, v.code, v.amount, v.currency, v.user_id, v.redeemed_at, e.id AS entry, e.credit
        FROM voucher v
        LEFT JOIN ledger_entry e ON e.voucher_id = v.id
        LEFT JOIN balance_account a ON a.id = e.account_id
        WHERE {_VOUCHER}
          AND ((v.redeemed_at IS NOT NULL
                AND (e.id IS NULL OR e.credit <> v.amount OR e.type <> v.type OR a.user_id IS DISTINCT FROM v.user_id
                     OR a.currency <> v.currency))
               OR (v.redeemed_at IS NULL AND e.id IS NOT NULL))
        ORDER BY v.id""",
        "Voucher {id} ({code}, {amount} {currency}, redeemed at {redeemed_at} by user {user_id}): "
        "ledger entry {entry} credits {credit}.",
    ),
    sql_check(
        "Each credit of a voucher or top-up has its voucher",
        f"""
        SELECT e.id, e.type, e.credit, a.currency, a.user_id
        FROM ledger_entry e
        JOIN balance_account a ON a.id = e.account_id
        WHERE e.voucher_id IS NULL AND {within("e.at")}
          AND (e.type IN ('voucher', 'top_up', 'auto_top_up') OR (e.type = 'operator_top_up' AND e.action_id IS NULL))
        ORDER BY e.id""",
        "Ledger entry {id} ({type} of {credit} {currency} for user {user_id}): no voucher belongs to it.",
    ),
    sql_check(
        "A voucher is what was paid for it and its bonus",
        f"""
        SELECT v.id, v.code, v.amount, v.paid_amount, v.bonus
        FROM voucher v
        WHERE v.paid_amount IS NOT NULL AND v.amount <> v.paid_amount + v.bonus AND {_VOUCHER}
        ORDER BY v.id""",
        "Voucher {id} ({code}): its amount is {amount}, {paid_amount} were paid and the bonus is {bonus}.",
    ),
    sql_check(
        "A top-up is paid by one charge of its price",
        f"""
        SELECT v.id, v.code, v.type, v.status, v.paid_amount, v.currency, t.id AS payment, t.amount,
               t.currency AS charged_currency, t.status AS state
        FROM voucher v
        LEFT JOIN transaction t ON t.id = v.transaction_id
        WHERE v.type IN ('top_up', 'auto_top_up') AND {_VOUCHER}
          AND (t.id IS NULL OR t.type <> 'charge' OR t.purpose <> 'top_up' OR v.paid_amount IS DISTINCT FROM t.amount
               OR t.currency <> v.currency OR t.user_id IS DISTINCT FROM v.user_id OR NOT {_PAYMENT}
               OR (v.status = 'active' AND v.redeemed_at IS NULL))
        ORDER BY v.id""",
        "Voucher {id} ({code}, {type}, {status}): its price is {paid_amount} {currency}, its payment {payment} is "
        "{amount} {charged_currency} and {state}.",
    ),
    sql_check(
        "A charge for a top-up has its voucher",
        f"""
        SELECT t.id, t.amount, t.currency, t.status, t.user_id
        FROM transaction t
        LEFT JOIN voucher v ON v.transaction_id = t.id
        WHERE t.purpose = 'top_up' AND t.type = 'charge' AND v.id IS NULL AND {within("t.created_at")}
        ORDER BY t.id""",
        "Transaction {id} ({status}): user {user_id} is charged {amount} {currency} for a top-up that has no voucher.",
    ),
    sql_check(
        "What is given back of a top-up leaves the balance",
        f"""
        SELECT t.id, t.amount, t.currency, t.user_id, e.id AS entry, e.debit
        FROM transaction t
        LEFT JOIN ledger_entry e ON e.reference = 'refund:' || t.id
        LEFT JOIN balance_account a ON a.id = e.account_id
        WHERE t.purpose = 'top_up' AND t.type = 'refund' AND t.status = 'succeeded' AND {within("t.created_at")}
          AND (e.id IS NULL OR e.debit <> t.amount OR a.user_id IS DISTINCT FROM t.user_id OR a.currency <> t.currency)
        ORDER BY t.id""",
        "Transaction {id}: {amount} {currency} of a top-up were given back to user {user_id}, "
        "where ledger entry {entry} debits {debit}.",
    ),
)
