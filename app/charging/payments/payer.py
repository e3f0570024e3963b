"""Who pays for a session: one function over plain facts.

product.md, "Money": the choice at the start, else the RFID tag's setting, else the last used payment method. Without
a payment method the balance pays. Manual, "User billing settings":
- strategy 3 with "Do not allow direct use of payment method for payment": the balance pays, never a payment method;
- strategy 2: what is pre-authorised pays, so the balance cannot be chosen there while there is a payment method.

A corporate account is a payer of its own that none of this touches.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.charging.authorize import BillingStrategy, PaidFrom


@dataclass(frozen=True, slots=True)
class Wish:
    """What a driver, an operator or a tag wants to pay with; ``paid_from`` None: the last used payment method."""

    paid_from: PaidFrom | None = None
    payment_method_id: int | None = None
    partner_id: int | None = None

    def __post_init__(self) -> None:
        if (self.paid_from is PaidFrom.PAYMENT_METHOD) is (self.payment_method_id is None):
            raise ValueError("A payment method is named when it is to pay, and only then")
        if (self.paid_from is PaidFrom.CORPORATE) is (self.partner_id is None):
            raise ValueError("A partner is named when its account is to pay, and only then")


LAST_USED = Wish()
BALANCE = Wish(PaidFrom.BALANCE)


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, as it is kept with the session."""

    paid_from: PaidFrom
    payment_method_id: int | None = None
    partner_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerFacts:
    """What the decision needs. ``usable_methods`` are ids, the last used first; ``choice`` wins over ``tag``."""

    strategy: BillingStrategy
    usable_methods: tuple[int, ...] = ()
    methods_not_for_sessions: bool = False
    choice: Wish | None = None
    tag: Wish | None = None

    @property
    def methods_pay(self) -> bool:
        """Whether payment methods may pay for sessions; the setting belongs to strategy 3."""
        return not (self.methods_not_for_sessions and self.strategy is BillingStrategy.BALANCE_OR_PAYMENT_METHOD)


def choose_payer(facts: PayerFacts) -> Payer:
    """Who pays. A payment method that cannot be used any more is as if it had not been chosen."""
    wish = facts.choice or facts.tag or LAST_USED
    if wish.paid_from is PaidFrom.CORPORATE:
        return Payer(PaidFrom.CORPORATE, partner_id=wish.partner_id)
    if not facts.methods_pay or not facts.usable_methods:
        return Payer(PaidFrom.BALANCE)
    if wish.payment_method_id in facts.usable_methods:
        return Payer(PaidFrom.PAYMENT_METHOD, payment_method_id=wish.payment_method_id)
    if wish.paid_from is PaidFrom.BALANCE and facts.strategy is not BillingStrategy.PREAUTHORIZE:
        return Payer(PaidFrom.BALANCE)
    return Payer(PaidFrom.PAYMENT_METHOD, payment_method_id=facts.usable_methods[0])
