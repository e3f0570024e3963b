"""Changes of a transaction's state, the only ones there are: by its table of events, under its lock, followed up.

Whoever records an answer, retries, cancels or settles a transaction does it by ``change``. What follows (a session is
paid, a voucher is redeemed) is registered with ``follow_up`` and happens in the same database transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from app.billing.models import PaymentMethod, Transaction, TransactionPurpose, TransactionStatus, TransactionType
from app.billing.payments.history import conclude_actions, note
from app.billing.payments.lifecycle import PaymentEvent, next_status
from app.core import events

FollowUp = Callable[[Session, Transaction, datetime], None]

#: what may still become something else at the processor is looked up after this
LOOK_UP_FIRST = timedelta(hours=1)

_follow_ups: dict[TransactionPurpose, FollowUp] = {}


def follow_up(purpose: TransactionPurpose) -> Callable[[FollowUp], FollowUp]:
    """Register what follows when a transaction of a purpose changes its state, in the same database transaction.

    It is told of charges, pre-authorizations, captures, voids and refunds alike, also that what was Failed or
    Outstanding has Succeeded after all, and that what had Failed without an answer (it has a ``next_attempt_at``) was
    certainly not done (it has none any more). It must not call a processor: it opens transactions.
    """

    def register(function: FollowUp) -> FollowUp:
        _follow_ups[purpose] = function
        return function

    return register


def locked(session: Session, transaction_id: int) -> Transaction:
    """The transaction as it is now, locked until the database transaction ends."""
    return session.get_one(Transaction, transaction_id, with_for_update=True, populate_existing=True)


def retry(
    session: Session,
    *,
    row: Transaction,
    payment_method: PaymentMethod | None,
    now: datetime,
    action_id: int | None = None,
) -> None:
    """Have a declined transaction asked anew, as another attempt, perhaps by another payment method. Flushes.

    ``row`` is locked by the caller. ``action_id``: the row of the Actions log that gets the outcome.
    Raises PaymentLifecycleError.
    """
    next_status(row.status, PaymentEvent.RETRIED, type_=row.type, purpose=row.purpose)
    if payment_method is not None:
        row.payment_method_id, row.processor = payment_method.id, payment_method.processor
    row.attempts += 1
    row.asked_at = row.processor_reference = None
    detail: dict[str, object] = {} if action_id is None else {"action_id": action_id}
    said = str(payment_method) if payment_method else None
    note(session, row, PaymentEvent.RETRIED.label, now=now, message=said, detail=detail)
    change(session, row, PaymentEvent.RETRIED, now=now)
    row.next_attempt_at = now
    session.flush()


def cancel(session: Session, *, row: Transaction, reason: str, now: datetime) -> None:
    """End a transaction of which nothing shall come. ``row`` is locked. Flushes. Raises PaymentLifecycleError."""
    next_status(row.status, PaymentEvent.CANCELLED, type_=row.type, purpose=row.purpose)
    note(session, row, PaymentEvent.CANCELLED.label, now=now, message=reason)
    change(session, row, PaymentEvent.CANCELLED, now=now, reason=reason)


def change(
    session: Session, row: Transaction, event: PaymentEvent, *, now: datetime, reason: str | None = None
) -> None:
    """Let something happen to a locked transaction: the only place where its state changes. Flushes.

    What repeats the state changes nothing and is followed by nothing. The entry of the history is the caller's.
    Raises PaymentLifecycleError.
    """
    after = next_status(row.status, event, type_=row.type, purpose=row.purpose)
    if after is row.status:
        return
    row.status, row.updated_at = after, now
    row.failure_reason = reason
    if after is not TransactionStatus.PENDING:
        row.asked_at = row.next_attempt_at = None
        if after is TransactionStatus.AUTHENTICATION_REQUIRED:
            row.next_attempt_at = now + LOOK_UP_FIRST
    session.flush()
    if after is TransactionStatus.SUCCEEDED:
        _note_success(session, row, now=now)
    if after is not TransactionStatus.PENDING:
        conclude_actions(session, row, now=now)
    tell(session, row, now=now)


def tell(session: Session, row: Transaction, *, now: datetime) -> None:
    """Announce a locked transaction and have it followed up: its state, or what is known of it, is another now."""
    events.announce(
        session,
        "transaction.changed",
        partner_id=row.partner_id,
        transaction_id=row.id,
        session_id=row.session_id,
        user_id=row.user_id,
    )
    following = _follow_ups.get(row.purpose)
    if following is not None:
        following(session, row, now)


def _note_success(session: Session, row: Transaction, *, now: datetime) -> None:
    """The payment method was used; a hold that is captured or voided is closed."""
    if row.payment_method_id is not None and row.parent_id is None:
        # without the row's version: two payments by one card at once are no conflict
        last_used = func.greatest(now, func.coalesce(PaymentMethod.last_used_at, now))
        session.execute(
            update(PaymentMethod).where(PaymentMethod.id == row.payment_method_id).values(last_used_at=last_used)
        )
    if row.type in (TransactionType.CAPTURE, TransactionType.VOID):
        assert row.parent_id is not None
        hold = locked(session, row.parent_id)
        hold.closed_at = hold.closed_at or now
        session.flush()
