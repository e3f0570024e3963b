"""Vouchers: made in any number, redeemed once, cancelled or expired when nobody did. Manual, "Vouchers".

A voucher is redeemed under its row's lock, so that of any number at once one wins. "Redeem before" is a day whose end,
in the system's time zone, is the last moment (product.md, "Time").
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.codes import issue_many, normalised
from app.billing.models import LedgerEntry, LedgerEntryType, Voucher, VoucherStatus, VoucherType
from app.core import rates, settings
from app.core.actions import open_action
from app.core.audit import record_change
from app.core.clock import zone
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User

#: more at once is a slip of the finger
MAX_QUANTITY = 10_000
#: so many expire in one database transaction
BATCH = 1_000


class VoucherError(ValueError):
    """Something that cannot be done with a voucher; the message is for the operator."""


class InvalidQuantity(VoucherError):
    """Less than one voucher, or too many at once."""


class RedeemBeforePassed(VoucherError):
    """The last day to redeem is over already."""


class UnknownCode(VoucherError):
    """No voucher has this code."""


class VoucherAlreadyRedeemed(VoucherError):
    """Somebody has redeemed it."""


class VoucherExpired(VoucherError):
    """Its last day is over."""


class VoucherCancelled(VoucherError):
    """An operator has cancelled it."""


class VoucherInOtherCurrency(VoucherError):
    """Its currency is not the one of balances."""


class VoucherNotPaid(VoucherError):
    """It is a top-up whose payment has not come through."""


class VoucherNotOpen(VoucherError):
    """Only a voucher that waits to be redeemed can be cancelled."""


def today(session: Session, now: datetime) -> date:
    """The day in the system's time zone, by which vouchers expire."""
    return now.astimezone(zone(settings.get_text(session, "system.timezone"))).date()


def create_vouchers(
    session: Session,
    *,
    quantity: int,
    amount: Decimal,
    redeem_before: date | None,
    description: str | None,
    actor: Admin | None,
    now: datetime,
) -> list[int]:
    """Make vouchers of ``amount`` in the base currency, each with a code of its own; returns their ids. Flushes.

    Manual, "Creating Vouchers". ``redeem_before`` None: they do not expire.
    Raises InvalidQuantity, RedeemBeforePassed, InvalidLedgerAmount, UnknownCurrency.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise InvalidQuantity(f"Between 1 and {MAX_QUANTITY:,} vouchers can be made at once.")
    if redeem_before is not None and redeem_before < today(session, now):
        raise RedeemBeforePassed("This day is over.")
    currency = settings.get_text(session, rates.BASE_CURRENCY)
    values = {
        "amount": ledger.checked_amount(session, amount, currency),
        "currency": currency,
        "redeem_before": redeem_before,
        "description": (description or "").strip() or None,
    }
    ids = issue_many(
        session,
        quantity,
        type=VoucherType.VOUCHER,
        status=VoucherStatus.ACTIVE,
        created_at=now,
        created_by_id=actor.id if actor else None,
        created_by=actor.name if actor else "",
        **values,
    )
    record_change(
        session,
        actor=actor,
        event="create",
        object_type=Voucher.__tablename__,
        object_id=ids[0],
        label=f"{quantity:,} vouchers" if quantity > 1 else "1 voucher",
        before={},
        after={"quantity": quantity, "first_id": ids[0], "last_id": ids[-1], **values},
    )
    return ids


def redeem(session: Session, *, code: str, user: User, now: datetime, action: Action | None = None) -> LedgerEntry:
    """Add a voucher's amount to a user's balance, once; returns the ledger entry. Flushes.

    The code may be written in small letters and with blanks. ``action`` is what an operator did it by.
    Raises UnknownCode, VoucherAlreadyRedeemed, VoucherExpired, VoucherCancelled, VoucherInOtherCurrency,
    VoucherNotPaid.
    """
    voucher = session.scalars(
        select(Voucher)
        .where(Voucher.code == normalised(code))
        .with_for_update(of=Voucher)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if voucher is None:
        raise UnknownCode(f"There is no voucher with the code {normalised(code)[:20] or '(empty)'}.")
    _require_redeemable(session, voucher, now)
    voucher.redeemed_at, voucher.user_id = now, user.id
    session.flush()
    return ledger.credit(
        session,
        user_id=user.id,
        amount=voucher.amount,
        currency=voucher.currency,
        type=LedgerEntryType.VOUCHER,
        reference=f"voucher:{voucher.id}",
        action_id=action.id if action else None,
        voucher_id=voucher.id,
        now=now,
    )


def redeem_for(
    session: Session, *, code: str, user: User, reason: str, actor: Admin | None, now: datetime
) -> LedgerEntry:
    """Redeem a voucher on behalf of a user: the action and the credit in one. Flushes.

    Raises ReasonRequired and whatever ``redeem`` raises.
    """
    action = open_action(
        session,
        name="Redeem voucher",
        target_type=User.__tablename__,
        target_id=user.id,
        target_label=user.email,
        info=f"Voucher {normalised(code)}",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        user_id=user.id,
        now=now,
    )
    return redeem(session, code=code, user=user, now=now, action=action)


def _require_redeemable(session: Session, voucher: Voucher, now: datetime) -> None:
    code = voucher.code
    if voucher.redeemed_at is not None:
        raise VoucherAlreadyRedeemed(f"The voucher {code} has been redeemed already.")
    if voucher.status is VoucherStatus.CANCELLED:
        raise VoucherCancelled(f"The voucher {code} was cancelled.")
    if voucher.status is VoucherStatus.EXPIRED or (
        voucher.redeem_before is not None and voucher.redeem_before < today(session, now)
    ):
        last = f" on {voucher.redeem_before:%Y-%m-%d}" if voucher.redeem_before else ""
        raise VoucherExpired(f"The voucher {code} expired{last}.")
    if voucher.status is not VoucherStatus.ACTIVE or voucher.type is not VoucherType.VOUCHER:
        raise VoucherNotPaid(f"{code} is a top-up whose payment has not come through.")
    base = settings.get_text(session, rates.BASE_CURRENCY)
    if voucher.currency != base:
        raise VoucherInOtherCurrency(f"The voucher {code} is in {voucher.currency}, balances are in {base}.")


def is_open(voucher: Voucher) -> bool:
    """Whether it waits to be redeemed."""
    return (
        voucher.type is VoucherType.VOUCHER and voucher.status is VoucherStatus.ACTIVE and voucher.redeemed_at is None
    )


def cancel(session: Session, *, voucher: Voucher, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Make a voucher that nobody has redeemed worthless. Flushes. Raises VoucherNotOpen, ReasonRequired."""
    session.refresh(voucher, with_for_update={"of": Voucher})
    if not is_open(voucher):
        state = "redeemed" if voucher.redeemed_at is not None else voucher.status.label.lower()
        raise VoucherNotOpen(f"Only vouchers that wait to be redeemed can be cancelled; {voucher.code} is {state}.")
    voucher.status = VoucherStatus.CANCELLED
    session.flush()
    return open_action(
        session,
        name="Cancel voucher",
        target_type=Voucher.__tablename__,
        target_id=voucher.id,
        target_label=voucher.code,
        info=f"{voucher.amount.normalize():f} {voucher.currency}",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        now=now,
    )


def expire(session: Session, *, now: datetime) -> int:
    """Expire vouchers whose last day is over, at most BATCH; returns how many. What somebody is redeeming is left."""
    due = (
        select(Voucher.id)
        .where(
            Voucher.status == VoucherStatus.ACTIVE,
            Voucher.redeemed_at.is_(None),
            Voucher.redeem_before < today(session, now),
        )
        .order_by(Voucher.redeem_before, Voucher.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    expired = session.execute(
        update(Voucher)
        .where(Voucher.id.in_(due))
        .values(status=VoucherStatus.EXPIRED, version=Voucher.version + 1)
        .returning(Voucher.id),
        execution_options={"synchronize_session": False},
    )
    return len(expired.all())
