"""Running sessions are stopped by the rules agreed at their start: looked at in one place, asked for once, tried again.

Manual, "Stop Session". Readings and the clock only say which sessions to look at (``stop_notice`` in the gateway,
``possibly_over`` for the job); ``look_at`` decides, under the session's row lock, by its exact price so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.charging import bill, commands, remote
from app.charging.authorize import PaidFrom
from app.charging.lifecycle import RUNNING, SessionStatus
from app.charging.models import ChargingSession
from app.charging.stop_notice import Watch
from app.charging.stop_rules import (
    Progress,
    StopRule,
    StopRules,
    broken_rule,
    limits_in_words,
    next_attempt_at,
    price_limit,
    rule_in_words,
    rules_from_json,
)
from app.core.batches import do_each
from app.core.money import Currency

log = structlog.get_logger(__name__)

BATCH = 200
_METERED = (SessionStatus.ACTIVE, SessionStatus.STOPPING)


@dataclass(frozen=True, slots=True)
class Means:
    """What pays for a session: see ``stop_rules.Progress``."""

    held: Decimal | None = None
    available: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StopWords:
    """A session's stop rules for its page; empty texts where there is nothing to say."""

    ahead: str = ""
    asked: str = ""


#: in SQL as in ``stop_rules``: the ceiling of a price, the price it must reach, the pauses between attempts
_POSSIBLY_OVER = text("""
SELECT s.id FROM charging_session s
CROSS JOIN LATERAL (
  SELECT extract(epoch FROM :now - s.started_at)::numeric / 60 AS minutes,
    (s.stop_rules->>'max_minutes')::int AS max_minutes,
    (s.stop_rules->>'max_energy_wh')::numeric AS max_energy_wh,
    (s.stop_rules->>'preauthorization_floor')::numeric AS held_floor,
    (s.stop_rules->>'balance_floor')::numeric AS balance_floor
) r
WHERE s.status = 'active' AND s.stop_rules IS NOT NULL AND s.started_at IS NOT NULL AND s.id > :after
  AND (s.stop_rule_at IS NULL OR s.stop_rule_at <= :now - make_interval(
    mins => least(15, 2 ^ (least(greatest(s.stop_rule_attempts, 1), 5) - 1))::int))
  AND (r.minutes >= r.max_minutes OR s.energy_wh >= r.max_energy_wh
    OR (r.held_floor IS NOT NULL AND coalesce(s.paid_from, 'payment_method') = 'payment_method' AND EXISTS (
      SELECT FROM transaction t WHERE t.session_id = s.id AND t.type = 'preauthorization' AND t.status = 'succeeded'
      HAVING sum(t.amount) - r.held_floor <= (s.stop_rules->'ceiling'->>'fixed')::numeric
        + (s.stop_rules->'ceiling'->>'per_minute')::numeric * r.minutes
        + (s.stop_rules->'ceiling'->>'per_kwh')::numeric * s.energy_wh / 1000))
    OR (r.balance_floor IS NOT NULL AND coalesce(s.paid_from, 'balance') = 'balance' AND EXISTS (
      SELECT FROM charging_session o
      WHERE o.user_id = s.user_id AND o.status IN ('active', 'stopping') AND o.started_at IS NOT NULL
        AND coalesce(o.paid_from, 'balance') = 'balance' AND o.currency = s.currency
      HAVING bool_or(o.stop_rules IS NULL) OR coalesce(
        (SELECT a.balance FROM balance_account a WHERE a.user_id = s.user_id AND a.currency = s.currency), 0
      ) - r.balance_floor <= sum((o.stop_rules->'ceiling'->>'fixed')::numeric
        + (o.stop_rules->'ceiling'->>'per_minute')::numeric * extract(epoch FROM :now - o.started_at)::numeric / 60
        + (o.stop_rules->'ceiling'->>'per_kwh')::numeric * o.energy_wh / 1000))))
ORDER BY s.id LIMIT :batch
""")


def possibly_over(session: Session, *, now: datetime, after: int = 0) -> list[int]:
    """Running sessions beyond number ``after`` that a rule may have broken by now and whose turn it is, at most BATCH.

    Sessions that are certainly within their limits are left out by the database, without pricing any.
    """
    return list(session.scalars(_POSSIBLY_OVER, {"now": now, "after": after, "batch": BATCH}))


def look_at(session: Session, *, session_ids: Sequence[int], now: datetime) -> int:
    """Ask the stations of those sessions to stop that have broken a rule. Flushes. Returns how many were looked at.

    A session that somebody else holds just now is left to the next reading or tick.
    """
    rows = session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.id.in_(session_ids),
            ChargingSession.status == SessionStatus.ACTIVE,
            ChargingSession.stop_rules.is_not(None),
        )
        .order_by(ChargingSession.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    return do_each(session, rows, lambda row: stop_if_due(session, row, now=now))


def stop_if_due(session: Session, row: ChargingSession, *, now: datetime) -> StopRule | None:
    """Ask a locked session's station to stop if a rule is broken and it is time to ask. Flushes.

    Returns the rule, None when the session goes on, or was asked not long ago.
    """
    if row.status is not SessionStatus.ACTIVE or row.stop_rules is None or row.started_at is None:
        return None
    if row.stop_rule_at is not None and now < next_attempt_at(row.stop_rule_at, row.stop_rule_attempts):
        return None
    rules = rules_from_json(row.stop_rules)
    elapsed = now - row.started_at
    rule = broken_rule(rules, Progress(elapsed=elapsed, energy_wh=row.energy_wh))
    if rule is None:
        means = _means(session, row, rules, now)
        if means.held is None and means.available is None:
            return None
        price = _price_so_far(session, row, now)
        progress = Progress(
            elapsed=elapsed, energy_wh=row.energy_wh, price=price, held=means.held, available=means.available
        )
        rule = broken_rule(rules, progress)
    if rule is not None:
        _ask(session, row, rule, rules, now)
    return rule


def _ask(session: Session, row: ChargingSession, rule: StopRule, rules: StopRules, now: datetime) -> None:
    """Send the stop once: whoever counts the attempt asks, also if two look at the session at once."""
    mine = session.execute(
        update(ChargingSession)
        .where(
            ChargingSession.id == row.id,
            ChargingSession.status == SessionStatus.ACTIVE,
            ChargingSession.stop_rule_attempts == row.stop_rule_attempts,
        )
        .values(stop_rule=rule.value, stop_rule_at=now, stop_rule_attempts=ChargingSession.stop_rule_attempts + 1)
        .returning(ChargingSession.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if mine is None:
        return
    session.refresh(row)
    reason = f"Stopped by rule: {rule_in_words(rule, rules, currency_of_session(row))}"
    try:
        with session.begin_nested():
            remote.stop_session(session, charging_session=row, reason=reason, actor=None, now=now)
    except commands.NotManaged as error:  # nobody can ask that station; its session ends by other means
        log.warning("session.stop_rule_not_sent", session_id=row.id, rule=rule.value, error=str(error))


def _means(session: Session, row: ChargingSession, rules: StopRules, now: datetime) -> Means:
    """What the money rules compare the price with; nothing for a rule that does not concern who pays this session."""
    held = available = None
    if rules.preauthorization_floor is not None and row.paid_from in (None, PaidFrom.PAYMENT_METHOD):
        held = session.scalar(
            select(func.sum(Transaction.amount)).where(
                Transaction.session_id == row.id,
                Transaction.type == TransactionType.PREAUTHORIZATION,
                Transaction.status == TransactionStatus.SUCCEEDED,
            )
        )
    paid_by_balance = row.paid_from in (None, PaidFrom.BALANCE)
    if rules.balance_floor is not None and paid_by_balance and row.user_id is not None and row.currency is not None:
        balance = ledger.balance(session, user_id=row.user_id, currency=row.currency)
        available = balance - sum(
            (_price_so_far(session, other, now) or Decimal(0) for other in _others(session, row)), Decimal(0)
        )
    return Means(held, available)


def _others(session: Session, row: ChargingSession) -> Sequence[ChargingSession]:
    """The driver's other running sessions that the same balance will pay."""
    return session.scalars(
        select(ChargingSession).where(
            ChargingSession.user_id == row.user_id,
            ChargingSession.id != row.id,
            ChargingSession.status.in_(_METERED),
            ChargingSession.currency == row.currency,
            func.coalesce(ChargingSession.paid_from, PaidFrom.BALANCE.value) == PaidFrom.BALANCE.value,
        )
    ).all()


def _price_so_far(session: Session, row: ChargingSession, now: datetime) -> Decimal | None:
    try:
        return bill.price_of(session, row, until=now).total.gross.amount
    except SQLAlchemyError:
        raise
    except Exception as error:  # whatever the pricing refuses: the bill will say it; no money rule can judge it
        log.warning("session.price_so_far_unknown", session_id=row.id, error=f"{type(error).__name__}: {error}")
        return None


def watch_of(session: Session, row: ChargingSession, *, now: datetime) -> Watch | None:
    """What the gateway compares a session's readings with; None for a session without rules."""
    if row.stop_rules is None or row.started_at is None or row.status not in _METERED:
        return None
    rules = rules_from_json(row.stop_rules)
    means = _means(session, row, rules, now)
    limit = price_limit(rules, held=means.held, available=means.available)
    return Watch(row.id, row.started_at, rules, limit)


def currency_of_session(row: ChargingSession) -> Currency | None:
    """The currency of the session's tariff."""
    said = (row.tariff_snapshot or {}).get("currency")
    return Currency(said["code"], said["exponent"], said["symbol"]) if said else None


def stop_words(session: Session, row: ChargingSession, *, now: datetime) -> StopWords:
    """What will stop a running session, and which rule has asked for its stop."""
    if row.stop_rules is None:
        return StopWords()
    rules, currency = rules_from_json(row.stop_rules), currency_of_session(row)
    ahead = asked = ""
    if row.status in RUNNING:
        means = _means(session, row, rules, now)
        limit = price_limit(rules, held=means.held, available=means.available)
        ahead = limits_in_words(rules, limit, currency)
    if row.stop_rule is not None:
        asked = rule_in_words(StopRule(row.stop_rule), rules, currency)
    return StopWords(ahead=ahead, asked=asked)
