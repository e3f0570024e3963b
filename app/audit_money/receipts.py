"""Receipts: their own sums and numbers, and the sessions and refunds they speak of (`app.charging.receipts`)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.audit_money.checks import Check, Period
from app.charging.receipts.differences import receipts_differences


def _find(session: Session, period: Period) -> Iterator[str]:
    """Of all receipts, whatever the period: their numbers have no gaps only as a whole."""
    yield from receipts_differences(session)


CHECKS: tuple[Check, ...] = (Check("Receipts agree with what was paid and given back", _find),)
