"""What an operator does with a driver's payment methods, each with its row in the Actions log.

Manual, "Payment Methods".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import PaymentMethod, PaymentMethodSetup, PaymentMethodStatus
from app.billing.payments import methods, test_processor
from app.core import mail_words
from app.core.actions import open_action
from app.core.audit import record_change
from app.core.mail import queue_mail
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User

ADD, REMOVE = "Add Payment Method", "Remove Payment Method"


class AlreadyRemoved(ValueError):
    """The payment method was removed before."""


def add_test_method(
    session: Session, *, user: User, alias: str, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Give a user a card of the Test processor that behaves as the alias says. Flushes.

    Raises KeyError for an unknown alias, TooManyPaymentMethods, ReasonRequired.
    """
    card = test_processor.card_of(alias)
    method = methods.add_method(session, user=user, processor=test_processor.NAME, card=card, now=now)
    info = f"{method}: {test_processor.ALIASES[alias]}"
    return _log(session, ADD, user, info, reason, actor, now)


def note_invitation(
    session: Session, *, user: User, sent: bool, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Write down that a one-time address was made for a user, and whether it was sent to them. Flushes."""
    info = f"Address for entering a card {'sent to' if sent else 'made for'} {user.email}"
    return _log(session, ADD, user, info, reason, actor, now)


def mail_invitation(session: Session, *, user: User, setup_id: int, url: str, now: datetime) -> None:
    """Send a driver the address at which a card is entered, in their language. Flushes."""
    mail = mail_words.compose(
        session, "payment_method", language=user.locale, values={"name": user.full_name, "link": url}
    )
    queue_mail(
        session, key=f"payment-method:{setup_id}", recipient=user.email, subject=mail.subject, body=mail.body,
        html=mail.html, now=now,
    )  # fmt: skip


def remove(session: Session, *, method: PaymentMethod, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Use a payment method no more; the processor is told by a job. Flushes. Raises AlreadyRemoved, ReasonRequired."""
    if method.status is PaymentMethodStatus.REMOVED:
        raise AlreadyRemoved(f"{method} was removed already.")
    methods.remove_method(session, method=method, now=now)
    record_change(
        session, actor=actor, event="change", object_type=PaymentMethod.__tablename__, object_id=method.id,
        label=str(method), before={"status": "active"}, after={"status": "removed"},
    )  # fmt: skip
    return _log(session, REMOVE, method.user, str(method), reason, actor, now)


def _log(session: Session, name: str, user: User, info: str, reason: str, actor: Admin | None, now: datetime) -> Action:
    return open_action(
        session, name=name, target_type=User.__tablename__, target_id=user.id, target_label=user.email,
        info=info, reason=reason, actor=actor, status=ActionStatus.FINISHED, user_id=user.id, now=now,
    )  # fmt: skip


# --- the user's tab


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """A user's payment methods, the newest first, which of them pays when none is named, and open invitations."""

    methods: Sequence[PaymentMethod]
    default_id: int | None
    invitations: Sequence[PaymentMethodSetup]


def wallet(session: Session, *, user_id: int, now: datetime) -> Wallet:
    """What the tab "Payment Methods" of a user shows; removed ones are left out."""
    kept = session.scalars(
        select(PaymentMethod)
        .where(PaymentMethod.user_id == user_id, PaymentMethod.status != PaymentMethodStatus.REMOVED)
        .order_by(PaymentMethod.id.desc())
    ).all()
    paying = methods.usable(session, user_id=user_id, today=now.date())
    invitations = session.scalars(
        select(PaymentMethodSetup)
        .where(
            PaymentMethodSetup.user_id == user_id,
            PaymentMethodSetup.finished_at.is_(None),
            PaymentMethodSetup.reference.is_not(None),
            PaymentMethodSetup.expires_at > now,
        )
        .order_by(PaymentMethodSetup.id.desc())
    ).all()
    return Wallet(methods=kept, default_id=paying[0].id if paying else None, invitations=invitations)


def shown_status(method: PaymentMethod, *, today: date) -> PaymentMethodStatus:
    """The status on screen: an active card whose month is over has expired."""
    if method.status is PaymentMethodStatus.ACTIVE and methods.is_expired(method, today=today):
        return PaymentMethodStatus.EXPIRED
    return method.status


def first_methods(session: Session, *, user_ids: Sequence[int], today: date) -> dict[int, list[PaymentMethod]]:
    """The active, unexpired payment methods of each user, the last used first; for the column of the users' list."""
    rows = session.scalars(
        select(PaymentMethod)
        .where(PaymentMethod.user_id.in_(user_ids), PaymentMethod.status == PaymentMethodStatus.ACTIVE)
        .order_by(PaymentMethod.last_used_at.desc().nulls_last(), PaymentMethod.id.desc())
    )
    found: dict[int, list[PaymentMethod]] = {user_id: [] for user_id in user_ids}
    for row in rows:
        if not methods.is_expired(row, today=today):
            found[row.user_id].append(row)
    return found
