"""Drivers with what a billing strategy asks of them, cards that are tapped and answered, and the processor's turn."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from app.assets.models import ChargePoint
from app.billing.models import PaymentMethod, Transaction
from app.billing.payments import perform
from app.billing.payments.methods import add_method
from app.billing.payments.test_processor import card_of
from app.charging import authorizations, sessions
from app.charging.authorizations import Answer
from app.charging.models import AuthorizationSource
from app.core.db import separate_transaction
from app.crm.models import User
from tests.support.charging import NOW, start, tag_of
from tests.support.gateway import Cast, station_of

#: what the tests of a strategy change; put back, because a running server remembers settings for two seconds
USUAL = {
    "billing.strategy": "none",
    "billing.preauthorize_amount": "20",
    "billing.minimum_balance_to_start": None,
    "billing.payment_method_not_for_sessions": False,
}


def by_strategy(people: Cast, name: str, **more: object) -> None:
    """Put a billing strategy in force; ``more`` are further settings of ``billing``."""
    for key, value in {**USUAL, "billing.strategy": name, **{f"billing.{k}": v for k, v in more.items()}}.items():
        people.set(key, value)


def back_to_usual(people: Cast) -> None:
    """Take it back."""
    people.session.rollback()
    for key, value in USUAL.items():
        with suppress(KeyError):
            people.set(key, value)


def card(people: Cast, user: User, alias: str = "approve", now: datetime = NOW) -> PaymentMethod:
    """One more card of a driver at the Test processor, committed."""
    row = add_method(people.session, user=user, processor="test", card=card_of(alias), now=now)
    people.session.commit()
    return row


def driver(people: Cast, *aliases: str, balance: str = "0") -> User:
    """A driver with cards of these aliases and a balance."""
    user = people.driver(balance=balance)
    for alias in aliases:
        card(people, user, alias)
    return user


def ask_processor(people: Cast, transaction_id: int, now: datetime = NOW) -> None:
    """The processor's turn about one transaction, as the gateway gives it."""
    people.session.commit()
    perform.perform(separate_transaction, transaction_id=transaction_id, clock=lambda: now)


def ask_due(people: Cast, now: datetime) -> int:
    """The job's turn: whatever is due is asked about, until nothing is. Returns how many."""
    people.session.commit()
    done = 0
    while asked := perform.perform_due(separate_transaction, clock=lambda: now):
        done += asked
    people.again()
    return done


def tap(people: Cast, charge_point: ChargePoint, user: User, *, now: datetime = NOW, asked: bool = True) -> Answer:
    """A card is tapped: decided, asked about the hold if need be (``asked``), decided again; committed."""
    station = station_of(charge_point)
    answer = authorizations.authorize(
        people.session, station=station, id_tag=tag_of(user), source=AuthorizationSource.RFID_TAG, now=now
    )
    people.session.commit()
    return conclude(people, charge_point, answer, now=now) if asked else answer


def conclude(people: Cast, charge_point: ChargePoint, answer: Answer, *, now: datetime = NOW) -> Answer:
    """Ask the processor about the hold of an answer, and decide again, as the gateway does."""
    if answer.hold_id is None:
        return answer
    ask_processor(people, answer.hold_id, now)
    again = authorizations.decide_again(
        people.session,
        station=station_of(charge_point),
        authorization_id=answer.authorization_id,
        hold_id=answer.hold_id,
        now=now,
    )
    people.session.commit()
    return again


def begin(
    people: Cast, charge_point: ChargePoint, user: User, *, now: datetime = NOW, asked: bool = True
) -> sessions.StartOutcome:
    """A start by a station, asked about and concluded as the gateway does; committed."""
    outcome = start(people, charge_point, tag_of(user), reported_at=now, now=now)
    if outcome.hold_id is None or not asked:
        return outcome
    ask_processor(people, outcome.hold_id, now)
    concluded = sessions.conclude_start(people.session, station=station_of(charge_point), outcome=outcome, now=now)
    people.session.commit()
    return concluded


def moved(people: Cast, user: User) -> list[tuple[str, Decimal, str]]:
    """A driver's transactions: what, how much, and where it stands; oldest first."""
    rows = people.again().scalars(select(Transaction).where(Transaction.user_id == user.id).order_by(Transaction.id))
    return [(row.type.value, row.amount, row.status.value) for row in rows]
