"""Drivers with cards at the Test processor, transactions of theirs, and what its books say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import (
    PaymentMethod,
    TestProcessorRecord,
    Transaction,
    TransactionEvent,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import changes, orders, perform, processors
from app.billing.payments.methods import add_method
from app.billing.payments.processors import Answer, Order
from app.billing.payments.test_processor import card_of
from app.core.db import separate_transaction
from app.crm.models import User

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_numbers = count(1)


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Payer:
    """A driver with one card of an alias."""

    session: Session
    user: User
    method: PaymentMethod
    clock: Clock = field(default_factory=Clock)

    def charge(self, amount: str = "10.00", **more: Any) -> Transaction:
        """A pending charge for a session, committed."""
        return self._open(TransactionType.CHARGE, amount, **more)

    def hold(self, amount: str = "20.00", **more: Any) -> Transaction:
        """A pending pre-authorization, committed."""
        return self._open(TransactionType.PREAUTHORIZATION, amount, **more)

    def _open(self, type_: TransactionType, amount: str, **more: Any) -> Transaction:
        given = {"purpose": TransactionPurpose.SESSION, "key": f"test:{next(_numbers)}", **more}
        row = orders.open_transaction(
            self.session,
            type_=type_,
            amount=Decimal(amount),
            subject=orders.Subject(user_id=self.user.id, currency="EUR"),
            method=self.method,
            now=self.clock(),
            **given,
        )
        self.session.commit()
        return row

    def child(self, parent: Transaction, type_: TransactionType, amount: str) -> Transaction:
        """A pending capture, void or refund, committed."""
        row = orders.open_child(
            self.session,
            parent=parent,
            type_=type_,
            amount=Decimal(amount),
            key=f"test:{next(_numbers)}",
            now=self.clock(),
        )
        self.session.commit()
        return row

    def perform(self, row: Transaction) -> TransactionStatus:
        """Have it performed as a screen does."""
        self.session.commit()
        return perform.perform(separate_transaction, transaction_id=row.id, clock=self.clock)

    def perform_due(self) -> int:
        """Have performed what is due, as the job does."""
        self.session.commit()
        return perform.perform_due(separate_transaction, clock=self.clock)

    def charged(self, amount: str = "10.00") -> Transaction:
        """A charge that has succeeded."""
        row = self.charge(amount)
        assert self.perform(row) is TransactionStatus.SUCCEEDED
        return row

    def held(self, amount: str = "20.00") -> Transaction:
        """A hold that has succeeded."""
        row = self.hold(amount)
        assert self.perform(row) is TransactionStatus.SUCCEEDED
        return row

    def another_card(self, alias: str) -> PaymentMethod:
        """One more card of the driver."""
        row = add_method(self.session, user=self.user, processor="test", card=card_of(alias), now=self.clock())
        self.session.commit()
        return row


def payer(session: Session, alias: str = "approve", email: str | None = "driver@example.com") -> Payer:
    """A driver with a test card, committed; ``email`` None: one that nobody else has."""
    email = email or f"driver{next(_numbers)}@example.com"
    user = User(email=email, first_name="Vera", last_name="Ivanova")
    session.add(user)
    session.flush()
    method = add_method(session, user=user, processor="test", card=card_of(alias), now=NOW)
    session.commit()
    return Payer(session, user, method)


def books(session: Session) -> list[tuple[str, Decimal, str]]:
    """What the Test processor has done: operation, amount, state; oldest first."""
    session.commit()
    rows = session.scalars(select(TestProcessorRecord).order_by(TestProcessorRecord.id))
    return [(row.operation, row.amount, row.state) for row in rows]


def history(session: Session, row: Transaction) -> list[str]:
    """A transaction's history: what happened, oldest first."""
    session.commit()
    return list(
        session.scalars(
            select(TransactionEvent.event)
            .where(TransactionEvent.transaction_id == row.id)
            .order_by(TransactionEvent.id)
        )
    )


@dataclass
class Scripted:
    """A processor that answers as the test says, and counts what it was asked."""

    answers: Callable[[Order], Answer]
    finds: Callable[[Order], Answer | None] = lambda order: None
    asked: list[Order] = field(default_factory=list)
    found: list[Order] = field(default_factory=list)
    name: str = "test"

    def perform(self, order: Order) -> Answer:
        self.asked.append(order)
        return self.answers(order)

    def find(self, order: Order) -> Answer | None:
        self.found.append(order)
        return self.finds(order)


@contextmanager
def scripted(
    answers: Callable[[Order], Answer], finds: Callable[[Order], Answer | None] = lambda order: None
) -> Iterator[Scripted]:
    """Have the name "test" stand for a scripted processor."""
    stand_in = Scripted(answers, finds)
    real = processors._factories["test"]
    processors._factories["test"] = lambda session: stand_in  # type: ignore[assignment, return-value]
    try:
        yield stand_in
    finally:
        processors._factories["test"] = real


@contextmanager
def followed(purpose: TransactionPurpose = TransactionPurpose.SESSION) -> Iterator[list[tuple[str, str]]]:
    """Hear what is followed up instead of whoever is registered: type and state."""
    heard: list[tuple[str, str]] = []
    registered = changes._follow_ups.get(purpose)
    changes._follow_ups[purpose] = lambda session, row, now: heard.append((row.type.value, row.status.value))
    try:
        yield heard
    finally:
        changes._follow_ups.pop(purpose)
        if registered is not None:
            changes._follow_ups[purpose] = registered
