"""The versions of a session's price: written at every pricing, read as a chain with what differs between them.

Issue "ACTIVITY": a correction is "a new priced version, never an edit in place".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.charging.models import ChargingSession, PriceCause, SessionPriceVersion
from app.core.audit import SYSTEM
from app.core.money import Price, split_vat
from app.tariffs.pricing import PricedSession

#: the kind of a line by which an operator gave a part of the price back
CREDIT_LINE = "credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a correction moves, in the session's currency: amounts of 0 or more."""

    asked: Decimal = Decimal(0)
    given_back: Decimal = Decimal(0)
    withdrawn: Decimal = Decimal(0)
    waived: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decided on a correction, and why; ``key`` is what makes it happen once."""

    reason: str
    actor: str
    action_id: int
    key: str


def lines_to_json(priced: PricedSession) -> list[dict[str, Any]]:
    """Priced lines as stored with the session; numbers as text."""
    return [
        {
            "kind": str(line.kind),
            "label": line.label,
            "quantity": str(line.quantity),
            "unit": str(line.unit),
            "unit_price": str(line.unit_price),
            "amount": str(line.amount),
        }
        for line in priced.lines
    ]


def credit_line(amount: Decimal) -> dict[str, Any]:
    """The line of a credit of ``amount`` (above 0); it takes it off the total."""
    taken_off = str(-amount)
    return {
        "kind": CREDIT_LINE,
        "label": "Credit",
        "quantity": "1",
        "unit": "session",
        "unit_price": taken_off,
        "amount": taken_off,
    }


def credits_in(lines: Iterable[Mapping[str, Any]] | None) -> list[Decimal]:
    """The credits among stored lines, as amounts above 0."""
    return [-Decimal(line["amount"]) for line in lines or () if line["kind"] == CREDIT_LINE]


def less_credits(price: Price, credited: Sequence[Decimal]) -> Price:
    """A price after credits, split anew; the very price without any. Raises ValueError when they exceed it."""
    if not credited:
        return price
    gross = price.gross
    for amount in credited:
        gross = type(gross)(gross.amount - amount, gross.currency)
    if gross.amount < 0:
        raise ValueError(f"Credits of {sum(credited):f} are more than the price of {price.gross}")
    return split_vat(gross.rounded(), price.vat_percent)


def put_price(row: ChargingSession, price: Price, lines: list[dict[str, Any]], *, now: datetime) -> None:
    """Write a price into the session's row."""
    row.currency = price.gross.currency.code
    row.total_gross, row.total_net, row.total_vat = price.gross.amount, price.net.amount, price.vat.amount
    row.price_lines, row.priced_at = lines, now


def keep_billed(session: Session, row: ChargingSession, *, now: datetime) -> None:
    """Keep the price that a session, whose row is locked, was just billed with as a version of its own. Flushes.

    A session that has waited (for a hold) is priced again: that is another version only if it costs something else.
    """
    before = current(session, row)
    if before is not None:
        if (before.total_gross, before.price_lines) == (row.total_gross, row.price_lines):
            return
        row.price_version += 1
    _keep(session, row, PriceCause.BILLED, now=now)


def keep_correction(
    session: Session, row: ChargingSession, cause: PriceCause, *, decision: Decision, moved: Moved, now: datetime
) -> SessionPriceVersion:
    """Keep the price that a session's row, already numbered and priced anew, has by a correction. Flushes."""
    return _keep(session, row, cause, now=now, decision=decision, moved=moved)


def _keep(
    session: Session,
    row: ChargingSession,
    cause: PriceCause,
    *,
    now: datetime,
    decision: Decision | None = None,
    moved: Moved | None = None,
) -> SessionPriceVersion:
    assert row.currency is not None
    moved = moved or Moved()
    kept = SessionPriceVersion(
        session_id=row.id,
        partner_id=row.partner_id,
        number=row.price_version,
        cause=cause,
        priced_at=now,
        user_id=row.user_id,
        tariff_id=row.tariff_id,
        tariff_name=row.tariff_name,
        tariff_snapshot=row.tariff_snapshot or {},
        price_lines=row.price_lines or [],
        currency=row.currency,
        total_gross=row.total_gross,
        total_net=row.total_net,
        total_vat=row.total_vat,
        asked=moved.asked,
        given_back=moved.given_back,
        withdrawn=moved.withdrawn,
        waived=moved.waived,
        reason=decision.reason if decision else None,
        actor=decision.actor if decision else SYSTEM,
        action_id=decision.action_id if decision else None,
        key=decision.key if decision else None,
    )
    session.add(kept)
    session.flush()
    return kept


def current(session: Session, row: ChargingSession) -> SessionPriceVersion | None:
    """The version a session's price is now; None while it has none."""
    return session.scalars(
        select(SessionPriceVersion)
        .where(SessionPriceVersion.session_id == row.id)
        .order_by(SessionPriceVersion.number.desc())
        .limit(1)
    ).one_or_none()


def by_key(session: Session, key: str) -> SessionPriceVersion | None:
    """The version that a correction with this key has made."""
    return session.scalars(select(SessionPriceVersion).where(SessionPriceVersion.key == key)).one_or_none()


@dataclass(frozen=True, slots=True)
class Step:
    """A version beside the one before: how its total differs, and which lines are other than before."""

    version: SessionPriceVersion
    difference: Decimal | None
    changed_lines: tuple[tuple[str, Decimal | None, Decimal | None], ...]
    tariff_changed: bool
    user_changed: bool


MAX_VERSIONS = 50


def chain(session: Session, *, session_id: int) -> list[Step]:
    """The versions of a session's price, the current one first; at most MAX_VERSIONS of the latest."""
    rows = session.scalars(
        select(SessionPriceVersion)
        .where(SessionPriceVersion.session_id == session_id)
        .order_by(SessionPriceVersion.number.desc())
        .limit(MAX_VERSIONS)
    ).all()
    befores: list[SessionPriceVersion | None] = [*rows[1:], None][: len(rows)]
    return [_step(row, before) for row, before in zip(rows, befores, strict=True)]


def _step(row: SessionPriceVersion, before: SessionPriceVersion | None) -> Step:
    if before is None:
        return Step(row, None, (), False, False)
    new, old = _by_label(row), _by_label(before)
    changed = tuple(
        (label, old.get(label), new.get(label))
        for label in dict.fromkeys((*old, *new))
        if old.get(label) != new.get(label)
    )
    return Step(
        row,
        row.total_gross - before.total_gross,
        changed,
        row.tariff_snapshot != before.tariff_snapshot,
        row.user_id != before.user_id,
    )


def _by_label(row: SessionPriceVersion) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in row.price_lines:
        label = str(line["label"])
        found[label] = found.get(label, Decimal(0)) + Decimal(line["amount"])
    return found


def keep_history(session: Session) -> int:
    """Write the first version of sessions that were priced elsewhere (the demo's past). Returns how many. Flushes."""
    done = session.execute(
        text(
            """
            INSERT INTO session_price_version (session_id, partner_id, number, cause, priced_at, user_id, tariff_id,
                tariff_name, tariff_snapshot, price_lines, currency, total_gross, total_net, total_vat, actor)
            SELECT s.id, s.partner_id, s.price_version, 'billed', coalesce(s.priced_at, s.stopped_at, s.created_at),
                   s.user_id, s.tariff_id, s.tariff_name, coalesce(s.tariff_snapshot, '{}'),
                   coalesce(s.price_lines, '[]'), s.currency, s.total_gross, s.total_net, s.total_vat, 'System'
            FROM charging_session s
            WHERE s.total_gross IS NOT NULL AND s.total_net IS NOT NULL AND s.currency IS NOT NULL
              AND NOT EXISTS (SELECT FROM session_price_version v WHERE v.session_id = s.id)"""
        )
    )
    return int(getattr(done, "rowcount", 0))
