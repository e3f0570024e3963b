"""What a station's answer waits for: an amount held on the driver's payment method, asked of its processor.

Manual, "User billing settings", 2; docs/adr/0015. The processor is asked in a greenlet of its own, outside any database
transaction: a slow one costs this station its answer, and nobody else anything. A hold that comes through too late
for the answer is let go by the clockwork.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import gevent
import structlog
from sqlalchemy.orm import Session

from app.billing.payments import perform
from app.charging import authorizations, sessions
from app.charging.authorizations import Answer
from app.charging.sessions import StartOutcome
from app.core.clock import utcnow
from ocpp_ws.served import Served

log = structlog.get_logger("ocpp_ws.holding")

#: stations wait 30 seconds and longer for an answer; drivers do not
PATIENCE_S = 12.0


def hold_for_card(of: Served, answer: Answer, now: datetime) -> Answer:
    """The answer for a card that was tapped, once the processor was asked, if it has to be."""
    hold_id = answer.hold_id
    if hold_id is None:
        return answer
    _ask(of, hold_id)
    return of.transact(
        lambda session: authorizations.decide_again(
            session, station=of.station, authorization_id=answer.authorization_id, hold_id=hold_id, now=now
        )
    )


def hold_for_start(of: Served, outcome: StartOutcome, now: datetime, reservation_id: int | None = None) -> StartOutcome:
    """The outcome of a start, once the processor was asked, if it has to be."""
    if outcome.hold_id is None:
        return outcome
    _ask(of, outcome.hold_id)
    return of.transact(
        lambda session: sessions.conclude_start(
            session, station=of.station, outcome=outcome, now=now, reservation_id=reservation_id
        )
    )


def _ask(of: Served, hold_id: int) -> None:
    asking = gevent.spawn(_perform, of, hold_id)
    asking.join(timeout=PATIENCE_S)
    if not asking.ready():
        log.warning("hold.not_answered_in_time", station=of.station.identifier, transaction_id=hold_id)


def _perform(of: Served, hold_id: int) -> None:
    try:
        with of.gateway.app.app_context():
            perform.perform(lambda: _transaction(of), transaction_id=hold_id, clock=utcnow)
    except Exception:  # the decision says that nothing is held; the hold itself is asked about again by the clockwork
        log.exception("hold.failed", transaction_id=hold_id)


@contextmanager
def _transaction(of: Served) -> Iterator[Session]:
    """One database transaction, committed at its end."""
    with Session(of.gateway.engine, expire_on_commit=False) as session, session.begin():
        yield session
