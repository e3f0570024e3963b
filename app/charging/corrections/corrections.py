"""Corrections of a session, done: an operator's decision with its reason, once, as a new version of the price.

Issue "ACTIVITY". Locks as billing does: the session, then its transactions. Whatever comes between the dialog and its
button (another correction, the bill) makes the dialog stale, and it is refused instead of doing something unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionStatus
from app.billing.payments.history import note
from app.charging import bill, endings, price_versions
from app.charging.corrections import money
from app.charging.corrections.prepare import AssignUser, ChangeTariff, Credit, Order, Prepared, prepare
from app.charging.corrections.rules import CorrectionKind, CorrectionRefused, Effect
from app.charging.flags import NO_TARIFF, NO_TOKEN, PRICE_PROBLEM
from app.charging.lifecycle import RUNNING, PaymentStatus
from app.charging.models import ChargingSession, PriceCause, SessionPriceVersion
from app.charging.payments import following, paying, settlement
from app.charging.session_tariff import set_tariff
from app.core.actions import open_action
from app.core.audit import record_change
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User
from app.tariffs.pricing import snapshot_to_json

TITLES = {
    CorrectionKind.ASSIGN_USER: "Assign user",
    CorrectionKind.CHANGE_TARIFF: "Change tariff",
    CorrectionKind.CREDIT: "Credit",
}
_CAUSES = {
    CorrectionKind.ASSIGN_USER: PriceCause.USER_ASSIGNED,
    CorrectionKind.CHANGE_TARIFF: PriceCause.TARIFF_CHANGED,
    CorrectionKind.CREDIT: PriceCause.CREDIT,
}
#: entry of a transaction's history by which an action gets its outcome
ORDERED = "Ordered"


class ChangedMeanwhile(CorrectionRefused):
    """The session has changed since the dialog was opened: open it again to see what the correction does now."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What came of it. ``pending``: transactions to be performed after the commit; the clockwork does it, too."""

    action: Action
    version: SessionPriceVersion | None = None
    pending: tuple[int, ...] = ()


def seen_of(row: ChargingSession) -> str:
    """What a dialog has seen of a session: as long as it is the same, the correction does what was shown."""
    total = "" if row.total_gross is None else f"{row.total_gross.normalize():f}"
    state = "running" if row.status in RUNNING else row.status.value
    billed = "" if row.payment_status is not PaymentStatus.PENDING else ":unbilled"
    return f"{state}:{row.price_version}:{row.user_id or 0}:{row.tariff_id or 0}:{total}{billed}"


def correct(
    session: Session,
    *,
    charging_session: ChargingSession,
    order: Order,
    reason: str,
    actor: Admin | None,
    key: str,
    seen: str | None,
    now: datetime,
) -> Corrected:
    """Make a correction. Flushes; the caller commits and has what is ``pending`` performed.

    ``key`` (at most 80 characters) makes it happen once: a second time brings the first's outcome. ``seen`` is
    ``seen_of`` when it was decided. Raises ReasonRequired, CorrectionRefused, InvalidAmount.
    """
    row = session.get_one(ChargingSession, charging_session.id, with_for_update=True, populate_existing=True)
    known = price_versions.by_key(session, key)
    if known is not None and known.session_id == row.id and known.action_id is not None:
        return Corrected(session.get_one(Action, known.action_id), known)
    if seen is not None and seen != seen_of(row):
        raise ChangedMeanwhile(ChangedMeanwhile.__doc__)
    prepared = prepare(session, row, order, now=now, lock=True)
    action = open_action(
        session,
        name=TITLES[order.kind],
        target_type=ChargingSession.__tablename__,
        target_id=row.id,
        target_label=str(row),
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        partner_id=row.partner_id,
        charge_point_id=row.charge_point_id,
        info=_in_words(session, order, prepared),
        request={"session_id": row.id},
        user_id=row.user_id,
        now=now,
    )
    before = _facts(session, row)
    version = None
    if prepared.effect is Effect.NEW_VERSION:
        version = _new_version(session, row, order, prepared, action, key=key, now=now)
    else:
        _before_pricing(session, row, prepared, now=now)
    record_change(
        session,
        actor=actor,
        event="change",
        object_type=ChargingSession.__tablename__,
        object_id=row.id,
        label=str(row),
        before=before,
        after=_facts(session, row),
    )
    session.flush()
    pending = _pending(session, row)
    if version is not None:
        _follow(session, action, pending, now=now)
    endings.announce(session, "session.changed", row)
    return Corrected(action, version, tuple(each.id for each in pending))


def _new_version(
    session: Session,
    row: ChargingSession,
    order: Order,
    prepared: Prepared,
    action: Action,
    *,
    key: str,
    now: datetime,
) -> SessionPriceVersion:
    assert prepared.price is not None
    if row.total_gross is not None:
        if price_versions.current(session, row) is None:
            price_versions.keep_billed(session, row, now=row.priced_at or now)
        row.price_version += 1
    _take_over(session, row, prepared)
    price_versions.put_price(row, prepared.price, list(prepared.lines), now=now)
    row.flags = [flag for flag in row.flags if flag not in (NO_TARIFF, PRICE_PROBLEM)]
    session.flush()
    plan = prepared.plan
    with following.paused(session, session_id=row.id):
        money.carry_out(
            session, row, plan, reason=action.reason, actor=action.initiated_by, action_id=action.id, now=now
        )
    settlement.settle(session, row, now=now)
    return price_versions.keep_correction(
        session,
        row,
        _CAUSES[order.kind],
        decision=price_versions.Decision(reason=action.reason, actor=action.initiated_by, action_id=action.id, key=key),
        moved=price_versions.Moved(
            asked=plan.asked if row.user_id is not None else Decimal(0),
            given_back=plan.given_back,
            withdrawn=plan.withdrawn,
            waived=plan.waived,
        ),
        now=now,
    )


def _take_over(session: Session, row: ChargingSession, prepared: Prepared) -> None:
    """The new driver, payer and tariff, where they are new."""
    if prepared.user is not None:
        row.user_id = prepared.user.id
        row.user = prepared.user
        row.flags = [flag for flag in row.flags if flag != NO_TOKEN]
    if prepared.payer is not None:
        paying.keep_payer(row, prepared.payer)
    if prepared.snapshot is not None:
        row.tariff_id, row.tariff_name = prepared.snapshot.tariff_id, prepared.snapshot.name
        row.tariff_snapshot = snapshot_to_json(prepared.snapshot)
        row.tariff_explanation = prepared.explanation


def _before_pricing(session: Session, row: ChargingSession, prepared: Prepared, *, now: datetime) -> None:
    """Driver and tariff count when the session is priced: at its end, or now if it is over."""
    _take_over(session, row, prepared)
    if prepared.snapshot is not None:
        set_tariff(session, row, prepared.snapshot)
        row.flags = [flag for flag in row.flags if flag not in (NO_TARIFF, PRICE_PROBLEM)]
    session.flush()
    if prepared.user is not None:  # what is held of the driver before pays nothing for this one
        settlement.let_go_of_holds(session, row, now=now)
    if prepared.effect is Effect.BILL_NOW:
        bill.bill_session(session, row, now=now)


def _pending(session: Session, row: ChargingSession) -> list[Transaction]:
    return list(
        session.scalars(
            select(Transaction)
            .where(Transaction.session_id == row.id, Transaction.status == TransactionStatus.PENDING)
            .order_by(Transaction.id)
        )
    )


def _follow(session: Session, action: Action, pending: list[Transaction], *, now: datetime) -> None:
    """While one answer of a processor is awaited, it is the action's outcome, too."""
    if len(pending) != 1:
        return
    action.status, action.finished_at = ActionStatus.PENDING, None
    note(session, pending[0], ORDERED, now=now, message=action.initiated_by, detail={"action_id": action.id})
    session.flush()


def _facts(session: Session, row: ChargingSession) -> dict[str, Any]:
    user = session.get(User, row.user_id) if row.user_id is not None else None
    return {
        "user": user.email if user is not None else None,
        "tariff_name": row.tariff_name,
        "total_gross": row.total_gross,
        "price_version": row.price_version,
    }


def _in_words(session: Session, order: Order, prepared: Prepared) -> str:
    """What was done, for the Actions log."""
    parts = []
    if prepared.user is not None:
        parts.append(f"To {prepared.user.email}")
    if isinstance(order, ChangeTariff | AssignUser) and prepared.snapshot is not None:
        parts.append(f"Tariff {prepared.snapshot.name}")
    if prepared.effect is not Effect.NEW_VERSION:
        return ", ".join([*parts, "counts when the session is priced"])
    assert prepared.price is not None
    decimals = prepared.price.gross.currency.exponent
    before = f"{prepared.before:.{decimals}f} → " if prepared.before is not None else ""
    parts.append(f"{before}{prepared.price.gross.amount:.{decimals}f} {prepared.price.gross.currency.code}")
    plan = prepared.plan
    moved = (
        ("given back", plan.given_back),
        ("withdrawn", plan.withdrawn),
        ("asked", plan.asked),
        ("waived", plan.waived),
    )
    parts += [f"{amount:.{decimals}f} {words}" for words, amount in moved if amount]
    return ", ".join(parts)


__all__ = [
    "AssignUser",
    "ChangeTariff",
    "ChangedMeanwhile",
    "Corrected",
    "Credit",
    "Order",
    "Prepared",
    "correct",
    "prepare",
    "seen_of",
]
