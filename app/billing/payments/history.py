"""What was asked and answered about a transaction: written entry by entry, and read for what the next step needs.

The history is append-only, so it can say what the row itself no longer does: when the current attempt was first
asked, which references belong to earlier ones, and which attempts were given up without knowing their outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionEvent, TransactionStatus
from app.billing.payments.lifecycle import PaymentEvent
from app.core.actions import tell_changed
from app.core.models import Action, ActionStatus

ASKED = "Asked"
ANSWERED = "Answered"
NOT_ANSWERED = "Not answered"
LOOKED_UP = "Looked up"
CONTRADICTION = "Contradiction"


def note(
    session: Session,
    row: Transaction,
    event: str,
    *,
    now: datetime,
    reference: str | None = None,
    message: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Add an entry to a transaction's history."""
    session.add(
        TransactionEvent(
            transaction_id=row.id,
            partner_id=row.partner_id,
            at=now,
            event=event,
            processor=row.processor,
            reference=reference,
            message=message,
            detail=detail or {},
        )
    )


@dataclass
class Attempts:
    """What the history says about the current attempt and those before it.

    ``asked``: when the current one was first asked; ``unanswered``: how often that brought no answer. ``earlier``: the
    references of earlier attempts. ``keys``: key → processor and payment method it was asked with. ``unknown``: those
    keys (→ processor) that were given up without knowing whether the processor had done them.
    """

    began_at: datetime
    asked_at: datetime | None = None
    unanswered: int = 0
    references: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    keys: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


def attempts(session: Session, row: Transaction) -> Attempts:
    """Read a transaction's history."""
    session.flush()
    found = Attempts(began_at=row.created_at)
    for entry in session.scalars(
        select(TransactionEvent).where(TransactionEvent.transaction_id == row.id).order_by(TransactionEvent.id)
    ):
        key = str(entry.detail.get("key", ""))
        if entry.event == PaymentEvent.RETRIED.label:
            found.earlier |= found.references
            found.began_at, found.asked_at, found.unanswered, found.references = entry.at, None, 0, set()
        elif entry.event == ASKED:
            found.asked_at = found.asked_at or entry.at
            found.keys[key] = (entry.processor, entry.detail.get("payment_method_id"))
        elif entry.event == NOT_ANSWERED:
            found.unanswered += 1
        elif entry.event == PaymentEvent.GIVEN_UP.label and key:
            found.unknown[key] = entry.processor
        if entry.detail.get("settled"):
            found.unknown.pop(key, None)
        if entry.reference and not entry.detail.get("stale"):
            found.references.add(entry.reference)
    return found


def conclude_actions(session: Session, row: Transaction, *, now: datetime) -> None:
    """Give the actions that people took on a transaction their outcome in the Actions log, now that it has one."""
    succeeded = row.status is TransactionStatus.SUCCEEDED
    ids = [
        int(action_id)
        for action_id in session.scalars(
            select(TransactionEvent.detail["action_id"].astext).where(
                TransactionEvent.transaction_id == row.id, TransactionEvent.detail.has_key("action_id")
            )
        )
    ]
    if not ids:
        return
    concluded = session.execute(
        update(Action)
        .where(Action.id.in_(ids), Action.status == ActionStatus.PENDING)
        .values(
            status=ActionStatus.FINISHED if succeeded else ActionStatus.FAILED,
            error=None if succeeded else row.failure_reason or row.status.label,
            finished_at=now,
        )
        .returning(Action.id, Action.partner_id)
    ).all()
    for action_id, partner_id in concluded:
        tell_changed(session, action_id=action_id, partner_id=partner_id, charge_point_id=None, user_id=row.user_id)
