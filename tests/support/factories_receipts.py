"""Paid sessions, refunds and the clockwork of receipts, for tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.billing.models import Receipt, Transaction, TransactionStatus, TransactionType
from app.charging.models import ChargingSession
from app.charging.receipts import issuing
from app.core.db import separate_transaction
from app.core.money import Currency, Money, split_vat
from app.crm.models import User
from tests.support.factories_dashboard import make_session, make_station, make_zone

EUR = Currency("EUR", 2, "€")
#: a moment of the month after the sessions'
NOVEMBER = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 8, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def make_evse(session: Session) -> Evse:
    """A place to charge."""
    return make_station(session, make_zone(session)).evses[0]


def paid(
    session: Session,
    evse: Evse,
    user: User,
    gross: str = "12.00",
    *,
    vat: str = "20",
    at: datetime = OCTOBER,
    paid_at: datetime | None = None,
    processor: str = "balance",
    currency: Currency = EUR,
    **fields: Any,
) -> ChargingSession:
    """A session that was paid by a charge, at its end unless told otherwise; committed."""
    price = split_vat(Money(Decimal(gross), currency).rounded(), Decimal(vat))
    row = make_session(
        session,
        evse,
        started_at=at,
        user_id=user.id,
        gross=gross,
        currency=currency.code,
        tariff_snapshot={"vat_percent": vat},
        **fields,
    )
    row.total_net, row.total_vat = price.net.amount, price.vat.amount
    assert row.stopped_at is not None
    session.add(
        Transaction(
            partner_id=1,
            created_at=paid_at or row.stopped_at,
            updated_at=paid_at or row.stopped_at,
            type=TransactionType.CHARGE,
            status=TransactionStatus.SUCCEEDED,
            amount=price.gross.amount,
            currency=currency.code,
            user_id=user.id,
            session_id=row.id,
            processor=processor,
            idempotency_key=f"session:{row.id}:charge",
        )
    )
    session.commit()
    return row


def refunded(
    session: Session,
    charge: ChargingSession,
    amount: str,
    *,
    status: TransactionStatus = TransactionStatus.SUCCEEDED,
    at: datetime = NOVEMBER,
) -> Transaction:
    """A refund of (a part of) a session; committed."""
    parent = session.scalars(
        select(Transaction).where(Transaction.session_id == charge.id, Transaction.type == TransactionType.CHARGE)
    ).one()
    row = Transaction(
        partner_id=1,
        created_at=at,
        updated_at=at,
        type=TransactionType.REFUND,
        status=status,
        amount=Decimal(amount),
        currency=parent.currency,
        user_id=parent.user_id,
        session_id=charge.id,
        parent_id=parent.id,
        processor=parent.processor,
        idempotency_key=f"refund:{next(_numbers)}",
        description="The connector was blocked",
    )
    session.add(row)
    session.commit()
    return row


def clock(now: datetime) -> Callable[[], datetime]:
    """A clock that stands."""
    return lambda: now


def tend(session: Session, now: datetime = NOVEMBER) -> list[Receipt]:
    """What the job does at that moment; all receipts there are then, by id. Ends the session's transaction."""
    session.rollback()
    issuing.tend(separate_transaction, clock=clock(now))
    return receipts(session)


def receipts(session: Session) -> list[Receipt]:
    """All receipts as they are now, by id."""
    session.rollback()
    return list(session.scalars(select(Receipt).order_by(Receipt.id)))
