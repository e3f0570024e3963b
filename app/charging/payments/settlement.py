"""How a priced session is paid: by its payer, by what is held for it, once, whatever is repeated.

Manual, "User billing settings"; product.md, "Money". Everything here opens rows and asks nobody: processors are asked
by ``perform`` after the commit. Whoever calls holds the session's row lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing import corporate, ledger
from app.billing.corporate import CorporateCharge
from app.billing.models import (
    LedgerEntryType,
    PaymentMethod,
    PaymentMethodStatus,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.outstanding import BALANCE
from app.billing.payments import orders
from app.billing.payments.orders import Subject
from app.charging.authorize import PaidFrom
from app.charging.flags import DEMO
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.charging.payments import holds, paying
from app.charging.payments.statuses import Movement, payment_status
from app.core import events


def settle(session: Session, row: ChargingSession, *, now: datetime) -> None:
    """Open what is still to be moved for a finished, priced session, and say where its payment stands. Flushes.

    While nobody knows whether an amount is held for it, it waits and stays Pending: the hold comes first.
    """
    movements = _movements(session, row)
    nothing_due = _nothing_due(row, movements)
    if nothing_due is not None:
        let_go_of_holds(session, row, now=now)
        conclude(session, row, nothing_due)
        return
    if any(hold.status is TransactionStatus.PENDING for hold in holds.holds_of(session, session_id=row.id)):
        return
    _collect(session, row, now=now)
    assert row.total_gross is not None
    conclude(session, row, payment_status(row.total_gross, _movements(session, row)))


def _nothing_due(row: ChargingSession, movements: Sequence[Movement]) -> PaymentStatus | None:
    """Why nothing is to be paid; None when something is, or was until its price was corrected.

    What Demo stations show is paid by nobody.
    """
    if DEMO in row.flags or row.status is SessionStatus.FAILED or row.tariff_snapshot is None:
        return PaymentStatus.NOT_BILLED
    if row.total_gross == 0 and (row.price_version == 1 or not any(each.type in _TAKES for each in movements)):
        return PaymentStatus.FREE
    return PaymentStatus.NOT_BILLED if row.user_id is None else None


def conclude(session: Session, row: ChargingSession, status: PaymentStatus) -> None:
    """Write down where a session's payment stands, and tell of it if that is news. Flushes."""
    if row.payment_status is status:
        return
    row.payment_status = status
    session.flush()
    events.announce(
        session,
        "session.billed",
        partner_id=row.partner_id,
        session_id=row.id,
        charge_point_id=row.charge_point_id,
    )


def _movements(session: Session, row: ChargingSession) -> list[Movement]:
    rows = session.execute(
        select(Transaction.type, Transaction.status, Transaction.amount, Transaction.correction).where(
            Transaction.session_id == row.id
        )
    )
    return [Movement(*each) for each in rows]


_TAKES = (TransactionType.CHARGE, TransactionType.CAPTURE)


def _collect(session: Session, row: ChargingSession, *, now: datetime) -> None:
    paid_from = PaidFrom(row.paid_from) if row.paid_from else PaidFrom.BALANCE
    assert row.total_gross is not None
    captured = _captured(session, row)
    if captured is None:
        by_method = paid_from is PaidFrom.PAYMENT_METHOD
        captured = _capture(session, row, row.total_gross, now=now) if by_method else Decimal(0)
    let_go_of_holds(session, row, now=now)
    rest = row.total_gross - captured - _charged(session, row) + _corrected(session, row)
    if rest <= 0:
        return
    if paid_from is PaidFrom.CORPORATE:
        _bill_partner(session, row, rest, now=now)
        return
    method = _method(session, row, now=now) if paid_from is PaidFrom.PAYMENT_METHOD else None
    if method is None:
        _debit(session, row, rest, now=now)
    else:
        _charge(session, row, method, rest, now=now)


def _charged(session: Session, row: ChargingSession) -> Decimal:
    """What charges were opened for already, whatever became of them: what was declined is owed as that charge.

    What a correction has withdrawn is not asked for any more.
    """
    amounts = session.scalars(
        select(Transaction.amount).where(
            Transaction.session_id == row.id,
            Transaction.type == TransactionType.CHARGE,
            Transaction.correction.is_(None),
        )
    )
    return sum(amounts, Decimal(0))


def _corrected(session: Session, row: ChargingSession) -> Decimal:
    """What corrections of the price have given back, or still may."""
    refunds = session.scalars(
        select(Transaction).where(
            Transaction.session_id == row.id,
            Transaction.type == TransactionType.REFUND,
            Transaction.correction.is_not(None),
        )
    )
    return sum((each.amount for each in refunds if _may_have_moved(each)), Decimal(0))


def _captured(session: Session, row: ChargingSession) -> Decimal | None:
    """What was taken of what was held, 0 when the processor has refused it; None when nobody has asked for it."""
    taken = session.scalars(
        select(Transaction).where(Transaction.session_id == row.id, Transaction.type == TransactionType.CAPTURE)
    ).all()
    return sum((each.amount for each in taken if _may_have_moved(each)), Decimal(0)) if taken else None


def _capture(session: Session, row: ChargingSession, total: Decimal, *, now: datetime) -> Decimal:
    """Take what is held of the payer, as far as the total goes. Returns how much that is."""
    for hold in holds.holds_of(session, session_id=row.id):
        open_ = hold.status is TransactionStatus.SUCCEEDED and hold.closed_at is None
        if open_ and hold.currency == row.currency and hold.user_id == row.user_id:
            session.refresh(hold, with_for_update={"of": Transaction})
            if orders.ending_of(session, hold) is None:
                amount = min(total, hold.amount)
                orders.open_child(
                    session,
                    parent=hold,
                    type_=TransactionType.CAPTURE,
                    amount=amount,
                    key=f"hold:{hold.id}:capture",
                    now=now,
                )
                return amount
    return Decimal(0)


def _may_have_moved(row: Transaction) -> bool:
    """Succeeded, or may still: what was given up without an answer is looked up until it is known."""
    over = row.status in (TransactionStatus.FAILED, TransactionStatus.CANCELLED)
    return not over or row.next_attempt_at is not None


def let_go_of_holds(session: Session, row: ChargingSession, *, now: datetime) -> None:
    """Void what is held for a session and was not taken. Flushes."""
    for hold in holds.holds_of(session, session_id=row.id):
        if hold.closed_at is None and hold.status in _MAY_BE_LET_GO:
            session.refresh(hold, with_for_update={"of": Transaction})
            holds.let_go(session, hold, why="Nothing of it is needed", now=now)


_MAY_BE_LET_GO = (TransactionStatus.SUCCEEDED, TransactionStatus.AUTHENTICATION_REQUIRED)


def _method(session: Session, row: ChargingSession, *, now: datetime) -> PaymentMethod | None:
    """The payment method that pays; if it was removed meanwhile, the last used one; without any, the balance pays."""
    method = session.get(PaymentMethod, row.payment_method_id) if row.payment_method_id else None
    if method is not None and method.status is not PaymentMethodStatus.REMOVED:
        return method
    usable: Sequence[int] = paying.payer_facts(session, user_id=row.user_id, now=now).usable_methods
    return session.get_one(PaymentMethod, usable[0]) if usable else None


def _key(session: Session, row: ChargingSession) -> str:
    """The idempotency key of a session's next charge: the first, or one for what a refused capture left open."""
    number = len(
        session.scalars(
            select(Transaction.id).where(Transaction.session_id == row.id, Transaction.type == TransactionType.CHARGE)
        ).all()
    )
    return f"session:{row.id}:charge" + (f":{number + 1}" if number else "")


def _charge(session: Session, row: ChargingSession, method: PaymentMethod, amount: Decimal, *, now: datetime) -> None:
    assert row.currency is not None
    orders.open_transaction(
        session,
        type_=TransactionType.CHARGE,
        purpose=TransactionPurpose.SESSION,
        amount=amount,
        subject=Subject(user_id=row.user_id, currency=row.currency, partner_id=row.partner_id, session_id=row.id),
        method=method,
        key=_key(session, row),
        now=now,
    )


def waive(session: Session, row: ChargingSession, amount: Decimal, *, reason: str, now: datetime) -> Transaction:
    """Note that ``amount`` of a session's price is asked of nobody. Must hold the session's row lock. Flushes."""
    key = _key(session, row)
    waived = _book(session, row, amount, BALANCE, TransactionStatus.CANCELLED, key=key, now=now)
    waived.failure_reason = f"Waived: {reason}"
    session.flush()
    return waived


def _debit(session: Session, row: ChargingSession, amount: Decimal, *, now: datetime) -> None:
    """Take it from the balance, which may fall below zero: then that much is owed (docs/adr/0008)."""
    assert row.user_id is not None and row.currency is not None
    key = _key(session, row)
    entry = ledger.debit(
        session,
        user_id=row.user_id,
        amount=amount,
        currency=row.currency,
        type=LedgerEntryType.CHARGING_SESSION,
        reference=key,
        now=now,
        session_id=row.id,
        description=f"Charging session {row.id}",
    )
    paid = entry.balance_after >= 0
    status = TransactionStatus.SUCCEEDED if paid else TransactionStatus.OUTSTANDING
    _book(session, row, amount, BALANCE, status, key=key, reference=f"ledger:{entry.id}", now=now)


def _bill_partner(session: Session, row: ChargingSession, amount: Decimal, *, now: datetime) -> None:
    """Manual, "Corporate Account Billing": the partner owes it from now on, and the driver nothing."""
    assert row.user_id is not None and row.currency is not None and row.payer_partner_id is not None
    booked = _book(
        session, row, amount, corporate.PROCESSOR, TransactionStatus.SUCCEEDED, key=_key(session, row), now=now
    )
    corporate.accounts().record(
        session,
        CorporateCharge(
            partner_id=row.payer_partner_id,
            user_id=row.user_id,
            session_id=row.id,
            transaction_id=booked.id,
            amount=amount,
            currency=row.currency,
            at=now,
        ),
    )


def _book(
    session: Session,
    row: ChargingSession,
    amount: Decimal,
    processor: str,
    status: TransactionStatus,
    *,
    key: str,
    now: datetime,
    reference: str | None = None,
) -> Transaction:
    """A charge that no processor is asked about: it is what it is at once."""
    assert row.currency is not None
    booked = Transaction(
        partner_id=row.partner_id,
        created_at=now,
        updated_at=now,
        type=TransactionType.CHARGE,
        status=status,
        amount=amount,
        currency=row.currency,
        user_id=row.user_id,
        session_id=row.id,
        payer_partner_id=row.payer_partner_id,
        processor=processor,
        processor_reference=reference,
        idempotency_key=key,
    )
    session.add(booked)
    session.flush()
    return booked
