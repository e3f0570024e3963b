"""The life of a transaction with a processor, as data: states, events, and what each event does in each state.

Pending → Succeeded, or Failed; what a driver owes for a session does not fail but stays Outstanding until it is paid.
Processors repeat their answers (webhooks, a call asked twice), so a repeated answer changes nothing and is no error.
product.md, "Money"; architecture.md, rule 3.
"""

from __future__ import annotations

from enum import StrEnum

from app.billing.models import TransactionPurpose, TransactionStatus, TransactionType


class PaymentEvent(StrEnum):
    """What can happen to a transaction."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    AUTHENTICATION_REQUIRED = "authentication_required"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    GIVEN_UP = "given_up"

    @property
    def label(self) -> str:
        """What happened, in words for the transaction's history."""
        return _LABELS[self]


_LABELS = {
    PaymentEvent.SUCCEEDED: "Succeeded",
    PaymentEvent.DECLINED: "Declined",
    PaymentEvent.AUTHENTICATION_REQUIRED: "The driver has to authenticate",
    PaymentEvent.RETRIED: "Tried again",
    PaymentEvent.CANCELLED: "Cancelled",
    PaymentEvent.GIVEN_UP: "Given up: the processor could not be reached",
}


class PaymentLifecycleError(Exception):
    """An event that cannot happen to a transaction in this state. `status` and `event` say which."""

    def __init__(self, status: TransactionStatus, event: PaymentEvent) -> None:
        super().__init__(f"{self.__doc__} State: {status.label}, event: {event.label}")
        self.status = status
        self.event = event


class TransactionAlreadySucceeded(PaymentLifecycleError):
    """The money has moved already."""


class TransactionAlreadyEnded(PaymentLifecycleError):
    """The transaction has failed or was cancelled: nothing more can come of it."""


class TransactionNotAnswered(PaymentLifecycleError):
    """The processor has not answered yet: its answer must be known before it is asked again."""


PENDING, AUTHENTICATION, SUCCEEDED, OUTSTANDING, FAILED, CANCELLED = TransactionStatus

Outcome = TransactionStatus | type[PaymentLifecycleError]

#: What is owed for a session: without the money it stays Outstanding.
OWED: dict[PaymentEvent, dict[TransactionStatus, Outcome]] = {
    PaymentEvent.SUCCEEDED: {
        PENDING: SUCCEEDED,
        AUTHENTICATION: SUCCEEDED,
        SUCCEEDED: SUCCEEDED,
        # a processor that had declined may still say that it came through, and the balance may settle it
        OUTSTANDING: SUCCEEDED,
        FAILED: TransactionAlreadyEnded,
        CANCELLED: TransactionAlreadyEnded,
    },
    PaymentEvent.DECLINED: {
        PENDING: OUTSTANDING,
        AUTHENTICATION: OUTSTANDING,
        SUCCEEDED: TransactionAlreadySucceeded,
        OUTSTANDING: OUTSTANDING,
        FAILED: FAILED,
        CANCELLED: CANCELLED,
    },
    PaymentEvent.AUTHENTICATION_REQUIRED: {
        PENDING: AUTHENTICATION,
        AUTHENTICATION: AUTHENTICATION,
        SUCCEEDED: TransactionAlreadySucceeded,
        OUTSTANDING: AUTHENTICATION,
        FAILED: TransactionAlreadyEnded,
        CANCELLED: TransactionAlreadyEnded,
    },
    PaymentEvent.RETRIED: {
        PENDING: TransactionNotAnswered,
        AUTHENTICATION: PENDING,
        SUCCEEDED: TransactionAlreadySucceeded,
        OUTSTANDING: PENDING,
        FAILED: TransactionAlreadyEnded,
        CANCELLED: TransactionAlreadyEnded,
    },
    PaymentEvent.CANCELLED: {
        PENDING: TransactionNotAnswered,
        AUTHENTICATION: CANCELLED,
        SUCCEEDED: TransactionAlreadySucceeded,
        OUTSTANDING: CANCELLED,
        FAILED: FAILED,
        CANCELLED: CANCELLED,
    },
    PaymentEvent.GIVEN_UP: {
        PENDING: OUTSTANDING,
        AUTHENTICATION: AUTHENTICATION,
        SUCCEEDED: TransactionAlreadySucceeded,
        OUTSTANDING: OUTSTANDING,
        FAILED: FAILED,
        CANCELLED: CANCELLED,
    },
}

#: Everything else (pre-authorizations, captures, voids, refunds, top-ups) fails when it is declined; what differs:
_UNLESS_OWED: dict[PaymentEvent, dict[TransactionStatus, Outcome]] = {
    # given up too early: the money has moved, so the books say so
    PaymentEvent.SUCCEEDED: {FAILED: SUCCEEDED},
    PaymentEvent.DECLINED: {PENDING: FAILED, AUTHENTICATION: FAILED, OUTSTANDING: FAILED},
    PaymentEvent.RETRIED: {FAILED: PENDING},
    PaymentEvent.GIVEN_UP: {PENDING: FAILED, AUTHENTICATION: FAILED, OUTSTANDING: FAILED},
}
OTHERS: dict[PaymentEvent, dict[TransactionStatus, Outcome]] = {
    event: {**outcomes, **_UNLESS_OWED.get(event, {})} for event, outcomes in OWED.items()
}

#: money that a driver owes
OWING = frozenset({OUTSTANDING, AUTHENTICATION})


def is_owed(type_: TransactionType, purpose: TransactionPurpose) -> bool:
    """Whether it is a debt: energy that has flowed must be paid, a top-up need not be."""
    return type_ is TransactionType.CHARGE and purpose is TransactionPurpose.SESSION


def next_status(
    status: TransactionStatus, event: PaymentEvent, *, type_: TransactionType, purpose: TransactionPurpose
) -> TransactionStatus:
    """The state after the event; the same state when the event repeats what is already so.

    Raises TransactionAlreadySucceeded, TransactionAlreadyEnded, TransactionNotAnswered.
    """
    table = OWED if is_owed(type_, purpose) else OTHERS
    outcome = table[event][status]
    if isinstance(outcome, TransactionStatus):
        return outcome
    raise outcome(status, event)
