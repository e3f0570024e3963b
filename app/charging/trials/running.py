"""Running a trial: a batch of sessions in a transaction, until none is left.

Each batch holds the trial's row and leaves behind how far it came. So a worker that dies costs its batch, whoever comes
next goes on from there, two on the same trial do not price anything twice, and a cancellation waits for one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.charging.trials.asking import UNFINISHED
from app.charging.trials.prices import Outcome, price_rows
from app.charging.trials.taking import Basis, WouldGet, choose_basis, next_rows
from app.core.db import allow_minutes
from app.tariffs.models import TariffTrial, TariffTrialSession, TrialStatus
from app.tariffs.trials import Draft

log = structlog.get_logger(__name__)

BATCH = 5000
#: so many trials run at the same time; the others wait their turn
AT_ONCE = 2
KEPT = timedelta(days=7)
_MINUTES = 2

Transact = Callable[[], AbstractContextManager[Session]]
_COPY = "COPY tariff_trial_session (trial_id, session_id, billed_gross, draft_gross, note) FROM STDIN"


def run_trial(transact: Transact, *, trial_id: int, clock: Callable[[], datetime], batch: int = BATCH) -> None:
    """Run a trial to its end; nothing to do where it is over, or somebody else is at it."""
    try:
        going_on = True
        while going_on:
            with transact() as session:
                going_on = advance_trial(session, trial_id=trial_id, now=clock(), batch=batch)
    except SQLAlchemyError:  # the database's trouble is not the draft's: the scheduler has it tried again
        raise
    except Exception as error:  # it would fail at the same place for ever: whoever waits for it is told
        log.exception("tariff_trial.failed", trial_id=trial_id)
        with transact() as session:
            fail_trial(session, trial_id=trial_id, error=str(error) or type(error).__name__, now=clock())


def advance_trial(session: Session, *, trial_id: int, now: datetime, batch: int = BATCH) -> bool:
    """Price the next batch. Returns whether there is more to do here. Flushes.

    Raises InvalidTariffSnapshot for a draft that cannot be read.
    """
    trial = session.scalars(
        select(TariffTrial)
        .where(TariffTrial.id == trial_id, TariffTrial.status.in_(UNFINISHED))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if trial is None or trial.tariff_id is None:
        return False
    allow_minutes(session, _MINUTES)
    if trial.status is TrialStatus.WAITING:
        basis, trial.total = choose_basis(session, trial)
        trial.basis, trial.status = str(basis), TrialStatus.RUNNING
        session.flush()
        return True  # committed at once, so that the screen has something to count up to
    draft = Draft.from_json(trial.draft)
    rows = next_rows(session, trial, limit=batch)
    if rows:
        taken = rows
        if trial.basis == Basis.SELECTED:
            would_get = WouldGet(session, tariff_id=trial.tariff_id, restrictions=draft.restrictions)
            taken = would_get.among(session, rows)
        _store(session, trial_id, list(price_rows(session, draft.snapshot, taken)))
        trial.done += len(rows)
        trial.reached_at, trial.reached_id = rows[-1].stopped_at, rows[-1].id
    if len(rows) < batch:
        _conclude(session, trial, now)
    session.flush()
    return trial.status is TrialStatus.RUNNING


def _store(session: Session, trial_id: int, outcomes: list[Outcome]) -> None:
    """By COPY: row by row would take longer than the pricing. The connection can do nothing else meanwhile."""
    connection: Any = session.connection().connection.dbapi_connection
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for one in outcomes:
            copy.write_row((trial_id, one.session_id, one.billed_gross, one.draft_gross, one.note))


def _conclude(session: Session, trial: TariffTrial, now: datetime) -> None:
    row = TariffTrialSession
    priced = row.draft_gross.is_not(None)
    totals = session.execute(
        select(
            func.count().filter(~priced),
            func.coalesce(func.sum(row.billed_gross).filter(priced), 0),
            func.coalesce(func.sum(row.draft_gross), 0),
        ).where(row.trial_id == trial.id)
    ).one()
    trial.skipped, trial.billed_gross, trial.draft_gross = totals
    trial.total = trial.done
    trial.status, trial.finished_at = TrialStatus.DONE, now


def fail_trial(session: Session, *, trial_id: int, error: str, now: datetime) -> None:
    """Say that a trial could not be finished, and why. Flushes."""
    trial = session.get(TariffTrial, trial_id, with_for_update=True)
    if trial is not None and trial.status in UNFINISHED:
        trial.status, trial.finished_at, trial.error = TrialStatus.FAILED, now, error[:1000]
        session.flush()


def forget_trials(session: Session, *, now: datetime) -> int:
    """Delete the oldest trial that was kept long enough, with its sessions. Returns how many that were. Flushes."""
    oldest = (
        select(TariffTrial.id)
        .where(TariffTrial.created_at < now - KEPT)
        .order_by(TariffTrial.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    allow_minutes(session, _MINUTES)
    return len(session.execute(delete(TariffTrial).where(TariffTrial.id.in_(oldest)).returning(TariffTrial.id)).all())
