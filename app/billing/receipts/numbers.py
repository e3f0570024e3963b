"""Numbers of receipts: one after the other per series and year, without a gap, whoever issues at the same time."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.billing.models import ReceiptCounter

FIRST = 1


def take_number(session: Session, *, series: str, year: int) -> int:
    """The next number. The counter's row is locked until the caller's transaction ends: a rollback gives it back."""
    counter = insert(ReceiptCounter).values(series=series, year=year, last_number=FIRST)
    statement = counter.on_conflict_do_update(
        index_elements=["series", "year"], set_={"last_number": ReceiptCounter.last_number + 1}
    ).returning(ReceiptCounter.last_number)
    return session.execute(statement).scalar_one()


def full_number(series: str, year: int, number: int) -> str:
    """As it is written: R-2026-000001; without a prefix 2026-000001."""
    return f"{series}-{year}-{number:06}" if series else f"{year}-{number:06}"
