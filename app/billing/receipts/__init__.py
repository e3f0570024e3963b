"""Receipts for drivers: numbered, put together, typeset, mailed. Manual, "Receipts"; product.md, "Money".

What goes on a receipt is gathered on the floor above (`app.charging.receipts`), which knows charging sessions.
"""
