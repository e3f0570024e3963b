"""Who pays for a session, from the database: the facts, what may be chosen, and what is kept with the session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.billing import corporate
from app.billing.models import PaymentMethod
from app.billing.payments import methods
from app.charging.authorize import BillingStrategy, PaidFrom
from app.charging.models import ChargingSession
from app.charging.payments.payer import BALANCE, LAST_USED, Payer, PayerFacts, Wish
from app.core import settings
from app.core.clock import zone
from app.crm.models import RfidTag, TagPayment
from app.partners.models import Partner

#: the choices of the remote start dialog that name nobody
LAST_USED_KEY, BALANCE_KEY = "last_used", "balance"
_METHOD_KEY, _CORPORATE_KEY = "method:", "corporate:"


class CannotPay(ValueError):
    """What was chosen to pay cannot be used by this user; the message says what it is."""


def wish_of_tag(tag: RfidTag) -> Wish:
    """What a tag is set to pay with. Manual, "Add RFID tag (card) for user", 6."""
    if tag.payment is TagPayment.PAYMENT_METHOD:
        return Wish(PaidFrom.PAYMENT_METHOD, payment_method_id=tag.payment_method_id)
    if tag.payment is TagPayment.CORPORATE:
        return Wish(PaidFrom.CORPORATE, partner_id=tag.payer_partner_id)
    return BALANCE if tag.payment is TagPayment.BALANCE else LAST_USED


def wish_of_session(row: ChargingSession) -> Wish | None:
    """What was chosen for a session when it was begun remotely; None when nobody chose."""
    if row.paid_from is None:
        return None
    paid_from = PaidFrom(row.paid_from)
    if paid_from is PaidFrom.PAYMENT_METHOD:  # the method may be gone: then the last used one
        return Wish(paid_from, row.payment_method_id) if row.payment_method_id else LAST_USED
    return Wish(paid_from, partner_id=row.payer_partner_id)


def payer_facts(
    session: Session, *, user_id: int | None, now: datetime, choice: Wish | None = None, tag: Wish | None = None
) -> PayerFacts:
    """What ``choose_payer`` needs for a user."""
    today = now.astimezone(zone(settings.get_text(session, "system.timezone"))).date()
    usable = methods.usable(session, user_id=user_id, today=today) if user_id is not None else []
    return PayerFacts(
        strategy=BillingStrategy(settings.get_text(session, "billing.strategy")),
        usable_methods=tuple(each.id for each in usable),
        methods_not_for_sessions=bool(settings.get(session, "billing.payment_method_not_for_sessions")),
        choice=choice,
        tag=tag,
    )


def without_partner(facts: PayerFacts) -> PayerFacts:
    """The facts of a driver whom the partner does not let bill to it: energy that flows is then the driver's own."""
    return replace(facts, choice=_own(facts.choice), tag=_own(facts.tag))


def _own(wish: Wish | None) -> Wish | None:
    return None if wish is not None and wish.paid_from is PaidFrom.CORPORATE else wish


def keep_payer(row: ChargingSession, payer: Payer) -> None:
    """Write down with the session who pays."""
    row.paid_from = payer.paid_from.value
    row.payment_method_id = payer.payment_method_id
    row.payer_partner_id = payer.partner_id


@dataclass(frozen=True)
class Choice:
    """One entry of the remote start dialog's "Payment Methods"."""

    key: str
    label: str


def choices(session: Session, *, user_id: int | None, now: datetime) -> list[Choice]:
    """What may be chosen to pay for a session of a user, "Last used" first. Manual, "Starting a Session", 3."""
    found = [Choice(LAST_USED_KEY, "Last used")]
    if user_id is None:
        return found
    facts = payer_facts(session, user_id=user_id, now=now)
    if facts.methods_pay:
        rows = [session.get_one(PaymentMethod, method_id) for method_id in facts.usable_methods]
        found += [Choice(f"{_METHOD_KEY}{row.id}", str(row)) for row in rows]
    if facts.strategy is not BillingStrategy.PREAUTHORIZE or not facts.usable_methods:
        found.append(Choice(BALANCE_KEY, "Balance"))
    for account in corporate.accounts().accounts_of(session, user_id=user_id):
        found.append(Choice(f"{_CORPORATE_KEY}{account.partner_id}", f"Corporate account: {account.name}"))
    return found


def wish_of_choice(session: Session, *, key: str, user_id: int, now: datetime) -> Wish:
    """What an entry of the dialog stands for. Raises CannotPay for one that this user does not have."""
    if key not in {each.key for each in choices(session, user_id=user_id, now=now)}:
        raise CannotPay("This user cannot pay with it. Choose again.")
    if key.startswith(_METHOD_KEY):
        return Wish(PaidFrom.PAYMENT_METHOD, payment_method_id=int(key.removeprefix(_METHOD_KEY)))
    if key.startswith(_CORPORATE_KEY):
        return Wish(PaidFrom.CORPORATE, partner_id=int(key.removeprefix(_CORPORATE_KEY)))
    return BALANCE if key == BALANCE_KEY else LAST_USED


def paid_by(session: Session, row: ChargingSession) -> str:
    """Who pays for a session, in words; empty while nobody was asked to."""
    if row.paid_from is None:
        return ""
    paid_from = PaidFrom(row.paid_from)
    if paid_from is PaidFrom.PAYMENT_METHOD:
        method = session.get(PaymentMethod, row.payment_method_id) if row.payment_method_id else None
        return str(method) if method else "Payment method"
    if paid_from is PaidFrom.CORPORATE:
        partner = session.get(Partner, row.payer_partner_id) if row.payer_partner_id else None
        return f"Corporate account: {partner.name}" if partner else "Corporate account"
    return "Balance"
