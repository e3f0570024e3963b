"""Removing a driver's personal data for good, where the account cannot be deleted because of what is on record.

The right to erasure (GDPR, Art. 17) ends where the law wants records kept: sessions, the ledger, transactions and
receipts stay. What stays of the person is a number.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import case, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from app.billing import outstanding
from app.billing.models import BalanceAccount, PaymentMethod, PaymentMethodStatus, Transaction
from app.billing.payments import methods
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession, CustomerInformation, Reservation, ReservationStatus
from app.core.audit import record_change
from app.core.messages import Mail, MessageStatus, SmsMessage
from app.core.models import Action, Admin
from app.core.sms import NotAPhoneNumber, e164
from app.crm import verbs
from app.crm.models import RfidTag, User, UserStatus, UserVerification

ERASE = "Erase Personal Data"
#: what stands where something stood; RFC 2606 keeps this domain free for ever
_MARK, _DOMAIN = "erased", "erased.invalid"


class CannotErase(ValueError):
    """Something has to be ended or paid first; the message says what."""


def erase_personal_data(session: Session, *, user: User, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Remove e-mail, names, phone, address, car, cards and payment methods of a user, who is disabled. Flushes.

    Also from the audit, the Actions log and the outboxes; sessions, ledger, transactions and receipts stay.
    Raises CannotErase, ReasonRequired.
    """
    session.refresh(user, with_for_update=True)
    _require_nothing_open(session, user)
    email, phone = user.email, user.phone
    tags = list(session.scalars(select(RfidTag).where(RfidTag.user_id == user.id)))
    kept = _remove_payment_methods(session, user, now)
    action = verbs.log_action(session, ERASE, user, email, _info(session, user, len(tags), kept), reason, actor, now)
    _forget_in_outboxes(session, user, email, phone, now)
    session.execute(delete(UserVerification).where(UserVerification.user_id == user.id))
    user.groups = []
    shown = [tag.tag_id.upper() for tag in tags]
    # what stations told about the person when they were asked
    session.execute(delete(CustomerInformation).where(func.upper(CustomerInformation.id_tag).in_(shown)))
    for tag in tags:
        session.delete(tag)
    _blank(user, now)
    session.flush()
    session.expire(user, ["rfid_tags"])
    _forget_in_logs(session, user, email, [tag.id for tag in tags])
    record_change(
        session, actor=actor, event="change", object_type=User.__tablename__, object_id=user.id, label=str(user),
        before={"erased_at": None}, after={"erased_at": now},
    )  # fmt: skip
    session.flush()
    session.refresh(action)
    return action


def _require_nothing_open(session: Session, user: User) -> None:
    if user.erased_at is not None:
        raise CannotErase("The personal data of this user was erased already.")
    running = session.scalar(
        select(ChargingSession.id)
        .where(ChargingSession.user_id == user.id, ChargingSession.status.in_(RUNNING))
        .limit(1)
    )
    if running is not None:
        raise CannotErase(f"Charging Session #{running} of {user.email} is running. Stop it first.")
    reserved = session.scalar(
        select(Reservation.id)
        .where(
            Reservation.user_id == user.id,
            Reservation.status.in_((ReservationStatus.PENDING, ReservationStatus.ACTIVE)),
        )
        .limit(1)
    )
    if reserved is not None:
        raise CannotErase(f"Reservation #{reserved} of {user.email} is open. Cancel it first.")
    charged = select(Transaction.currency).where(Transaction.user_id == user.id)
    booked = select(BalanceAccount.currency).where(BalanceAccount.user_id == user.id)
    for currency in session.scalars(booked.union(charged)).all():
        due = outstanding.owed(session, user_id=user.id, currency=currency)
        if due:
            raise CannotErase(
                f"{user.email} owes {_amount(due, currency)}. Without a name nobody pays it: collect it first."
            )


def _remove_payment_methods(session: Session, user: User, now: datetime) -> int:
    held = session.scalars(
        select(PaymentMethod).where(
            PaymentMethod.user_id == user.id, PaymentMethod.status != PaymentMethodStatus.REMOVED
        )
    ).all()
    for method in held:
        methods.remove_method(session, method=method, now=now)
    return len(held)


def _info(session: Session, user: User, tags: int, methods_held: int) -> str:
    parts = ["Profile", f"{tags} RFID Tags", f"{methods_held} Payment Methods"]
    balances = session.execute(
        select(BalanceAccount.balance, BalanceAccount.currency).where(
            BalanceAccount.user_id == user.id, BalanceAccount.balance != Decimal(0)
        )
    )
    left = ", ".join(_amount(balance, currency) for balance, currency in balances)
    return f"{', '.join(parts)} removed" + (f"; {left} of balance stay in the ledger" if left else "")


def _amount(amount: Decimal, currency: str) -> str:
    return f"{amount:.2f} {currency}"


def _blank(user: User, now: datetime) -> None:
    user.email = f"{_MARK}-{user.id}@{_DOMAIN}"
    for name in (
        "first_name", "last_name", "company", "vat_no", "address", "post_code", "city", "country", "car_make",
        "car_model", "licence_plate",
    ):  # fmt: skip
        setattr(user, name, "")
    user.phone = user.date_of_birth = user.email_verified_at = user.phone_verified_at = None
    user.locale = "en"
    user.status, user.erased_at = UserStatus.DISABLED, now


def _forget_in_outboxes(session: Session, user: User, email: str, phone: str | None, now: datetime) -> None:
    """What waits is not sent; of what was sent, when and what became of it stays."""
    nobody = f"{_MARK}-{user.id}@{_DOMAIN}"
    waiting = case((Mail.status == MessageStatus.WAITING, MessageStatus.CANCELLED), else_=Mail.status)
    session.execute(
        update(Mail)
        .where(func.lower(Mail.recipient) == email.lower())
        .values(recipient=nobody, subject="Erased", body="Erased", html=None, attachment_id=None, status=waiting)
        .execution_options(synchronize_session=False)
    )
    try:
        number = e164(phone or "")
    except NotAPhoneNumber:
        return
    # the table wants a number and the row tells nothing without it
    session.execute(delete(SmsMessage).where(SmsMessage.recipient == number))


def _forget_in_logs(session: Session, user: User, email: str, tag_ids: list[int]) -> None:
    """Names and addresses in the Actions log and the audit; what happened, when and by whom stays."""
    of_tags = (Action.target_type == RfidTag.__tablename__) & Action.target_id.in_(tag_ids)
    session.execute(
        update(Action)
        .where(or_((Action.target_type == User.__tablename__) & (Action.target_id == user.id), of_tags))
        .values(
            target_label=case((of_tags, "Erased RFID tag"), else_=f"Erased user #{user.id}"),
            info=func.replace(Action.info, email, _MARK),
            reason=func.replace(Action.reason, email, _MARK),
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        text("SELECT erase_from_audit(:number, CAST(:tags AS bigint[]))"), {"number": user.id, "tags": tag_ids}
    )
