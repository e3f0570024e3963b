"""Paying what a driver owes: every declined charge is tried again, or paid from the balance.

Manual, "User billing settings", 2: an outstanding balance prevents a new session, "unless they pay their balance due".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from app.billing import ledger, outstanding
from app.billing.models import PaymentMethod
from app.billing.payments import retries
from app.billing.payments.lifecycle import PaymentLifecycleError
from app.core import settings
from app.core.models import Admin
from app.crm.models import User


class NothingOwed(ValueError):
    """The user owes nothing that could be paid."""


class TopUpNeeded(ValueError):
    """All that is owed is the balance below zero: that is paid by topping it up; the message says by how much."""


@dataclass(frozen=True)
class Paid:
    """What came of it: these transactions are Pending (have them performed), those were paid from the balance.

    ``top_up`` is what the balance is still below zero, ``problems`` why a charge could not be paid this way.
    """

    asked: tuple[int, ...]
    paid: tuple[int, ...]
    top_up: Decimal
    problems: tuple[str, ...]


def pay_outstanding(
    session: Session,
    *,
    user: User,
    method: PaymentMethod | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Paid:
    """Pay what a user owes, oldest first: by ``method``, or (None) from the balance as far as it reaches. Flushes.

    The caller commits and has the transactions ``asked`` performed. What is not known to be declined (a processor that
    was not reached) is not asked for twice: it stays, and ``problems`` says so. Raises NothingOwed, TopUpNeeded,
    ReasonRequired, and CannotRetry when the payment method is of no use.
    """
    currency = settings.get_text(session, "system.currency")
    debts = outstanding.debts(session, user_id=user.id, currency=currency)
    below_zero = ledger.outstanding(session, user_id=user.id, currency=currency)
    if not debts:
        if below_zero:
            raise TopUpNeeded(f"The balance is {below_zero.normalize():f} {currency} below zero: top it up.")
        raise NothingOwed(f"{user.email} owes nothing.")
    asked: list[int] = []
    paid: list[int] = []
    problems: list[str] = []
    for debt in debts:
        try:
            if method is None:
                retries.pay_from_balance(session, transaction=debt, reason=reason, actor=actor, now=now)
                paid.append(debt.id)
            else:
                retries.retry_payment(
                    session, transaction=debt, payment_method=method, reason=reason, actor=actor, now=now
                )
                asked.append(debt.id)
        except retries.InsufficientBalance as error:
            problems.append(f"{debt}: {error}")
            break  # the oldest first: what is left must not pay a newer one instead
        except (retries.NotOwed, retries.OutcomeUnknown, PaymentLifecycleError) as error:
            problems.append(f"{debt}: {error}")
    left = ledger.outstanding(session, user_id=user.id, currency=currency)
    return Paid(tuple(asked), tuple(paid), left, tuple(problems))
