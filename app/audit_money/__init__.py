"""Whether all the books say the same: sessions, transactions, balances, vouchers, the processor's, receipts.

`flask --app wsgi audit-money` asks every question there is and lists each difference with its numbers. It reads, and
changes nothing. product.md, "Month-end check".
"""
