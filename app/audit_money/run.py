"""All checks in their order, on one state of the database."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.audit_money import balances, processor, receipts, repricing, sessions, transactions, versions, vouchers
from app.audit_money.checks import Check, Period
from app.core.db import allow_minutes

CHECKS: tuple[Check, ...] = (
    *sessions.CHECKS,
    *versions.CHECKS,
    *repricing.CHECKS,
    *transactions.CHECKS,
    *balances.CHECKS,
    *vouchers.CHECKS,
    *processor.CHECKS,
    *receipts.CHECKS,
)

#: a statement of the audit may take this long
MINUTES = 30


def differences(session: Session, period: Period) -> Iterator[tuple[Check, str]]:
    """Each difference with the check that found it, as it is found.

    The transaction must not have begun: all checks see the database as it was at the first, and may only read.
    """
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    allow_minutes(session, MINUTES)
    yield from differences_here(session, period)


def differences_here(session: Session, period: Period) -> Iterator[tuple[Check, str]]:
    """The same in the transaction that is under way."""
    for check in CHECKS:
        for found in check.find(session, period):
            yield check, found
