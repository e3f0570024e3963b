"""From a finished session to money: price it by its snapshot, then let ``payments.settlement`` have it paid.

product.md, "Pricing" and "Money". Local to the database: nothing here talks to the outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.billing.outstanding import BALANCE
from app.charging import price_versions
from app.charging.flags import PRICE_PROBLEM, add_flag
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import LARGEST_ID, ChargingSession, MeterReading
from app.charging.payments import settlement
from app.core.money import Price
from app.tariffs.pricing import (
    PricedSession,
    Reading,
    TariffSnapshot,
    price_session,
    snapshot_from_json,
)

log = structlog.get_logger(__name__)

BALANCE_PROCESSOR = BALANCE


class NotPriceable(Exception):
    """The session has no tariff snapshot, or has not started."""


def session_readings(session: Session, charging_session: ChargingSession) -> list[Reading]:
    """The readings a session is priced by: start, what was measured between, and the end; never falling.

    Registers are Wh above the start of the session.
    """
    started_at = charging_session.started_at
    if started_at is None:
        raise NotPriceable(f"session {charging_session.id} has not started")
    rows = session.execute(
        select(MeterReading.measured_at, MeterReading.register_wh)
        .where(
            MeterReading.session_id == charging_session.id,
            MeterReading.register_wh.is_not(None),
            MeterReading.measured_at > started_at,
            *(
                [MeterReading.measured_at < charging_session.stopped_at]
                if charging_session.stopped_at is not None
                else []
            ),
        )
        .order_by(MeterReading.measured_at, MeterReading.register_wh)
    )
    return series(charging_session, ((measured_at, register_wh) for measured_at, register_wh in rows))


def series(charging_session: ChargingSession, measured: Iterable[tuple[datetime, Decimal]]) -> list[Reading]:
    """Start, what was ``measured`` between (times in order, Wh since the start) and the end, never falling.

    Raises NotPriceable for a session that has not started.
    """
    started_at = charging_session.started_at
    if started_at is None:
        raise NotPriceable(f"session {charging_session.id} has not started")
    readings = [Reading(started_at, Decimal(0))]
    highest = Decimal(0)
    for measured_at, register_wh in measured:
        highest = min(max(highest, register_wh), charging_session.energy_wh)
        readings.append(Reading(measured_at, highest))
    end = charging_session.stopped_at or charging_session.last_reading_at
    if end is not None and end >= readings[-1].at:
        readings.append(Reading(end, charging_session.energy_wh))
    return readings


def price_of(session: Session, charging_session: ChargingSession, *, until: datetime | None = None) -> PricedSession:
    """The price by the session's own snapshot: final once it is stopped, else so far, up to ``until``.

    Raises NotPriceable without a snapshot or start, and what the pricing raises.
    """
    if charging_session.tariff_snapshot is None or charging_session.started_at is None:
        raise NotPriceable(f"session {charging_session.id} has no tariff")
    return price_by(charging_session, session_readings(session, charging_session), until=until)


def price_by(
    charging_session: ChargingSession,
    readings: Sequence[Reading],
    *,
    until: datetime | None = None,
    snapshot: TariffSnapshot | None = None,
) -> PricedSession:
    """The same, by readings at hand, and by another ``snapshot`` than its own if one is given."""
    if charging_session.started_at is None or (snapshot is None and charging_session.tariff_snapshot is None):
        raise NotPriceable(f"session {charging_session.id} has no tariff")
    stopped_at = charging_session.stopped_at or until
    if stopped_at is None:
        raise NotPriceable(f"session {charging_session.id} is still running")
    return price_session(
        snapshot or snapshot_from_json(charging_session.tariff_snapshot or {}),
        started_at=charging_session.started_at,
        stopped_at=max(stopped_at, charging_session.started_at),
        readings=readings,
        charging_ended_at=charging_session.charging_ended_at,
    )


def bill_session(session: Session, charging_session: ChargingSession, *, now: datetime) -> None:
    """Price a finished session and have its payer pay, once, whatever is repeated. Flushes.

    Must hold the session's row lock. A session that cannot be priced stays Pending with a flag and is tried again
    by the clockwork; it is never billed 0 instead. So does one of which nobody knows yet whether an amount is held.
    """
    if charging_session.status is not SessionStatus.FINISHED:
        return
    if charging_session.payment_status is not PaymentStatus.PENDING:
        return
    if charging_session.tariff_snapshot is None:
        settlement.settle(session, charging_session, now=now)
        return
    try:
        priced = price_of(session, charging_session)
    except SQLAlchemyError:  # the database's trouble is no fault of the price: whoever commits tries again
        raise
    except Exception as error:  # any refusal of the pricing: the stop is confirmed all the same, the bill waits
        log.error("session.not_priced", session_id=charging_session.id, error=f"{type(error).__name__}: {error}")
        add_flag(charging_session, PRICE_PROBLEM)
        charging_session.stop_note = f"Not priced: {error}"
        session.flush()
        return
    price_versions.put_price(charging_session, priced.total, price_versions.lines_to_json(priced), now=now)
    charging_session.flags = [f for f in charging_session.flags if f != PRICE_PROBLEM]
    session.flush()
    price_versions.keep_billed(session, charging_session, now=now)
    settlement.settle(session, charging_session, now=now)


@dataclass(frozen=True)
class PriceCheck:
    """A session priced anew from its snapshot, beside what was billed.

    ``credits`` are what operators took off the price since; ``version`` counts the session's prices.
    """

    priced: PricedSession
    billed_gross: Decimal | None
    currency: str
    credits: tuple[Decimal, ...] = ()
    version: int = 1

    @property
    def total(self) -> Price:
        """The new price, less the credits. Raises ValueError when they exceed it."""
        return price_versions.less_credits(self.priced.total, self.credits)

    @property
    def agrees(self) -> bool:
        """Whether the new price is what was billed."""
        if self.billed_gross is None or sum(self.credits) > self.priced.total.gross.amount:
            return False
        return self.total.gross.amount == self.billed_gross


def check_price(session: Session, *, session_id: int) -> PriceCheck:
    """Price a session again from its snapshot. Raises LookupError for an unknown one, NotPriceable."""
    charging_session = session.get(ChargingSession, session_id) if 0 < session_id <= LARGEST_ID else None
    if charging_session is None:
        raise LookupError(f"there is no session {session_id}")
    priced = price_of(session, charging_session)
    return PriceCheck(
        priced,
        charging_session.total_gross,
        priced.total.gross.currency.code,
        tuple(price_versions.credits_in(charging_session.price_lines)),
        charging_session.price_version,
    )
