"""What follows when a transaction of a session changes its state, in the same database transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionPurpose, TransactionType
from app.billing.payments import perform
from app.charging import bill
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.charging.payments import settlement

_PAUSED = "payments.paused"


@contextmanager
def paused(session: Session, *, session_id: int) -> Iterator[None]:
    """While a correction takes its steps, nobody settles the session in between; it does so itself at the end."""
    session.info[_PAUSED] = session_id
    try:
        yield
    finally:
        session.info.pop(_PAUSED, None)


@perform.follow_up(TransactionPurpose.SESSION)
def follow(session: Session, transaction: Transaction, now: datetime) -> None:
    """Go on with the session's payment. A hold that has no session yet, or whose session runs, is not used yet."""
    if transaction.session_id is None or session.info.get(_PAUSED) == transaction.session_id:
        return
    row = session.get_one(ChargingSession, transaction.session_id, with_for_update=True, populate_existing=True)
    if row.status is SessionStatus.FAILED:
        settlement.let_go_of_holds(session, row, now=now)
    elif row.status is SessionStatus.FINISHED:
        if row.payment_status is PaymentStatus.PENDING:
            if transaction.type is TransactionType.PREAUTHORIZATION:
                bill.bill_session(session, row, now=now)  # it has waited for this
        elif row.payment_status not in (PaymentStatus.FREE, PaymentStatus.NOT_BILLED):
            settlement.settle(session, row, now=now)
        else:
            settlement.let_go_of_holds(session, row, now=now)
