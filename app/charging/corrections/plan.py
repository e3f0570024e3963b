"""What happens with the money when a session's price or payer changes: a pure plan, shown first and then done.

What was asked for a session (paid, owed, waived) comes to its price, before a correction and after it. A lower price
lets go what was waived, then withdraws what is owed, then gives back what was paid, the latest payment first; what
is withdrawn beyond the difference is asked for again. A higher price is asked for, or waived. Another payer is asked
for all of it, and whoever had paid gets it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from app.charging.corrections.rules import CorrectionRefused

ZERO = Decimal(0)


class NotEnoughLeft(CorrectionRefused):
    """More would have to be given back than is left, as a part was refunded before; the message says how much."""


class TakeState(StrEnum):
    """Where money that was asked for stands."""

    PAID = "paid"
    OWED = "owed"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """A charge or capture of a session that counts: ``amount`` less what corrections gave back of it.

    ``left`` is what can still be refunded of it; ``goodwill`` what operators refunded of it without a correction.
    """

    transaction_id: int
    state: TakeState
    amount: Decimal
    left: Decimal = ZERO
    goodwill: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back of what was paid; ``absorbs`` earlier refunds of it, because all of it goes back."""

    transaction_id: int
    amount: Decimal
    absorbs: bool = False


@dataclass(frozen=True, slots=True)
class Withdraw:
    """No longer ask for what is owed, or count as waived what was."""

    transaction_id: int
    amount: Decimal
    waived: bool = False


@dataclass(frozen=True, slots=True)
class MoneyPlan:
    """The steps of a correction; ``asked`` is charged to the payer, ``waived`` is nobody's to pay."""

    refunds: tuple[Refund, ...] = ()
    withdrawals: tuple[Withdraw, ...] = ()
    asked: Decimal = ZERO
    waived: Decimal = ZERO

    @property
    def given_back(self) -> Decimal:
        """All that is refunded now."""
        return sum((each.amount for each in self.refunds), ZERO)

    @property
    def withdrawn(self) -> Decimal:
        """All that is no longer owed."""
        return sum((each.amount for each in self.withdrawals if not each.waived), ZERO)

    @property
    def unwaived(self) -> Decimal:
        """All that had been waived and no longer counts."""
        return sum((each.amount for each in self.withdrawals if each.waived), ZERO)


def asked_so_far(takes: Sequence[Take]) -> Decimal:
    """What was asked for a session until now, paid, owed or waived."""
    return sum((take.amount for take in takes), ZERO)


def plan_money(*, price: Decimal, takes: Sequence[Take], payer_changes: bool = False, waive: bool = False) -> MoneyPlan:
    """What to do so that what was asked comes to ``price`` (0 or more). Raises NotEnoughLeft.

    ``waive``: what a higher price would ask for is not asked.
    """
    if payer_changes:
        return _anew(price, takes, waive)
    difference = price - asked_so_far(takes)
    if difference >= 0:
        return MoneyPlan(waived=difference) if waive else MoneyPlan(asked=difference)
    return _lower(-difference, takes)


def _anew(price: Decimal, takes: Sequence[Take], waive: bool) -> MoneyPlan:
    refunds = tuple(
        Refund(take.transaction_id, take.left, absorbs=take.goodwill > 0)
        for take in takes
        if take.state is TakeState.PAID and (take.left > 0 or take.goodwill > 0)
    )
    withdrawals = tuple(
        Withdraw(take.transaction_id, take.amount, waived=take.state is TakeState.WAIVED)
        for take in takes
        if take.state is not TakeState.PAID
    )
    if waive:
        return MoneyPlan(refunds, withdrawals, waived=price)
    return MoneyPlan(refunds, withdrawals, asked=price)


def _lower(over: Decimal, takes: Sequence[Take]) -> MoneyPlan:
    withdrawals: list[Withdraw] = []
    refunds: list[Refund] = []
    again = {TakeState.WAIVED: ZERO, TakeState.OWED: ZERO}
    latest_first = sorted(takes, key=lambda take: -take.transaction_id)
    for state in (TakeState.WAIVED, TakeState.OWED):
        for take in (each for each in latest_first if each.state is state):
            if over <= 0:
                break
            withdrawals.append(Withdraw(take.transaction_id, take.amount, waived=state is TakeState.WAIVED))
            over -= take.amount
        if over < 0:
            again[state], over = -over, ZERO
    for take in (each for each in latest_first if each.state is TakeState.PAID):
        amount = min(over, take.left, take.amount)
        if amount > 0:
            refunds.append(Refund(take.transaction_id, amount))
            over -= amount
    if over > 0:
        raise NotEnoughLeft(
            f"{over.normalize():f} more would have to be given back than is left of what was paid: "
            "a part of it was refunded before. See the transactions of the session."
        )
    return MoneyPlan(tuple(refunds), tuple(withdrawals), asked=again[TakeState.OWED], waived=again[TakeState.WAIVED])
