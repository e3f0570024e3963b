"""Pre-authorizations: an amount is held on a driver's payment method before a session starts, and used or let go.

Manual, "User billing settings", 2. A hold is a transaction of an authorization (a card was tapped, a station has
started) or of a session that an operator starts. It is a row first; whoever opened it commits and has it performed
outside any database transaction (docs/adr/0015). Who uses a hold and who lets it go lock its row, and look at
its children only then: a hold is captured or voided, never both.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session, aliased

from app.billing.models import (
    PaymentMethod,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import orders, perform
from app.billing.payments.orders import Subject
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import Authorization, AuthorizationResult, ChargingSession
from app.core import settings
from app.core.batches import do_each
from app.core.models import CurrencyRow
from app.core.money import round_minor

#: a session uses the hold of its authorization within this time; later it is let go
USED_WITHIN = timedelta(minutes=15)
#: the hold of somebody who was turned away (the processor was slow) is let go after this time
TURNED_AWAY_AFTER = timedelta(minutes=2)
BATCH = 100

_ENDING = (TransactionType.CAPTURE, TransactionType.VOID)


def amount_to_hold(session: Session) -> Decimal:
    """ "Pre-authorize amount" of the settings; 0 means that a payment method is enough."""
    amount = settings.get_amount(session, "billing.preauthorize_amount") or Decimal(0)
    currency = session.get_one(CurrencyRow, settings.get_text(session, "system.currency"))
    return round_minor(amount, currency.exponent)


def open_hold(
    session: Session,
    *,
    method: PaymentMethod,
    partner_id: int,
    user_id: int,
    now: datetime,
    authorization_id: int | None = None,
    session_id: int | None = None,
) -> Transaction:
    """The hold for an authorization or a session, pending if it is a new one. Flushes.

    What was asked before is not asked again, unless the hold was let go meanwhile.
    """
    whose = f"authorization:{authorization_id}" if authorization_id is not None else f"session:{session_id}"
    same = (
        Transaction.authorization_id == authorization_id if authorization_id else Transaction.session_id == session_id
    )
    earlier = session.scalars(
        select(Transaction)
        .where(same, Transaction.type == TransactionType.PREAUTHORIZATION)
        .order_by(Transaction.id.desc())
        .with_for_update()
    ).all()
    if earlier and not _is_let_go(session, earlier[0]):
        return earlier[0]
    return orders.open_transaction(
        session,
        type_=TransactionType.PREAUTHORIZATION,
        purpose=TransactionPurpose.SESSION,
        amount=amount_to_hold(session),
        subject=Subject(
            user_id=user_id,
            currency=settings.get_text(session, "system.currency"),
            partner_id=partner_id,
            session_id=session_id,
            authorization_id=authorization_id,
        ),
        method=method,
        key=f"{whose}:hold" + (f":{len(earlier) + 1}" if earlier else ""),
        now=now,
    )


def _is_let_go(session: Session, hold: Transaction) -> bool:
    return hold.closed_at is not None or orders.ending_of(session, hold) is not None


def unused_hold(
    session: Session, *, user_id: int, charge_point_id: int, payment_method_id: int | None, now: datetime
) -> Transaction | None:
    """What is held for an accepted authorization at this station and waits for its session, the newest; locked."""
    rows = session.scalars(
        select(Transaction)
        .join(Authorization, Authorization.id == Transaction.authorization_id)
        .where(
            Transaction.user_id == user_id,
            Transaction.payment_method_id == payment_method_id,
            Authorization.charge_point_id == charge_point_id,
            Authorization.result == AuthorizationResult.ACCEPTED,
            Transaction.created_at > now - USED_WITHIN,
            *_is_open(),
        )
        .order_by(Transaction.id.desc())
        .with_for_update(of=Transaction)
    ).all()
    return next((row for row in rows if not _is_let_go(session, row)), None)


def _is_open() -> tuple[ColumnElement[bool], ...]:
    return (
        Transaction.type == TransactionType.PREAUTHORIZATION,
        Transaction.status == TransactionStatus.SUCCEEDED,
        Transaction.closed_at.is_(None),
        Transaction.session_id.is_(None),
    )


def take_up(session: Session, hold: Transaction, *, row: ChargingSession) -> None:
    """Give a locked hold to the session that it pays for. Flushes."""
    if hold.session_id is None:
        hold.session_id, hold.partner_id = row.id, row.partner_id
        session.flush()


def take_up_unused(
    session: Session, *, row: ChargingSession, charge_point_id: int, payment_method_id: int, now: datetime
) -> None:
    """Give a session what is held already for its driver at the station, unless it has a hold. Flushes."""
    if row.user_id is None or held_for(session, session_id=row.id) is not None:
        return
    hold = unused_hold(
        session,
        user_id=row.user_id,
        charge_point_id=charge_point_id,
        payment_method_id=payment_method_id,
        now=now,
    )
    if hold is not None:
        take_up(session, hold, row=row)


def holds_of(session: Session, *, session_id: int) -> list[Transaction]:
    """The pre-authorizations of a session, oldest first."""
    return list(
        session.scalars(
            select(Transaction)
            .where(Transaction.session_id == session_id, Transaction.type == TransactionType.PREAUTHORIZATION)
            .order_by(Transaction.id)
        )
    )


def held_for(session: Session, *, session_id: int) -> Decimal | None:
    """The amount that is held for a running session, in the currency of the hold; None when nothing is."""
    for hold in holds_of(session, session_id=session_id):
        if hold.status is TransactionStatus.SUCCEEDED and not _is_let_go(session, hold):
            return hold.amount
    return None


def let_go(session: Session, hold: Transaction, *, why: str, now: datetime) -> bool:
    """Void a locked hold of which nothing is used; once, and never one that is captured. Flushes.

    One that was not granted is cancelled instead, when the driver would have had to authenticate for it.
    """
    if hold.status is TransactionStatus.AUTHENTICATION_REQUIRED:
        perform.cancel(session, row=hold, reason=why, now=now)
        return True
    if hold.status is not TransactionStatus.SUCCEEDED or _is_let_go(session, hold):
        return False
    orders.open_child(
        session,
        parent=hold,
        type_=TransactionType.VOID,
        amount=hold.amount,
        key=f"hold:{hold.id}:void",
        now=now,
        description=why,
    )
    return True


def void_unused(session: Session, *, now: datetime) -> int:
    """Let go what no session uses: not within 15 minutes, of drivers who were turned away, of sessions that failed or
    cost nothing. Returns how many. Manual, "User billing settings", 2.
    """
    child = aliased(Transaction)
    unstarted = and_(
        Transaction.session_id.is_(None),
        or_(
            Transaction.created_at < now - USED_WITHIN,
            and_(
                Authorization.result == AuthorizationResult.REJECTED,
                Transaction.created_at < now - TURNED_AWAY_AFTER,
            ),
        ),
    )
    ended = or_(
        ChargingSession.status == SessionStatus.FAILED,
        and_(
            ChargingSession.status == SessionStatus.FINISHED,
            ChargingSession.payment_status.in_((PaymentStatus.FREE, PaymentStatus.NOT_BILLED)),
        ),
    )
    rows = session.scalars(
        select(Transaction)
        .outerjoin(Authorization, Authorization.id == Transaction.authorization_id)
        .outerjoin(ChargingSession, ChargingSession.id == Transaction.session_id)
        .where(
            Transaction.type == TransactionType.PREAUTHORIZATION,
            Transaction.status.in_((TransactionStatus.SUCCEEDED, TransactionStatus.AUTHENTICATION_REQUIRED)),
            Transaction.closed_at.is_(None),
            ~select(child.id).where(child.parent_id == Transaction.id, child.type.in_(_ENDING)).exists(),
            or_(unstarted, ended),
        )
        .order_by(Transaction.id)
        .limit(BATCH)
        .with_for_update(of=Transaction, skip_locked=True)
    ).all()

    def void(hold: Transaction) -> None:
        why = "No session used it" if hold.session_id is None else "The session costs nothing"
        let_go(session, hold, why=why, now=now)

    return do_each(session, rows, void)
