"""What still refers to a row: asked before deleting it, so that the refusal can say what stands in the way.

The database's foreign keys refuse anyhow; this says it in words, without the lower floors knowing the upper ones'
tables: they are read from the metadata.
"""

from __future__ import annotations

from sqlalchemy import exists, inspect, select
from sqlalchemy.orm import Session

from app.core.db import Base

#: what tables are called where their name alone would not do
_WORDS = {
    "balance_account": "balance entries",
    "ledger_entry": "balance entries",
    "tariff_user_group": "Tariffs",
    "user_account": "Users",
    "admin": "Admin Accounts",
    "stored_file": "Files",
    "tariff_partner": "Tariffs",
    "transaction_event": "Transactions",
}
_FOLLOW = ("CASCADE", "SET NULL")


def referring(session: Session, row: Base) -> list[str]:
    """The kinds of records that would be left without this row, in words: ["Charging Sessions", "Transactions"].

    Those that go with it or can do without it (ON DELETE CASCADE, SET NULL) do not count.
    """
    table = inspect(type(row)).local_table
    found: list[str] = []
    for other in Base.metadata.sorted_tables:
        for key in other.foreign_keys:
            if key.column.table is not table or (key.ondelete or "").upper() in _FOLLOW:
                continue
            value = getattr(row, inspect(type(row)).get_property_by_column(key.column).key)
            word = _WORDS.get(other.name) or _words(other.name)
            if word not in found and session.scalar(select(exists().where(key.parent == value))):
                found.append(word)
    return found


def listed(words: list[str]) -> str:
    """'A', 'A and B', 'A, B and C'."""
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def _words(table: str) -> str:
    return " ".join(part.capitalize() for part in table.split("_")) + "s"
