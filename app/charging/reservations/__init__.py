"""Keeping an EVSE for a user. Manual, "Reserving an EVSE"."""
