"""What a correction does, in the dialog's words: old and new price, their difference, what happens with the money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from admin_views import formats
from app.billing.models import PaymentMethod, Transaction
from app.billing.payments import processors
from app.charging.authorize import PaidFrom
from app.charging.corrections.prepare import Prepared
from app.charging.corrections.rules import Effect
from app.charging.models import ChargingSession


@dataclass(frozen=True, slots=True)
class EffectWords:
    """What the box shows; amounts are None where there is no price yet."""

    effect: Effect
    currency: str
    before: Decimal | None
    after: Decimal | None
    difference: Decimal | None
    facts: tuple[tuple[str, Any], ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...]


def in_words(session: Session, row: ChargingSession, prepared: Prepared) -> EffectWords:
    """A prepared correction for reading."""
    price = prepared.price
    facts: list[tuple[str, Any]] = []
    if prepared.user is not None:
        facts.append(("User", prepared.user))
    if prepared.snapshot is not None:
        facts.append(("Tariff", prepared.snapshot.name))
    return EffectWords(
        effect=prepared.effect,
        currency=price.gross.currency.code if price is not None else prepared.currency,
        before=prepared.before,
        after=price.gross.amount if price is not None else None,
        difference=prepared.difference,
        facts=tuple(facts),
        steps=tuple(_steps(session, row, prepared)),
        notes=prepared.notes,
    )


def _steps(session: Session, row: ChargingSession, prepared: Prepared) -> Iterator[str]:
    if prepared.effect is Effect.AT_PRICING:
        yield "Nothing is charged or given back now: it counts when the session is priced, at its end."
        return
    if prepared.effect is Effect.BILL_NOW:
        yield "The session is priced and billed at once."
        return
    plan, money = prepared.plan, prepared.price.gross.currency.code if prepared.price is not None else ""

    def amount(value: Decimal) -> str:
        return str(formats.money(value, money))

    for step in plan.withdrawals:
        what = "is no longer counted as waived" if step.waived else "is no longer asked for"
        yield f"{amount(step.amount)} {what} (transaction #{step.transaction_id})."
    for refund in plan.refunds:
        parent = session.get_one(Transaction, refund.transaction_id)
        if refund.amount > 0:
            yield f"{amount(refund.amount)} goes back to {_way(parent)}."
        if refund.absorbs:
            yield f"What was refunded of transaction #{parent.id} before counts as part of it."
    if plan.asked > 0:
        yield f"{amount(plan.asked)} is charged to {_payer(session, row, prepared)}."
    if plan.waived > 0:
        yield f"{amount(plan.waived)} is waived: nobody is asked for it."
    if not (plan.withdrawals or plan.refunds or plan.asked or plan.waived):
        yield "No money moves."


def _way(parent: Transaction) -> str:
    who = f" of {parent.user}" if parent.user is not None else ""
    if parent.payment_method is not None:
        return f"{parent.payment_method}{who}"
    return f"the {processors.title(parent.processor).lower()}{who}"


def _payer(session: Session, row: ChargingSession, prepared: Prepared) -> str:
    user = prepared.user or row.user
    paid_from = prepared.payer.paid_from.value if prepared.payer is not None else row.paid_from
    method_id = prepared.payer.payment_method_id if prepared.payer is not None else row.payment_method_id
    who = f" of {user}" if user is not None else ""
    if paid_from == PaidFrom.PAYMENT_METHOD.value:
        method = session.get(PaymentMethod, method_id) if method_id is not None else None
        return f"{method or 'the last used payment method'}{who}"
    return "the corporate account" if paid_from == PaidFrom.CORPORATE.value else f"the balance{who}"
