"""Integrations: what the product talks to outside, whether it is set up, and trying it. Manual, "Integrations".

A trial has two steps: what it needs is read from the settings within a transaction; the other side is spoken to with
none open. What came of it is kept, the last time for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.mail import one_line
from app.core.messages import IntegrationTest
from app.core.models import Admin

MAX_WORDS = 1000

Transact = Callable[[], AbstractContextManager[Session]]
#: speaks to the other side; returns what it says
Ask = Callable[[], str]


class NotSetUp(Exception):
    """What is missing in the settings, in words."""


class IntegrationFailed(Exception):
    """It does not work; the message says why, and what to do."""


@dataclass(frozen=True)
class Integration:
    """Something outside. ``keys`` are its settings; ``selected`` is (setting, value) where one of several is chosen.

    ``missing(session)`` says what is not set up, or nothing. ``prepare(session, admin)`` reads what a trial needs and
    returns what asks; both raise IntegrationFailed or NotSetUp.
    """

    name: str
    title: str
    icon: str
    about: str
    keys: tuple[str, ...]
    missing: Callable[[Session], str]
    prepare: Callable[[Session, Admin], Ask]
    selected: tuple[str, str] | None = None
    tries: str = ""


def last_tests(session: Session) -> dict[str, IntegrationTest]:
    """What came of each integration's last trial."""
    return {row.name: row for row in session.scalars(select(IntegrationTest))}


def try_out(
    transact: Transact, *, integration: Integration, admin_id: int, clock: Callable[[], datetime]
) -> IntegrationTest:
    """Try an integration and keep what came of it. Never raises for what the settings or the other side can cure."""
    began, started = clock(), time.monotonic()
    try:
        with transact() as session:
            admin = session.get_one(Admin, admin_id)
            tested_by = admin.name
            ask = integration.prepare(session, admin)
        works, words = True, ask()
    except (NotSetUp, IntegrationFailed) as error:
        works, words = False, str(error)
    took_ms = round((time.monotonic() - started) * 1000)
    values = {
        "tested_at": began,
        "tested_by": tested_by,
        "works": works,
        "words": one_line(words)[:MAX_WORDS],
        "took_ms": took_ms,
    }
    with transact() as session:
        statement = insert(IntegrationTest).values(name=integration.name, **values)
        row = session.scalars(
            statement.on_conflict_do_update(index_elements=["name"], set_=values).returning(IntegrationTest),
            execution_options={"populate_existing": True},
        ).one()
        session.expunge(row)
        return row
