"""The drivers' balances: an append-only ledger with the balance after each entry.

Manual, "Add to User's Balance" (Timestamp, Type, #, Credit, Debit, Updated balance); product.md, "Money".
The account's row lock makes two entries for one user wait for each other; the unique reference makes each
movement happen once, whatever is repeated. A balance below zero is what the user owes.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.billing.models import BalanceAccount, LedgerEntry, LedgerEntryType
from app.core import events
from app.core.actions import open_action
from app.core.models import HOUSE_PARTNER_ID, Action, ActionStatus, Admin, CurrencyRow
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
    description: str | None = None,
) -> LedgerEntry:
    """Add ``amount`` to a user's balance, once per ``reference``; flushes.

    The same reference again returns the first entry and changes nothing. When the balance comes back from
    below zero, ``balance.settled`` is announced (user_id, currency).
    Raises LedgerConflict, InvalidLedgerAmount, UnknownCurrency.
    """
    entry, before = _post(
        session,
        user_id=user_id,
        signed_amount=_checked(session, amount, currency),
        currency=currency,
        type=type,
        reference=reference,
        now=now,
        action_id=action_id,
        session_id=session_id,
        description=description,
    )
    if before is not None and before < 0 <= entry.balance_after:
        events.announce(session, "balance.settled", partner_id=HOUSE_PARTNER_ID, user_id=user_id, currency=currency)
    return entry


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
    entry, _before = _post(
        session,
        user_id=user_id,
        signed_amount=-_checked(session, amount, currency),
        currency=currency,
        type=type,
        reference=reference,
        now=now,
        action_id=action_id,
        session_id=session_id,
        description=description,
    )
    return entry


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
    """The action "Add balance": its row in the Actions log and the credit "Operator top up", in one; flushes.

    Manual, "Add to User's Balance". Raises ReasonRequired, InvalidLedgerAmount, UnknownCurrency.
    """
    amount = _checked(session, amount, currency)
    action = _open(session, ADD_BALANCE, user, f"{amount:f} {currency}", reason, actor, now)
    return credit(
        session,
        user_id=user.id,
        amount=amount,
        currency=currency,
        type=LedgerEntryType.OPERATOR_TOP_UP,
        reference=f"action:{action.id}:top-up",
        action_id=action.id,
        description=action.reason,
        now=now,
    )


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
        target = _checked(session, target, currency)
    present = _locked_account(session, user.id, currency).balance
    if target > present:
        missing = target - present
        return add_balance(session, user=user, amount=missing, currency=currency, reason=reason, actor=actor, now=now)
    if target == present:
        return None
    excess = _checked(session, present - target, currency)
    action = _open(session, CORRECT_BALANCE, user, f"-{excess:f} {currency}", reason, actor, now)
    return debit(
        session,
        user_id=user.id,
        amount=excess,
        currency=currency,
        type=LedgerEntryType.CORRECTION,
        reference=f"action:{action.id}:correction",
        action_id=action.id,
        description=action.reason,
        now=now,
    )


def _open(
    session: Session, name: str, user: User, info: str, reason: str, actor: Admin | None, now: datetime
) -> Action:
    return open_action(
        session,
        name=name,
        target_type=User.__tablename__,
        target_id=user.id,
        target_label=user.email,
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        info=info,
        now=now,
    )


def _checked(session: Session, amount: Decimal, currency: str) -> Decimal:
    """The amount, written with the currency's decimals, if it may be booked."""
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


def _post(
    session: Session,
    *,
    user_id: int,
    signed_amount: Decimal,
    currency: str,
    type: LedgerEntryType,
    reference: str,
    now: datetime,
    action_id: int | None,
    session_id: int | None,
    description: str | None,
) -> tuple[LedgerEntry, Decimal | None]:
    """Append the entry, move the balance; returns both as the entry and the balance before.

    The balance before is None when the reference had been booked already.
    """
    account = _locked_account(session, user_id, currency)
    before = account.balance
    added = max(signed_amount, Decimal(0))
    taken = max(-signed_amount, Decimal(0))
    entry = session.scalars(
        insert(LedgerEntry)
        .values(
            account_id=account.id,
            at=now,
            type=type,
            reference=reference,
            credit=added,
            debit=taken,
            balance_after=before + signed_amount,
            session_id=session_id,
            action_id=action_id,
            description=description,
        )
        .on_conflict_do_nothing(index_elements=["reference"])
        .returning(LedgerEntry)
    ).one_or_none()
    if entry is not None:
        account.balance = before + signed_amount
        session.flush()
        return entry, before
    first = session.scalars(select(LedgerEntry).where(LedgerEntry.reference == reference)).one()
    if (first.account_id, first.type, first.credit, first.debit) != (account.id, type, added, taken):
        raise LedgerConflict(
            f"{reference!r} is already booked as {first.type.label}, credit {first.credit:f}, "
            f"debit {first.debit:f}; it cannot also be {type.label}, credit {added:f}, debit {taken:f}"
        )
    return first, None
