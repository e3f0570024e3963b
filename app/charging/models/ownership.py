"""How rows of a charge point hang from it, and whose they are (docs/adr/0003).

What a charge point *is* belongs to whoever owns it now; what *happened* at it belongs to whoever owned it then.
"""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint

#: tables of what happened: the database gives a new row to who owns its charge point at that moment
#: (migrations 0007, 0016)
OF_THE_DAY = (
    "authorization",
    "charging_limit",
    "charging_needs",
    "charging_session",
    "customer_information",
    "diagnostics_request",
    "firmware_update",
    "outage",
    "recovery",
    "reservation",
    "security_event",
    "stray_message",
)


def of_charge_point(table: str) -> ForeignKeyConstraint:
    """The composite key by which a part of a charge point hangs from it and its owner: it goes to the next owner."""
    return ForeignKeyConstraint(
        ["charge_point_id", "partner_id"],
        ["charge_point.id", "charge_point.partner_id"],
        name=f"fk_{table}_charge_point",
        onupdate="CASCADE",
        ondelete="CASCADE",
    )


def at_charge_point(table: str) -> ForeignKeyConstraint:
    """The key by which what happened at a charge point hangs from it: its ``partner_id`` stays that of the day."""
    return ForeignKeyConstraint(
        ["charge_point_id"], ["charge_point.id"], name=f"fk_{table}_charge_point", ondelete="CASCADE"
    )
