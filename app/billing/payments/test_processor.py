"""The built-in Test processor: what it does is said by the card's alias. It keeps books of its own.

Nothing leaves the house and no money moves. It stands for somebody outside: its records are written by a connection
of its own, so that they stay when the asker's transaction is lost.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg
from flask import current_app
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from app.billing.models import TransactionType
from app.billing.payments.processors import (
    Answer,
    AnswerKind,
    Card,
    InvalidNews,
    News,
    Order,
    ProcessorUnreachable,
    Setup,
    register,
)
from app.core.db import connect_raw

NAME = "test"

#: what a card does, by its alias; "insufficient" is declined above 50
ALIASES: dict[str, str] = {
    "approve": "Approves everything",
    "decline": "Declines everything",
    "insufficient": "Declines amounts above 50",
    "authenticate": "Asks for authentication",
    "timeout": "Does what it is asked, and does not answer in time",
    "unreachable": "Is never reached",
    "refuse-capture": "Approves pre-authorizations, declines captures",
    "refuse-refund": "Approves charges, declines refunds",
}
_LIMIT = Decimal(50)
_SALES = (TransactionType.CHARGE, TransactionType.PREAUTHORIZATION)


class TestProcessor:
    """Answers by alias, once per key; a hold can be captured once, refunds never exceed the charge."""

    __test__ = False

    name = NAME

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def perform(self, order: Order) -> Answer:
        """See Processor.perform."""
        with connect_raw(self._database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (_subject(order),))
            known = cursor.execute("SELECT * FROM test_processor_record WHERE key = %s", (order.key,)).fetchone()
            if known is not None:
                return _answer(known)
            alias = _alias(order.token) or self._alias_of_parent(cursor, order.parent_reference)
            if alias == "unreachable":
                raise ProcessorUnreachable("the Test processor is unreachable for this card")
            state = self._decide(cursor, order, alias)
            row = cursor.execute(
                "INSERT INTO test_processor_record (key, operation, reference, parent_reference, token, amount, "
                "currency, state) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING *",
                (
                    order.key,
                    order.operation.value,
                    f"test_{secrets.token_hex(8)}",
                    order.parent_reference,
                    order.token,
                    order.amount,
                    order.currency,
                    state,
                ),
            ).fetchone()
            connection.commit()
            assert row is not None
        if alias == "timeout":
            raise ProcessorUnreachable("the Test processor did not answer in time")
        return _answer(row)

    def find(self, order: Order) -> Answer | None:
        """See Processor.find: its books are kept for ever."""
        if _alias(order.token) == "unreachable":
            raise ProcessorUnreachable("the Test processor is unreachable for this card")
        with connect_raw(self._database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            known = cursor.execute("SELECT * FROM test_processor_record WHERE key = %s", (order.key,)).fetchone()
        return None if known is None else _answer(known)

    def _decide(self, cursor: psycopg.Cursor[Any], order: Order, alias: str | None) -> str:
        """What becomes of the order: the state of its record."""
        if order.operation in _SALES:
            if alias not in ALIASES or alias == "decline" or (alias == "insufficient" and order.amount > _LIMIT):
                return "declined"
            if alias == "authenticate":
                return "authentication_required"
            return "charged" if order.operation is TransactionType.CHARGE else "held"
        parent = cursor.execute(
            "SELECT * FROM test_processor_record WHERE reference = %s", (order.parent_reference,)
        ).fetchone()
        if parent is None:
            return "declined"
        spent = cursor.execute(
            "SELECT operation, sum(amount) AS amount FROM test_processor_record "
            "WHERE parent_reference = %s AND state <> 'declined' GROUP BY operation",
            (order.parent_reference,),
        ).fetchall()
        by_operation = {each["operation"]: each["amount"] for each in spent}
        if order.operation is TransactionType.REFUND:
            taken = parent["state"] in ("charged", "captured")
            left = parent["amount"] - by_operation.get("refund", Decimal(0))
            return "refunded" if taken and order.amount <= left and alias != "refuse-refund" else "declined"
        if parent["state"] != "held" or "capture" in by_operation or "void" in by_operation:
            return "declined"
        if order.operation is TransactionType.VOID:
            return "voided"
        return "captured" if order.amount <= parent["amount"] and alias != "refuse-capture" else "declined"

    def _alias_of_parent(self, cursor: psycopg.Cursor[Any], reference: str | None) -> str | None:
        """The alias of the card behind a capture, void or refund; a refund's parent may be a capture."""
        while reference is not None:
            row = cursor.execute(
                "SELECT token, parent_reference FROM test_processor_record WHERE reference = %s", (reference,)
            ).fetchone()
            if row is None:
                return None
            if row["token"]:
                return _alias(row["token"])
            reference = row["parent_reference"]
        return None

    def customer(self, *, user_id: int, email: str, name: str) -> str:
        """See Processor.customer."""
        return f"test_customer_{user_id}"

    def begin_setup(self, *, customer: str, key: str) -> Setup:
        """See Processor.begin_setup; the Test processor's page asks for an alias instead of a card."""
        return Setup(reference=f"test_setup_{key}", client_secret="", publishable_key="")

    def resume_setup(self, reference: str) -> Setup | None:
        """See Processor.resume_setup; an alias is chosen at once, so there is nothing to resume."""
        return None

    def finish_setup(self, reference: str) -> Card | None:
        """Nothing is entered at the Test processor; see ``card_of``."""
        return None

    def remove(self, token: str) -> None:
        """See Processor.remove."""

    def read_news(self, body: bytes, headers: Mapping[str, str]) -> News:
        """The Test processor answers at once and sends no webhooks."""
        raise InvalidNews("the Test processor sends no webhooks")

    def check(self) -> str:
        """See Processor.check."""
        return "The Test processor is built in; no money moves."


def card_of(alias: str) -> Card:
    """A new test card that behaves as the alias says. Raises KeyError for an unknown alias."""
    number = list(ALIASES).index(alias) if alias in ALIASES else None
    if number is None:
        raise KeyError(alias)
    return Card(
        token=f"{alias}:{secrets.token_hex(6)}",
        brand="test",
        last4=f"{1111 * (number + 1):04d}",
        exp_month=12,
        exp_year=time.gmtime().tm_year + 4,
    )


def _alias(token: str | None) -> str | None:
    return token.split(":", 1)[0] if token else None


def _subject(order: Order) -> str:
    """What two orders must not do at the same time: the same key, or the same hold or charge."""
    return order.parent_reference or order.key


def _answer(row: Mapping[str, Any]) -> Answer:
    state = row["state"]
    if state == "declined":
        return Answer(kind=AnswerKind.DECLINED, reference=row["reference"], message="Declined by the Test processor")
    if state == "authentication_required":
        return Answer(
            kind=AnswerKind.AUTHENTICATION_REQUIRED,
            reference=row["reference"],
            message="The Test processor asks the driver to authenticate",
        )
    return Answer(kind=AnswerKind.SUCCEEDED, reference=row["reference"], detail={"state": state})


def _make(_session: Session) -> TestProcessor:
    return TestProcessor(current_app.config["DATABASE_URL"])


register(NAME, _make)
