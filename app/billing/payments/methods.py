"""A driver's payment methods: added, removed, and which one pays. Manual, "Payment Methods", "Payment Processor"."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ColumnElement, exists, literal, select, tuple_, update
from sqlalchemy.orm import Session

from app.billing.models import (
    AutoTopUp,
    PaymentMethod,
    PaymentMethodStatus,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments.processors import Card
from app.core import settings
from app.core.clock import zone
from app.crm.models import RfidTag, TagPayment, User

#: how many cards expire in one transaction
BATCH = 500


class TooManyPaymentMethods(ValueError):
    """The user has as many payment methods as the settings allow."""


class CardOfAnother(ValueError):
    """Another user has this very payment method."""


class NoProcessor(ValueError):
    """No payment processor is selected in the settings."""


def processor_name(session: Session, user: User) -> str:
    """The processor a user's new cards are entered at: the testing one for the e-mails named in the settings.

    Manual, "Payment Processor Testing". Raises NoProcessor.
    """
    testers = {each.strip().lower() for each in settings.get(session, "payment.testing_emails")}
    key = "payment.testing_processor" if user.email.lower() in testers else "payment.processor"
    name = settings.get_text(session, key)
    if name == "none":
        raise NoProcessor("No payment processor is selected in CONFIGURATION > Settings > Payments.")
    return name


def add_method(session: Session, *, user: User, processor: str, card: Card, now: datetime) -> PaymentMethod:
    """Keep a card of a user; the same card again is the same row. Flushes.

    One that had expired is active again when its processor tells of a new date; one that was removed stays so: the
    processor's news of it may come late. The user's row is locked, so that two at once do not exceed the limit.
    Raises TooManyPaymentMethods, CardOfAnother.
    """
    session.execute(select(User.id).where(User.id == user.id).with_for_update())
    known = session.scalars(
        select(PaymentMethod).where(PaymentMethod.processor == processor, PaymentMethod.reference == card.token)
    ).one_or_none()
    if known is not None:
        return _known(session, known, user, card, now=now)
    require_room(session, user=user, today=today(session, now))
    row = PaymentMethod(
        user_id=user.id,
        processor=processor,
        reference=card.token,
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        status=PaymentMethodStatus.ACTIVE,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _known(session: Session, row: PaymentMethod, user: User, card: Card, *, now: datetime) -> PaymentMethod:
    if row.user_id != user.id:
        raise CardOfAnother("This payment method belongs to another user.")
    if card.exp_year is not None and (card.exp_year, card.exp_month) != (row.exp_year, row.exp_month):
        row.exp_year, row.exp_month = card.exp_year, card.exp_month
        if row.status is PaymentMethodStatus.EXPIRED and not is_expired(row, today=today(session, now)):
            row.status = PaymentMethodStatus.ACTIVE
        session.flush()
    return row


def require_room(session: Session, *, user: User, today: date) -> None:
    """Raise TooManyPaymentMethods when a user has as many as the settings allow; expired ones do not count.

    Manual, "Maximum number of payment methods per customer allowed".
    """
    limit = settings.get(session, "payment.maximum_methods")
    if limit is None:
        return
    count = len(usable(session, user_id=user.id, today=today))
    if count >= limit:
        has = "1 payment method" if count == 1 else f"{count} payment methods"
        raise TooManyPaymentMethods(
            f"{user.email} has {has} already, and no more than {limit} "
            f"{'is' if limit == 1 else 'are'} allowed: remove one first, or change CONFIGURATION > Settings > Payments."
        )


def remove_method(session: Session, *, method: PaymentMethod, now: datetime) -> None:
    """Use a payment method no more: auto top-ups by it end, tags that named it use the last used one. Flushes.

    What is owed by it stays owed, and is tried again by another one. What is under way by it goes on: the processor
    forgets it only after that (``under_way``).
    """
    session.refresh(method, with_for_update=True)
    if method.status is PaymentMethodStatus.REMOVED:
        return
    method.status, method.removed_at = PaymentMethodStatus.REMOVED, now
    for standing_order in session.scalars(select(AutoTopUp).where(AutoTopUp.payment_method_id == method.id)):
        session.delete(standing_order)
    session.execute(
        update(RfidTag)
        .where(RfidTag.payment_method_id == method.id)
        .values(payment=TagPayment.LAST_USED, payment_method_id=None)
    )
    session.flush()


def usable(session: Session, *, user_id: int, today: date) -> list[PaymentMethod]:
    """The active, unexpired payment methods of a user, the last used first, then the newest."""
    rows = session.scalars(
        select(PaymentMethod)
        .where(PaymentMethod.user_id == user_id, PaymentMethod.status == PaymentMethodStatus.ACTIVE)
        .order_by(PaymentMethod.last_used_at.desc().nulls_last(), PaymentMethod.id.desc())
    )
    return [row for row in rows if not is_expired(row, today=today)]


def is_expired(method: PaymentMethod, *, today: date) -> bool:
    """Whether a card's month is over."""
    if method.exp_year is None or method.exp_month is None:
        return False
    return (method.exp_year, method.exp_month) < (today.year, today.month)


def today(session: Session, now: datetime) -> date:
    """The day by which cards expire: the system's (Settings > Timezone)."""
    return now.astimezone(zone(settings.get_text(session, "system.timezone"))).date()


def under_way() -> ColumnElement[bool]:
    """That something is asked of a processor by a payment method, or held by it: it is needed there still."""
    holds = (Transaction.type == TransactionType.PREAUTHORIZATION) & (Transaction.status == TransactionStatus.SUCCEEDED)
    return exists().where(
        Transaction.payment_method_id == PaymentMethod.id,
        (Transaction.status == TransactionStatus.PENDING) | (holds & Transaction.closed_at.is_(None)),
    )


def expire_methods(session: Session, *, now: datetime) -> int:
    """Mark active cards whose month is over as Expired. Flushes. Returns how many, at most BATCH at once.

    They pay nothing more; what names them (tags, standing orders) keeps them, as a processor may tell a new date.
    """
    day = today(session, now)
    over = tuple_(PaymentMethod.exp_year, PaymentMethod.exp_month) < tuple_(literal(day.year), literal(day.month))
    rows = session.scalars(
        select(PaymentMethod)
        .where(PaymentMethod.status == PaymentMethodStatus.ACTIVE, over)
        .order_by(PaymentMethod.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.status = PaymentMethodStatus.EXPIRED
    session.flush()
    return len(rows)
