"""The roll-ups' clockwork: generations as the time zone wants them, marks worked off, and the nightly reconcile.

Each step is a transaction of its own, given by whoever calls: a step that is killed is repeated by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analytics import generations, marks
from app.analytics.models import DirtyMark, Generation, GenerationStatus
from app.core import settings
from app.core.db import allow_minutes

Transaction = Callable[[], AbstractContextManager[Session]]
#: what a screen would not wait for: a month of a large fleet
MINUTES = 10


def keep_up(transaction: Transaction, *, clock: Callable[[], datetime]) -> int:
    """Do everything that is due, until nothing is. Returns how many marks were worked off."""
    done = 0
    for worked_off in steps(transaction, clock=clock):
        done += worked_off
    return done


def steps(transaction: Transaction, *, clock: Callable[[], datetime]) -> Iterator[int]:
    """The same step by step: how many marks each has worked off. Marks go first, then a step of building."""
    more = True
    while more:
        with transaction() as session:
            allow_minutes(session, MINUTES)
            worked_off = marks.work_off(session)
        with transaction() as session:
            allow_minutes(session, MINUTES)
            zone = settings.get_text(session, "system.timezone")
            stepped = generations.advance(session, zone=zone, now=clock())
        more = stepped or worked_off > 0
        yield worked_off


def rebuild(transaction: Transaction, *, clock: Callable[[], datetime]) -> int:
    """Build everything anew beside what is in use, and take it into use. Returns the new generation's number."""
    with transaction() as session:
        generations.rebuild(session, zone=settings.get_text(session, "system.timezone"), now=clock())
    keep_up(transaction, clock=clock)
    with transaction() as session:
        return session.scalars(select(Generation.id).where(Generation.status == GenerationStatus.CURRENT)).one()


def waiting(session: Session) -> int:
    """How many marks wait to be worked off."""
    return session.scalar(select(func.count()).select_from(DirtyMark)) or 0
