"""How rows of a charge point hang from it and its owner."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint


def of_charge_point(table: str) -> ForeignKeyConstraint:
    """The composite key by which a row hangs from its charge point and its owner (docs/adr/0003)."""
    return ForeignKeyConstraint(
        ["charge_point_id", "partner_id"],
        ["charge_point.id", "charge_point.partner_id"],
        name=f"fk_{table}_charge_point",
        onupdate="CASCADE",
        ondelete="CASCADE",
    )
