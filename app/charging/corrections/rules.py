"""Which correction may be made of a session in which state, as data: every state × correction is in the table.

Issue "ACTIVITY": assign user, change tariff, credit. While a session runs there is no price yet: driver and tariff are
changed and count when it is priced. product.md, "Charging session life": Failed is final and costs nothing.
"""

from __future__ import annotations

from enum import StrEnum

from app.charging.lifecycle import RUNNING, PaymentStatus, SessionStatus


class CorrectionKind(StrEnum):
    """What can be corrected."""

    ASSIGN_USER = "assign_user"
    CHANGE_TARIFF = "change_tariff"
    CREDIT = "credit"


class Effect(StrEnum):
    """When a correction counts."""

    #: the session is priced later, and then so
    AT_PRICING = "at_pricing"
    #: it is over but has no price: it gets one now, and is billed
    BILL_NOW = "bill_now"
    #: a new version of its price, and the money follows
    NEW_VERSION = "new_version"


class CorrectionRefused(Exception):
    """The correction cannot be made; the message says why and what to do."""


class NothingToCorrect(CorrectionRefused):
    """The session failed before it began: it costs nothing, and nobody has to pay."""


class NoPriceYet(CorrectionRefused):
    """The session has no price yet: give a credit when it is finished."""


class PaymentUnderWay(CorrectionRefused):
    """The payment processor has not answered yet: wait until the payment has its outcome."""


class NothingPaid(CorrectionRefused):
    """Nothing was paid or is owed for the session, so there is nothing to give back."""


Outcome = Effect | type[CorrectionRefused]

_BOTH = (CorrectionKind.ASSIGN_USER, CorrectionKind.CHANGE_TARIFF)
_FINISHED: dict[PaymentStatus, tuple[Outcome, Outcome]] = {
    # of driver or tariff; a credit
    PaymentStatus.PENDING: (Effect.BILL_NOW, NoPriceYet),
    PaymentStatus.PROCESSING: (PaymentUnderWay, PaymentUnderWay),
    PaymentStatus.PAID: (Effect.NEW_VERSION, Effect.NEW_VERSION),
    PaymentStatus.OUTSTANDING: (Effect.NEW_VERSION, Effect.NEW_VERSION),
    PaymentStatus.REFUNDED: (Effect.NEW_VERSION, NothingPaid),
    PaymentStatus.FREE: (Effect.NEW_VERSION, NothingPaid),
    PaymentStatus.NOT_BILLED: (Effect.NEW_VERSION, NothingPaid),
}


def outcome_of(kind: CorrectionKind, status: SessionStatus, payment: PaymentStatus) -> Outcome:
    """What the correction does in that state: when it counts, or why it is refused."""
    if status is SessionStatus.FAILED:
        return NothingToCorrect
    if status in RUNNING:
        return Effect.AT_PRICING if kind in _BOTH else NoPriceYet
    of_both, of_credit = _FINISHED[payment]
    return of_both if kind in _BOTH else of_credit


def effect_of(kind: CorrectionKind, status: SessionStatus, payment: PaymentStatus) -> Effect:
    """When the correction counts. Raises NothingToCorrect, NoPriceYet, PaymentUnderWay, NothingPaid."""
    outcome = outcome_of(kind, status, payment)
    if isinstance(outcome, Effect):
        return outcome
    raise outcome(outcome.__doc__)
