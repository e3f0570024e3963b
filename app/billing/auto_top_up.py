"""Auto top-up: a package bought by itself when the balance reaches the limit. Manual, "Enable auto top up".

Each debit that leaves the balance at or below the limit is answered by at most one top-up that goes through, and there
is one under way at a time (the standing order's row lock, and a unique index). A decline pauses the standing order,
the third in a row ends it; the driver is told by e-mail.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from app.billing.models import (
    AutoTopUp,
    BalanceAccount,
    LedgerEntry,
    PaymentMethod,
    TopUpPackage,
    Voucher,
    VoucherStatus,
    VoucherType,
)
from app.billing.packages import ENABLED as PACKAGES_ENABLED
from app.billing.packages import PackageNotSold, require_on_sale
from app.billing.payments.perform import Transact
from app.billing.top_ups import UnusablePaymentMethod, buy, require_usable
from app.core import mail_texts, mail_words, rates, settings
from app.core.actions import open_action
from app.core.mail import queue_mail
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User, UserStatus

log = structlog.get_logger(__name__)

ENABLED = "billing.auto_top_up_enabled"
LIMIT = "billing.auto_top_up_below"
SWITCHED_ON, SWITCHED_OFF = "Enable auto top-up", "Disable auto top-up"
#: after the first and the second decline in a row; a third ends it
PAUSES = (timedelta(hours=1), timedelta(hours=12))
BATCH = 100


class AutoTopUpDisabled(ValueError):
    """The settings do not allow auto top-up."""


class NoAutoTopUp(ValueError):
    """The user has not enabled auto top-up."""


def limit(session: Session) -> Decimal:
    """The balance, in the base currency, at or below which a package is bought."""
    return settings.get_amount(session, LIMIT) or Decimal(0)


def enable(
    session: Session,
    *,
    user: User,
    package: TopUpPackage,
    method: PaymentMethod,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Let a package be bought by this payment method from now on, instead of what was ordered before. Flushes.

    Raises AutoTopUpDisabled, PackageNotSold, UnusablePaymentMethod, ReasonRequired.
    """
    if not settings.get(session, ENABLED):
        raise AutoTopUpDisabled("Auto top up is switched off in CONFIGURATION > Settings > User billing.")
    require_usable(method, user=user, now=now)
    _locked(session, user.id)  # before the package, as whoever deletes the package does
    require_on_sale(session, package)
    order = {
        "package_id": package.id,
        "payment_method_id": method.id,
        "enabled_at": now,
        "crossing_entry_id": None,
        "paused_until": None,
        "declines": 0,
        "last_error": None,
    }
    session.execute(
        insert(AutoTopUp).values(user_id=user.id, **order).on_conflict_do_update(index_elements=["user_id"], set_=order)
    )
    return _note(session, user, SWITCHED_ON, f"{package} by {method}", reason, actor, now)


def disable(session: Session, *, user: User, reason: str, actor: Admin | None, now: datetime) -> Action:
    """End a user's auto top-up; one that is under way is not called back. Flushes. Raises NoAutoTopUp."""
    order = _locked(session, user.id)
    if order is None:
        raise NoAutoTopUp(f"{user.email} has no auto top-up.")
    info = f"{order.package} by {order.payment_method}"
    session.delete(order)
    session.flush()
    return _note(session, user, SWITCHED_OFF, info, reason, actor, now)


def end_all(session: Session, *, package: TopUpPackage, actor: Admin | None, now: datetime) -> int:
    """End the auto top-ups that buy a package, because it is deleted; returns how many. Flushes.

    Manual, "Deleting a Top-Up Package".
    """
    orders = session.scalars(
        select(AutoTopUp)
        .where(AutoTopUp.package_id == package.id)
        .options(joinedload(AutoTopUp.user), joinedload(AutoTopUp.payment_method))
        .order_by(AutoTopUp.user_id)
        .with_for_update(of=AutoTopUp)
    ).all()
    for order in orders:
        info = f"{package} by {order.payment_method}"
        _note(session, order.user, SWITCHED_OFF, info, "The top-up package was deleted.", actor, now)
        session.delete(order)
    session.flush()
    return len(orders)


def _last_debit(account_id: Any) -> ColumnElement[int]:
    """The newest debit of an account, 0 where there is none."""
    newest = (
        select(LedgerEntry.id)
        .where(LedgerEntry.account_id == account_id, LedgerEntry.debit > 0)
        .order_by(LedgerEntry.id.desc())
        .limit(1)
    )
    return func.coalesce(newest.scalar_subquery(), 0)


def due(session: Session, *, now: datetime, user_id: int | None = None) -> list[tuple[int, int]]:
    """Users whose balance has reached the limit, with the debit that brought it there; at most BATCH."""
    if not (settings.get(session, ENABLED) and settings.get(session, PACKAGES_ENABLED)):
        return []
    crossing = _last_debit(BalanceAccount.id).label("crossing")
    in_flight = exists().where(
        Voucher.user_id == AutoTopUp.user_id,
        Voucher.type == VoucherType.AUTO_TOP_UP,
        Voucher.status == VoucherStatus.PENDING,
    )
    base = settings.get_text(session, rates.BASE_CURRENCY)
    of_user = and_(BalanceAccount.user_id == AutoTopUp.user_id, BalanceAccount.currency == base)
    query = (
        select(AutoTopUp.user_id, crossing)
        .join(User, User.id == AutoTopUp.user_id)
        .outerjoin(BalanceAccount, of_user)
        .where(
            User.status == UserStatus.ACTIVE,
            func.coalesce(AutoTopUp.paused_until, now) <= now,
            func.coalesce(BalanceAccount.balance, 0) <= limit(session),
            or_(func.coalesce(AutoTopUp.crossing_entry_id, -1) < crossing, AutoTopUp.declines > 0),
            ~in_flight,
        )
        .order_by(AutoTopUp.paused_until.nulls_first(), AutoTopUp.user_id)
        .limit(BATCH)
    )
    if user_id is not None:
        query = query.where(AutoTopUp.user_id == user_id)
    return [(row[0], row[1]) for row in session.execute(query)]


def begin(session: Session, *, user_id: int, now: datetime) -> Voucher | None:
    """Buy the package if it is due, under the standing order's lock; None when it is not, or somebody else is at it.

    What cannot be bought (an expired card, a package no longer sold) counts as declined. Flushes.
    """
    order = _locked(session, user_id, skip=True)
    if order is None:
        return None
    again = due(session, now=now, user_id=user_id)  # as it is under the lock
    if not again:
        return None
    crossing = again[0][1]
    try:
        require_usable(order.payment_method, user=order.user, now=now)
        voucher = buy(
            session,
            user=order.user,
            method=order.payment_method,
            package=order.package,
            type_=VoucherType.AUTO_TOP_UP,
            key=f"auto-top-up:{user_id}:{crossing}:{_bought(session, user_id)}",
            now=now,
        )
    except (UnusablePaymentMethod, PackageNotSold) as refusal:
        _decline(session, order, f"{user_id}:{now.timestamp():.0f}", str(refusal), now)
        return None
    order.crossing_entry_id = crossing
    session.flush()
    return voucher


def begin_due(transact: Transact, *, clock: Callable[[], datetime]) -> int:
    """Begin every auto top-up that is due, each in a transaction of its own; returns how many."""
    with transact() as session:
        found = due(session, now=clock())
    begun = 0
    for user_id, _ in found:
        try:
            with transact() as session:
                begun += begin(session, user_id=user_id, now=clock()) is not None
        except Exception:  # one driver's top-up must not keep the others from theirs; the next tick repeats it
            log.exception("auto_top_up.failed", user_id=user_id)
    return begun


def succeeded(session: Session, *, user_id: int) -> None:
    """The payment came through: earlier declines are forgotten. Flushes."""
    order = _locked(session, user_id)
    if order is not None:
        order.declines, order.paused_until, order.last_error = 0, None, None
        session.flush()


def declined(session: Session, *, voucher: Voucher, problem: str, now: datetime) -> None:
    """The payment did not come through: pause, the third time end; tell the driver. Flushes."""
    assert voucher.user_id is not None
    order = _locked(session, voucher.user_id)
    if order is None or order.enabled_at > voucher.created_at:
        return  # ended or ordered anew meanwhile
    _decline(session, order, str(voucher.id), problem, now)


def _decline(session: Session, order: AutoTopUp, attempt: str, problem: str, now: datetime) -> None:
    order.declines += 1
    order.last_error = problem
    ends = order.declines > len(PAUSES)
    if ends:
        info = f"{order.package} by {order.payment_method}"
        session.delete(order)
        reason = f"Declined {order.declines} times in a row: {problem}"
        _note(session, order.user, SWITCHED_OFF, info, reason[:400], None, now)
    else:
        order.paused_until = now + PAUSES[order.declines - 1]
    session.flush()
    values: dict[str, mail_words.Value] = {
        "name": order.user.full_name,
        "package": f"{order.package.price.normalize():f} {order.package.currency}",
        "method": str(order.payment_method),
        "problem": problem,
    }
    if order.paused_until is not None and not ends:
        values["again"] = mail_texts.moment(session, order.paused_until)
    mail = mail_words.compose(
        session,
        "auto_top_up_ended" if ends else "auto_top_up_declined",
        language=order.user.locale,
        values=values,
    )
    queue_mail(
        session,
        key=f"auto-top-up:{attempt}",
        recipient=order.user.email,
        subject=mail.subject,
        body=mail.body,
        html=mail.html,
        now=now,
    )


def _bought(session: Session, user_id: int) -> int:
    """How many auto top-ups a user has had: each attempt has a key of its own."""
    query = select(func.count()).where(Voucher.user_id == user_id, Voucher.type == VoucherType.AUTO_TOP_UP)
    return session.scalar(query) or 0


def _locked(session: Session, user_id: int, *, skip: bool = False) -> AutoTopUp | None:
    return session.scalars(
        select(AutoTopUp)
        .where(AutoTopUp.user_id == user_id)
        .with_for_update(of=AutoTopUp, skip_locked=skip)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _note(
    session: Session, user: User, name: str, info: str, reason: str, actor: Admin | None, now: datetime
) -> Action:
    return open_action(
        session,
        name=name,
        target_type=User.__tablename__,
        target_id=user.id,
        target_label=user.email,
        info=info,
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        user_id=user.id,
        now=now,
    )
