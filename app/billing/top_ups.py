"""Top-ups: a voucher that waits for its payment, and the charge that pays it. Manual, "Enable balance top up".

What begins here ends in ``top_up_answers``, when the payment processor has answered.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.codes import issue
from app.billing.models import (
    PaymentMethod,
    PaymentMethodStatus,
    TopUpPackage,
    Transaction,
    TransactionPurpose,
    TransactionType,
    Voucher,
    VoucherStatus,
    VoucherType,
)
from app.billing.packages import ENABLED as PACKAGES_ENABLED
from app.billing.packages import require_on_sale
from app.billing.payments import orders
from app.billing.payments.methods import is_expired
from app.core import rates, settings
from app.core.actions import open_action
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User

ENABLED = "billing.top_up_enabled"
TOP_UP = "Top up"


class TopUpsDisabled(ValueError):
    """The settings do not allow top-ups by payment method."""


class PackageRequired(ValueError):
    """Where packages are sold, an amount of one's own cannot be paid in."""


class UnusablePaymentMethod(ValueError):
    """It was removed, has expired, or belongs to somebody else."""


def require_usable(method: PaymentMethod, *, user: User, now: datetime) -> None:
    """Raise UnusablePaymentMethod unless this user can pay with it."""
    if method.user_id != user.id or method.status is PaymentMethodStatus.REMOVED:
        raise UnusablePaymentMethod(f"{method} is no payment method of {user.email} any more.")
    if method.status is not PaymentMethodStatus.ACTIVE or is_expired(method, today=now.date()):
        raise UnusablePaymentMethod(f"{method} has expired.")


def begin_top_up(
    session: Session,
    *,
    user: User,
    method: PaymentMethod,
    package: TopUpPackage | None = None,
    amount: Decimal | None = None,
    reason: str,
    actor: Admin | None,
    key: str,
    now: datetime,
) -> Voucher:
    """Charge a user's payment method for the balance: a pending voucher, its action, and a pending charge. Flushes.

    A package is bought where the settings sell packages, else ``amount`` (in the base currency) is paid in. The caller
    commits, then has the voucher's transaction performed. The same ``key`` again is the same top-up.
    Raises TopUpsDisabled, PackageRequired, PackageNotSold, UnusablePaymentMethod, InvalidAmount, ReasonRequired.
    """
    if not settings.get(session, ENABLED):
        raise TopUpsDisabled("Balance top up is switched off in CONFIGURATION > Settings > User billing.")
    if package is None and settings.get(session, PACKAGES_ENABLED):
        raise PackageRequired("Choose one of the top-up packages.")
    known = _by_key(session, user, key)
    if known is not None:
        return known
    require_usable(method, user=user, now=now)
    action = open_action(
        session,
        name=TOP_UP,
        target_type=User.__tablename__,
        target_id=user.id,
        target_label=user.email,
        info=f"{package if package is not None else f'{amount:f}'} by {method}",
        reason=reason,
        actor=actor,
        status=ActionStatus.PENDING,
        user_id=user.id,
        now=now,
    )
    return buy(
        session,
        user=user,
        method=method,
        package=package,
        amount=amount,
        type_=VoucherType.TOP_UP,
        key=key,
        now=now,
        action=action,
        actor=actor,
    )


def buy(
    session: Session,
    *,
    user: User,
    method: PaymentMethod,
    package: TopUpPackage | None,
    amount: Decimal | None = None,
    type_: VoucherType,
    key: str,
    now: datetime,
    action: Action | None = None,
    actor: Admin | None = None,
) -> Voucher:
    """The pending voucher with its pending charge; a package's bonus is added to what is paid. Flushes.

    Raises PackageNotSold, InvalidAmount.
    """
    if package is not None:
        require_on_sale(session, package)
        price, bonus, currency = package.price, package.bonus, package.currency
    else:
        currency = settings.get_text(session, rates.BASE_CURRENCY)
        price, bonus = orders.checked(session, amount or Decimal(0), currency), Decimal(0)
    charge = orders.open_transaction(
        session,
        type_=TransactionType.CHARGE,
        purpose=TransactionPurpose.TOP_UP,
        amount=price,
        subject=orders.Subject(user_id=user.id, currency=currency),
        method=method,
        key=key,
        now=now,
    )
    return issue(
        session,
        type=type_,
        status=VoucherStatus.PENDING,
        created_at=now,
        amount=price + bonus,
        paid_amount=price,
        bonus=bonus,
        currency=currency,
        user_id=user.id,
        created_by_id=actor.id if actor else None,
        created_by=actor.name if actor else "",
        description=action.reason if action else None,
        package_id=package.id if package is not None else None,
        transaction_id=charge.id,
        action_id=action.id if action else None,
    )


def _by_key(session: Session, user: User, key: str) -> Voucher | None:
    """The top-up that has the key; the user's row is held, so that two who bring the same key come one by one."""
    session.execute(select(User.id).where(User.id == user.id).with_for_update(key_share=True))
    found = select(Voucher).join(Transaction, Transaction.id == Voucher.transaction_id)
    return session.scalars(found.where(Transaction.idempotency_key == key, Voucher.user_id == user.id)).one_or_none()
