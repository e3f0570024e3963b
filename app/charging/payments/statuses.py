"""Whether a session has been paid: one function over its transactions. Everybody's payment status comes from here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.billing.models import TransactionStatus, TransactionType
from app.billing.payments.lifecycle import OWING
from app.charging.lifecycle import PaymentStatus

_TAKES = (TransactionType.CHARGE, TransactionType.CAPTURE)
_NOTHING_MOVED = (TransactionStatus.FAILED, TransactionStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Movement:
    """What matters of a transaction here."""

    type: TransactionType
    status: TransactionStatus
    amount: Decimal
    #: the price version that gives it back, or no longer asks for it; None for everything else
    correction: int | None = None


def payment_status(total: Decimal, movements: Sequence[Movement]) -> PaymentStatus:
    """Where a session that costs ``total`` stands, for which something was asked.

    Processing: a processor has not answered, or part of the total is not asked for yet. Outstanding: part of it was
    declined. Refunded: all that was paid has been given back. A charge that was cancelled is waived: nobody owes it,
    unless a correction of the price has withdrawn it. What corrections give back does not count as paid.
    """
    takes = [each for each in movements if each.type in _TAKES and not is_withdrawn(each)]
    if any(each.status is TransactionStatus.PENDING for each in takes):
        return PaymentStatus.PROCESSING
    if any(each.status in OWING for each in takes):
        return PaymentStatus.OUTSTANDING
    paid = _sum(each.amount for each in takes if each.status is TransactionStatus.SUCCEEDED)
    waived = _sum(
        each.amount
        for each in takes
        if each.type is TransactionType.CHARGE and each.status is TransactionStatus.CANCELLED
    )
    corrected = _sum(
        each.amount
        for each in movements
        if each.type is TransactionType.REFUND and each.correction is not None and each.status not in _NOTHING_MOVED
    )
    if paid - corrected + waived < total:
        return PaymentStatus.PROCESSING
    if not paid:
        return PaymentStatus.NOT_BILLED
    given_back = _sum(
        each.amount
        for each in movements
        if each.type is TransactionType.REFUND and each.status is TransactionStatus.SUCCEEDED
    )
    return PaymentStatus.REFUNDED if given_back >= paid else PaymentStatus.PAID


def is_withdrawn(movement: Movement) -> bool:
    """Whether a correction no longer asks for it."""
    return movement.correction is not None and movement.status is TransactionStatus.CANCELLED


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
