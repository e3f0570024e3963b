"""Corporate accounts as payers: what a partners' module offers, and what billing asks of it.

Manual, "Corporate Account Billing" and "Corporate Billing Limit". Whoever keeps partner contracts registers itself
here (``offer``); until somebody does, nobody may bill to a partner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from sqlalchemy.orm import Session

#: as stored with transactions that a partner's account pays
PROCESSOR = "corporate"


@dataclass(frozen=True, slots=True)
class Account:
    """A partner's account that a user may bill to."""

    partner_id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a user may bill to a partner's account now, and how much of its limit is used (None: no limit)."""

    allowed: bool
    limit: Decimal | None = None
    used: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateCharge:
    """What a session cost that a partner's account pays; ``transaction_id`` is its transaction, once per session."""

    partner_id: int
    user_id: int
    session_id: int
    transaction_id: int
    amount: Decimal
    currency: str
    at: datetime


class CorporateAccounts(Protocol):
    """Who may bill to which partner, and what was billed."""

    def accounts_of(self, session: Session, *, user_id: int) -> Sequence[Account]:
        """The accounts that a user may choose, by name."""
        ...

    def standing(self, session: Session, *, user_id: int, partner_id: int, currency: str) -> Standing:
        """Whether the user may bill to this partner now."""
        ...

    def record(self, session: Session, charge: CorporateCharge) -> None:
        """Write down a charge, in the caller's database transaction; the same one again changes nothing."""
        ...


class Nobody:
    """No partner pays for anybody."""

    def accounts_of(self, session: Session, *, user_id: int) -> Sequence[Account]:
        """None."""
        return ()

    def standing(self, session: Session, *, user_id: int, partner_id: int, currency: str) -> Standing:
        """Not allowed."""
        return Standing(allowed=False)

    def record(self, session: Session, charge: CorporateCharge) -> None:
        """The energy has flowed and the transaction says who owes it; there is nobody else to tell."""


_offered: list[CorporateAccounts] = [Nobody()]


def offer(accounts: CorporateAccounts) -> None:
    """Make a module the one that is asked about corporate accounts."""
    _offered[0] = accounts


def accounts() -> CorporateAccounts:
    """The module that is asked."""
    return _offered[0]
