"""Faults and outages, what is done about them, and who is told. Manual, "Enable Auto-Recovery"."""
