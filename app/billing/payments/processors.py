"""The interface that every payment processor is an adapter behind. Words of one processor stay in its adapter.

An adapter is asked outside any database transaction, and may be asked the same again with the same key: the second
answer is the first one's. It never raises for a refusal, only for not knowing (ProcessorUnreachable) and for
settings that cannot work (ProcessorMisconfigured).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.billing.models import TransactionType


class ProcessorUnreachable(Exception):
    """No answer, or none that says what happened: the same is asked again later, with the same key."""


class ProcessorMisconfigured(Exception):
    """The processor refuses us, not the driver: a wrong key, a missing setting. ``str()`` says what to do."""


class UnknownProcessor(LookupError):
    """No processor has this name, or none is selected."""


class AnswerKind(StrEnum):
    """What a processor says. Pending: it has taken the order and will tell by webhook."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    AUTHENTICATION_REQUIRED = "authentication_required"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a processor is asked to do. ``amount`` in the currency's major unit, with ``exponent`` decimals.

    Charges and pre-authorizations name the payment method's ``token`` and ``customer``; captures, voids and refunds
    the ``parent_reference``. ``key`` makes it happen once; ``reference`` is what the processor has called this very
    order in an answer so far.
    """

    operation: TransactionType
    key: str
    amount: Decimal
    currency: str
    exponent: int
    token: str | None = None
    customer: str | None = None
    parent_reference: str | None = None
    reference: str | None = None
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an order: the processor's reference, and why not, in words for the operator."""

    kind: AnswerKind
    reference: str | None = None
    message: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A payment method as a processor describes it."""

    token: str
    brand: str = ""
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A begun entry of a card: the processor's reference, and what the driver's browser needs to finish it."""

    reference: str
    client_secret: str
    publishable_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A verified webhook: which order it is about (our key or the processor's reference) and the answer it brings.

    ``operation``: it is about the capture or void of the order that has the reference, not about that order itself.
    """

    event_id: str
    type: str
    payload: dict[str, Any]
    reference: str | None = None
    key: str | None = None
    answer: Answer | None = None
    operation: TransactionType | None = None
    setup_reference: str | None = None


class InvalidNews(ValueError):
    """A webhook that is not the processor's: wrong signature, too old, no JSON."""


class Processor(Protocol):
    """One payment processor, made from the settings of the moment."""

    @property
    def name(self) -> str:
        """As stored with transactions and payment methods."""
        ...

    def perform(self, order: Order) -> Answer:
        """Do it once per key. Raises ProcessorUnreachable, ProcessorMisconfigured."""
        ...

    def find(self, order: Order) -> Answer | None:
        """What has become of an order that may have been asked before, however long ago, by its ``reference`` or key.

        None: nothing is known there of such an order, it may be asked (again). Changes nothing. Raises
        ProcessorUnreachable, ProcessorMisconfigured.
        """
        ...

    def customer(self, *, user_id: int, email: str, name: str) -> str:
        """The processor's name for a driver, made if need be; the same for the same user_id."""
        ...

    def begin_setup(self, *, customer: str, key: str) -> Setup:
        """Let a driver enter a card. Raises ProcessorUnreachable, ProcessorMisconfigured."""
        ...

    def resume_setup(self, reference: str) -> Setup | None:
        """A begun entry once more, for whoever opens the page again; None when it is over. Raises as ``perform``."""
        ...

    def finish_setup(self, reference: str) -> Card | None:
        """The card that was entered; None while it is not finished."""
        ...

    def remove(self, token: str) -> None:
        """Forget a payment method. One that is gone already is no error."""
        ...

    def read_news(self, body: bytes, headers: Mapping[str, str]) -> News:
        """Verify and read a webhook. Raises InvalidNews."""
        ...

    def check(self) -> str:
        """Whether the settings work, in words; asks the processor. Raises as ``perform``."""
        ...


#: name → title, for settings and screens
TITLES: dict[str, str] = {"test": "Test processor", "stripe": "Stripe"}

Factory = Callable[[Session], Processor]
_factories: dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Make a processor known by its name; ``factory`` reads its settings."""
    _factories[name] = factory


def processor(session: Session, name: str) -> Processor:
    """The adapter of a name, with the settings of the moment. Raises UnknownProcessor, ProcessorMisconfigured."""
    factory = _factories.get(name)
    if factory is None:
        raise UnknownProcessor(f"there is no payment processor {name!r}")
    return factory(session)


def title(name: str) -> str:
    """A processor's name on screen, also of the built-in payers."""
    return TITLES.get(name, name.capitalize())
