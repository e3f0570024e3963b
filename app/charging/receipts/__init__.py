"""Which charging sessions are due to go on a receipt, and the clockwork that issues them. Manual, "Receipts"."""
