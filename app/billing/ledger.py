"""The drivers' balances: an append-only ledger with the balance after each entry.

Manual, "Add to User's Balance" (Timestamp, Type, #, Credit, Debit, Updated balance); product.md, "Money".
The account's row lock makes two entries for one user wait for each other; the unique reference makes each
movement happen once, whatever is repeated. A balance below zero is what the user owes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.billing.codes import issue
from app.billing.models import BalanceAccount, LedgerEntry, LedgerEntryType, VoucherStatus, VoucherType
from app.core import events
from app.core.actions import open_action
from app.core.models import HOUSE_PARTNER_ID, ActionStatus, Admin, CurrencyRow
from app.core.money import round_minor
from app.crm.models import User

ADD_BALANCE = "Add balance"
CORRECT_BALANCE = "Correct balance"


class LedgerConflict(ValueError):
    """The reference already stands for another movement: another user, currency, type, side or amount."""


class InvalidLedgerAmount(ValueError):
    """The amount is not above zero, or has more decimals than its currency."""


class UnknownCurrency(ValueError):
    """There is no such currency."""


def credit(
    session: Session,
    *,
    user_id: int,
    amount: Decimal,
    currency: str,
    type: LedgerEntryType,
    reference: str,
    now: datetime,
    action_id: int | None = None,
    session_id: int | None = None,
    voucher_id: int | None = None,
    description: str | None = None,
) -> LedgerEntry:
    """Add ``amount`` to a user's balance, once per ``reference``; flushes. ``voucher_id``: the voucher redeemed.

    The same reference again returns the first entry and changes nothing. When something is taken off what is owed,
    ``balance.settled`` is announced (user_id, currency): the oldest sessions may be paid by it.
    Raises LedgerConflict, InvalidLedgerAmount, UnknownCurrency.
    """
    amount = checked_amount(session, amount, currency)
    movement = _Movement(type, amount, reference, now, action_id, session_id, voucher_id, description)
    return _book(session, _locked_account(session, user_id, currency), movement)


def debit(
    session: Session,
    *,
    user_id: int,
    amount: Decimal,
    currency: str,
    type: LedgerEntryType,
    reference: str,
    now: datetime,
    action_id: int | None = None,
    session_id: int | None = None,
    description: str | None = None,
) -> LedgerEntry:
    """Take ``amount`` from a user's balance, once per ``reference``; flushes. It may fall below zero.

    The same reference again returns the first entry and changes nothing.
    Raises LedgerConflict, InvalidLedgerAmount, UnknownCurrency.
    """
    amount = checked_amount(session, amount, currency)
    movement = _Movement(type, -amount, reference, now, action_id, session_id, None, description)
    return _book(session, _locked_account(session, user_id, currency), movement)


def balance(session: Session, *, user_id: int, currency: str) -> Decimal:
    """What a user has in a currency; 0 when nothing was ever booked, below 0 when the user owes."""
    stored = session.scalar(
        select(BalanceAccount.balance).where(BalanceAccount.user_id == user_id, BalanceAccount.currency == currency)
    )
    return Decimal(0) if stored is None else stored


def outstanding(session: Session, *, user_id: int, currency: str) -> Decimal:
    """What a user owes in a currency: the part of the balance below zero, as a positive amount."""
    return max(Decimal(0), -balance(session, user_id=user_id, currency=currency))


def add_balance(
    session: Session,
    *,
    user: User,
    amount: Decimal,
    currency: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> LedgerEntry:
    """The action "Add balance": its row in the Actions log, a voucher redeemed at once, and the credit; flushes.

    Manual, "Add to User's Balance": "the system generates and redeems a voucher to the user's account".
    Raises ReasonRequired, InvalidLedgerAmount, UnknownCurrency.
    """
    amount = checked_amount(session, amount, currency)
    account = _locked_account(session, user.id, currency)
    return _book_action(session, account, user, amount, reason, actor, now)


def bring_balance_to(
    session: Session,
    *,
    user: User,
    target: Decimal,
    currency: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> LedgerEntry | None:
    """Make a balance exactly ``target`` (not below 0): an operator's top up, or a correction when it is lower.

    Returns the entry, None when the balance is that already; flushes. Nothing is booked in between, however
    much is going on. Raises ReasonRequired, InvalidLedgerAmount, UnknownCurrency.
    """
    if target:
        target = checked_amount(session, target, currency)
    if balance(session, user_id=user.id, currency=currency) == target:
        return None
    account = _locked_account(session, user.id, currency)
    if account.balance == target:
        return None  # somebody else has just brought it there
    amount = checked_amount(session, abs(target - account.balance), currency)
    signed_amount = amount if target > account.balance else -amount
    return _book_action(session, account, user, signed_amount, reason, actor, now)


def _book_action(
    session: Session,
    account: BalanceAccount,
    user: User,
    signed_amount: Decimal,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> LedgerEntry:
    """Credit or debit what an operator decided, as an action with its entry; what is added, by a voucher."""
    adds = signed_amount > 0
    action = open_action(
        session,
        name=ADD_BALANCE if adds else CORRECT_BALANCE,
        target_type=User.__tablename__,
        target_id=user.id,
        target_label=user.email,
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        info=f"{signed_amount:f} {account.currency}",
        user_id=user.id,
        now=now,
    )
    voucher = None
    if adds:
        voucher = issue(
            session,
            type=VoucherType.OPERATOR_TOP_UP,
            status=VoucherStatus.ACTIVE,
            created_at=now,
            amount=signed_amount,
            currency=account.currency,
            redeemed_at=now,
            user_id=user.id,
            created_by_id=actor.id if actor else None,
            created_by=action.initiated_by,
            description=action.reason,
            action_id=action.id,
        )
    movement = _Movement(
        type=LedgerEntryType.OPERATOR_TOP_UP if adds else LedgerEntryType.CORRECTION,
        signed_amount=signed_amount,
        reference=f"action:{action.id}:{'top-up' if adds else 'correction'}",
        now=now,
        action_id=action.id,
        session_id=None,
        voucher_id=voucher.id if voucher else None,
        description=action.reason,
    )
    return _book(session, account, movement)


def checked_amount(session: Session, amount: Decimal, currency: str) -> Decimal:
    """The amount, written with the currency's decimals, if it may be booked.

    Raises InvalidLedgerAmount, UnknownCurrency.
    """
    row = session.get(CurrencyRow, currency)
    if row is None:
        raise UnknownCurrency(f"there is no currency {currency!r}")
    rounded = round_minor(amount, row.exponent)
    if amount <= 0:
        raise InvalidLedgerAmount(f"an amount above zero is expected, not {amount:f}")
    if rounded != amount:
        raise InvalidLedgerAmount(f"{amount:f} has more decimals than {currency}, which has {row.exponent or 'none'}")
    return rounded


def _locked_account(session: Session, user_id: int, currency: str) -> BalanceAccount:
    """The account, made if need be, locked until the transaction ends and read as it is now."""
    session.execute(
        insert(BalanceAccount)
        .values(user_id=user_id, currency=currency)
        .on_conflict_do_nothing(index_elements=["user_id", "currency"])
    )
    return session.scalars(
        select(BalanceAccount)
        .where(BalanceAccount.user_id == user_id, BalanceAccount.currency == currency)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


@dataclass(frozen=True)
class _Movement:
    """What is to be booked; above 0 a credit, below 0 a debit."""

    type: LedgerEntryType
    signed_amount: Decimal
    reference: str
    now: datetime
    action_id: int | None
    session_id: int | None
    voucher_id: int | None
    description: str | None

    @property
    def credit(self) -> Decimal:
        return max(self.signed_amount, Decimal(0))

    @property
    def debit(self) -> Decimal:
        return max(-self.signed_amount, Decimal(0))


def _book(session: Session, account: BalanceAccount, movement: _Movement) -> LedgerEntry:
    """Append the entry to the locked account and move its balance, unless the reference is booked already."""
    before = account.balance
    after = before + movement.signed_amount
    entry = session.scalars(
        insert(LedgerEntry)
        .values(
            account_id=account.id,
            at=movement.now,
            type=movement.type,
            reference=movement.reference,
            credit=movement.credit,
            debit=movement.debit,
            balance_after=after,
            session_id=movement.session_id,
            action_id=movement.action_id,
            voucher_id=movement.voucher_id,
            description=movement.description,
        )
        .on_conflict_do_nothing(index_elements=["reference"])
        .returning(LedgerEntry)
    ).one_or_none()
    if entry is None:
        return _first(session, account, movement)
    account.balance = after
    session.flush()
    if before < 0 and after > before:
        events.announce(
            session,
            "balance.settled",
            partner_id=HOUSE_PARTNER_ID,
            user_id=account.user_id,
            currency=account.currency,
        )
    return entry


def _first(session: Session, account: BalanceAccount, movement: _Movement) -> LedgerEntry:
    """The entry that has the reference, if it is this very movement."""
    first = session.scalars(select(LedgerEntry).where(LedgerEntry.reference == movement.reference)).one()
    asked = (account.id, movement.type, movement.credit, movement.debit)
    if (first.account_id, first.type, first.credit, first.debit) != asked:
        raise LedgerConflict(
            f"{movement.reference!r} is already booked as {first.type.label}, credit {first.credit:f}, "
            f"debit {first.debit:f}; it cannot also be {movement.type.label}, credit {movement.credit:f}, "
            f"debit {movement.debit:f}"
        )
    return first
