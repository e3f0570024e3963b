"""What came of a trial: in total, and session by session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, func, select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging.models import ChargingSession
from app.crm.models import User
from app.tariffs.models import TariffTrial, TariffTrialSession

PAGE_ROWS = 50
_ROW = TariffTrialSession
_DIFFERENCE = _ROW.draft_gross - _ROW.billed_gross


class Which(StrEnum):
    """Which of the sessions are listed."""

    ALL = "all"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    EQUAL = "equal"
    NOT_PRICEABLE = "not_priceable"


class Order(StrEnum):
    """In which order."""

    DEARER_FIRST = "dearer_first"
    CHEAPER_FIRST = "cheaper_first"
    BY_TIME = "by_time"


_WHICH: dict[Which, ColumnElement[bool]] = {
    Which.DEARER: _DIFFERENCE > 0,
    Which.CHEAPER: _DIFFERENCE < 0,
    Which.EQUAL: _DIFFERENCE == 0,
    Which.NOT_PRICEABLE: _ROW.draft_gross.is_(None),
}
_ORDER: dict[Order, UnaryExpression[Any]] = {
    Order.DEARER_FIRST: _DIFFERENCE.desc().nulls_last(),
    Order.CHEAPER_FIRST: _DIFFERENCE.asc().nulls_last(),
    Order.BY_TIME: _ROW.session_id.asc(),
}


@dataclass(frozen=True)
class Totals:
    """How many sessions there are of each kind, and what those that can be priced cost before and after."""

    counts: dict[Which, int]
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        """What the draft would bring in addition; below zero when less."""
        return self.after - self.before

    @property
    def ratio(self) -> Decimal | None:
        """The difference as a part of what was billed; None when that was nothing."""
        return self.difference / self.before if self.before else None


@dataclass(frozen=True)
class Compared:
    """One session with both prices; ``draft_gross`` is None where the note says why."""

    session_id: int
    started_at: datetime | None
    stopped_at: datetime
    user_email: str | None
    evse: str
    energy_wh: Decimal
    billed_gross: Decimal
    draft_gross: Decimal | None
    note: str | None

    @property
    def difference(self) -> Decimal | None:
        """What the draft would charge in addition."""
        return None if self.draft_gross is None else self.draft_gross - self.billed_gross


def totals_of(session: Session, trial: TariffTrial) -> Totals:
    """The sums over the sessions that were compared so far."""
    priced = _ROW.draft_gross.is_not(None)
    *counts, before, after = session.execute(
        select(
            func.count(),
            *(func.count().filter(condition) for condition in _WHICH.values()),
            func.coalesce(func.sum(_ROW.billed_gross).filter(priced), 0),
            func.coalesce(func.sum(_ROW.draft_gross), 0),
        ).where(_ROW.trial_id == trial.id)
    ).one()
    return Totals(dict(zip((Which.ALL, *_WHICH), counts, strict=True)), before, after)


def compared(session: Session, trial: TariffTrial, *, which: Which, order: Order, page: int) -> list[Compared]:
    """One page of the sessions, PAGE_ROWS of them; the first page is 0."""
    numbers = (
        select(_ROW.session_id)
        .where(_ROW.trial_id == trial.id, *_condition(which))
        .order_by(_ORDER[order], _ROW.session_id)
        .offset(page * PAGE_ROWS)
        .limit(PAGE_ROWS)
    )
    chosen = list(session.scalars(numbers))
    found = {row.session_id: row for row in _rows(session, _ROW.trial_id == trial.id, _ROW.session_id.in_(chosen))}
    return [found[number] for number in chosen if number in found]


def all_compared(session: Session, *, trial_id: int, which: Which, batch: int = 2000) -> Iterator[Compared]:
    """All of them in the order of their numbers, a batch in memory at a time: for the CSV."""
    reached = 0
    while True:
        numbers = select(_ROW.session_id).where(
            _ROW.trial_id == trial_id, _ROW.session_id > reached, *_condition(which)
        )
        chosen = list(session.scalars(numbers.order_by(_ROW.session_id).limit(batch)))
        if not chosen:
            return
        yield from sorted(
            _rows(session, _ROW.trial_id == trial_id, _ROW.session_id.in_(chosen)), key=lambda row: row.session_id
        )
        reached = chosen[-1]


def _condition(which: Which) -> tuple[ColumnElement[bool], ...]:
    return (_WHICH[which],) if which in _WHICH else ()


def _rows(session: Session, *conditions: ColumnElement[bool]) -> Iterator[Compared]:
    charge = ChargingSession
    query = (
        select(
            charge.id,
            charge.started_at,
            charge.stopped_at,
            User.email,
            Evse.code,
            charge.energy_wh,
            _ROW.billed_gross,
            _ROW.draft_gross,
            _ROW.note,
        )
        .select_from(_ROW)
        .join(charge, charge.id == _ROW.session_id)
        .join(Evse, Evse.id == charge.evse_id)
        .outerjoin(User, User.id == charge.user_id)
        .where(*conditions)
    )
    for row in session.execute(query):
        yield Compared(*row)
