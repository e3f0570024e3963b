"""A driver enters a card at the processor: a one-time address, opened within a day, finished by whoever hears of it.

The card itself goes from the driver's browser to the processor; here arrive its brand, last four digits and expiry.
Finished by the browser's return, by webhook or by a job, whichever comes first. Manual, "Payment Methods".
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.billing.models import PaymentMethod, PaymentMethodSetup, ProcessorCustomer
from app.billing.payments import processors
from app.billing.payments.methods import (
    CardOfAnother,
    TooManyPaymentMethods,
    add_method,
    processor_name,
    require_room,
    under_way,
)
from app.billing.payments.perform import Transact
from app.billing.payments.processors import Card, Processor, ProcessorMisconfigured, ProcessorUnreachable, Setup
from app.core.actions import open_action
from app.core.models import ActionStatus
from app.crm.models import User

log = structlog.get_logger(__name__)

VALID_FOR = timedelta(hours=24)
ADDED = "Payment method added"
BY_DRIVER = "Entered by the driver"
BATCH = 50


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """A one-time address that was just made; its token is known to nobody but who gets it now."""

    setup_id: int
    token: str
    expires_at: datetime


class Entry(StrEnum):
    """What the page of a one-time address has to say."""

    OPEN = "open"
    SAVED = "saved"
    REFUSED = "refused"
    USED = "used"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class EntryPage:
    """The state of a one-time address: whose language, what the browser needs, what was saved or refused."""

    entry: Entry
    locale: str = ""
    setup: Setup | None = None
    label: str = ""
    reason: str = ""


def invite(transact: Transact, *, user_id: int, clock: Callable[[], datetime]) -> Invitation:
    """Make a one-time address at which a user enters a card.

    Raises NoProcessor, TooManyPaymentMethods, ProcessorUnreachable, ProcessorMisconfigured.
    """
    token = secrets.token_urlsafe(32)
    with transact() as session:
        now = clock()
        user = session.get_one(User, user_id)
        name = processor_name(session, user)
        require_room(session, user=user, today=now.date())
        adapter = processors.processor(session, name)
        known = session.get(ProcessorCustomer, (user_id, name))
        customer = known.reference if known else None
        email, full_name = user.email, user.full_name
        row = PaymentMethodSetup(
            user_id=user_id, processor=name, token_hash=_hashed(token), created_at=now, expires_at=now + VALID_FOR
        )
        session.add(row)
        session.flush()
        invitation = Invitation(setup_id=row.id, token=token, expires_at=row.expires_at)
    try:
        if customer is None:
            customer = adapter.customer(user_id=user_id, email=email, name=full_name)
            with transact() as session:
                customer = _keep_customer(session, user_id=user_id, processor=name, reference=customer)
        begun = adapter.begin_setup(customer=customer, key=f"setup:{_hashed(token)[:32]}")
    except (ProcessorUnreachable, ProcessorMisconfigured) as error:
        with transact() as session:
            session.get_one(PaymentMethodSetup, invitation.setup_id).error = str(error)
        raise
    with transact() as session:
        session.get_one(PaymentMethodSetup, invitation.setup_id).reference = begun.reference
    return invitation


def _keep_customer(session: Session, *, user_id: int, processor: str, reference: str) -> str:
    """The customer's name at the processor; the first that was kept, when two were made at once."""
    session.execute(
        insert(ProcessorCustomer)
        .values(user_id=user_id, processor=processor, reference=reference)
        .on_conflict_do_nothing()
    )
    return session.get_one(ProcessorCustomer, (user_id, processor)).reference


def open_page(transact: Transact, *, token: str, returning: bool, clock: Callable[[], datetime]) -> EntryPage:
    """What the page of an address shows; ``returning``: the browser says that the card has been entered."""
    with transact() as session:
        row = _of_token(session, token)
        if row is None or (row.reference is None and row.finished_at is None):
            return EntryPage(entry=Entry.UNKNOWN)
        locale = row.user.locale
        if row.finished_at is not None:
            return _finished(session, row) if returning else EntryPage(entry=Entry.USED, locale=locale)
        expired = row.expires_at <= clock()
        number, reference = row.id, row.reference
        if expired and not returning:
            return EntryPage(entry=Entry.EXPIRED, locale=locale)
        adapter = _adapter(session, row.processor)
    if adapter is None:
        return EntryPage(entry=Entry.UNREACHABLE, locale=locale)
    assert reference is not None
    try:
        if returning:
            finish(transact, setup_id=number, clock=clock)
            with transact() as session:
                row = session.get_one(PaymentMethodSetup, number)
                if row.finished_at is not None:
                    return _finished(session, row)
            if expired:
                return EntryPage(entry=Entry.EXPIRED, locale=locale)
        begun = adapter.resume_setup(reference)
    except (ProcessorUnreachable, ProcessorMisconfigured) as error:
        log.warning("card_entry.unreachable", setup_id=number, error=str(error))
        return EntryPage(entry=Entry.UNREACHABLE, locale=locale)
    if begun is None:  # entered, and the browser that did it never came back
        return EntryPage(entry=Entry.USED, locale=locale)
    return EntryPage(entry=Entry.OPEN, locale=locale, setup=begun)


def finish(transact: Transact, *, setup_id: int, clock: Callable[[], datetime]) -> bool:
    """Keep the card that was entered, once. False while it is not entered.

    A card beyond the maximum number of payment methods is refused, and the processor told to forget it. Raises
    ProcessorUnreachable, ProcessorMisconfigured.
    """
    with transact() as session:
        row = session.get_one(PaymentMethodSetup, setup_id)
        if row.finished_at is not None:
            return True
        if row.reference is None:
            return False
        adapter, reference = processors.processor(session, row.processor), row.reference
    card = adapter.finish_setup(reference)
    if card is None:
        return False
    with transact() as session:
        refused = _keep_card(session, setup_id=setup_id, card=card, now=clock())
    if refused:
        adapter.remove(card.token)
    return True


def _keep_card(session: Session, *, setup_id: int, card: Card, now: datetime) -> bool:
    """Whether it was refused. Flushes."""
    row = session.get_one(PaymentMethodSetup, setup_id, with_for_update=True)
    if row.finished_at is not None:
        return False
    row.finished_at = now
    try:
        method = add_method(session, user=row.user, processor=row.processor, card=card, now=now)
    except TooManyPaymentMethods as error:
        row.error = str(error)
        session.flush()
        return True
    except CardOfAnother as error:  # it is no reason to have the processor forget the other user's card
        row.error = str(error)
        session.flush()
        return False
    row.payment_method_id, row.error = method.id, None
    note_added(session, method=method, now=now)
    return False


def note_added(session: Session, *, method: PaymentMethod, now: datetime) -> None:
    """Say in the user's Actions log that a card was entered."""
    open_action(
        session,
        name=ADDED,
        target_type=User.__tablename__,
        target_id=method.user_id,
        target_label=method.user.email,
        reason=BY_DRIVER,
        info=str(method),
        actor=None,
        status=ActionStatus.FINISHED,
        user_id=method.user_id,
        now=now,
    )


def finish_by_reference(transact: Transact, *, processor: str, reference: str, clock: Callable[[], datetime]) -> str:
    """The same for a webhook, which knows the processor's reference. Returns what became of it. Raises like that."""
    with transact() as session:
        number = session.scalar(
            select(PaymentMethodSetup.id)
            .where(PaymentMethodSetup.processor == processor, PaymentMethodSetup.reference == reference)
            .limit(1)
        )
    if number is None:
        return "About nothing that is known here"
    if not finish(transact, setup_id=number, clock=clock):
        return f"Card entry {number}: not finished"
    with transact() as session:
        row = session.get_one(PaymentMethodSetup, number)
        return f"Card entry {number}: {row.error or 'saved'}"


def tend(transact: Transact, *, clock: Callable[[], datetime]) -> int:
    """Finish entries of which neither browser nor webhook told, and have the processor forget removed methods.

    Returns how many it was. One that does not work does not keep the others from it; the next run repeats it.
    """
    with transact() as session:
        now = clock()
        entries = session.scalars(
            select(PaymentMethodSetup.id)
            .where(
                PaymentMethodSetup.finished_at.is_(None),
                PaymentMethodSetup.reference.is_not(None),
                PaymentMethodSetup.expires_at > now - timedelta(hours=1),
            )
            .order_by(PaymentMethodSetup.id.desc())
            .limit(BATCH)
        ).all()
        removed = session.scalars(
            select(PaymentMethod.id)
            .where(PaymentMethod.removed_at.is_not(None), PaymentMethod.forgotten_at.is_(None), ~under_way())
            .order_by(PaymentMethod.removed_at)
            .limit(BATCH)
        ).all()
    done = 0
    for number in entries:
        done += _tried("card_entry.not_finished", number, lambda n: finish(transact, setup_id=n, clock=clock))
    for number in removed:
        done += _tried("payment_method.not_forgotten", number, lambda n: _forget(transact, method_id=n, clock=clock))
    return done


def _tried(event: str, number: int, do: Callable[[int], bool]) -> bool:
    try:
        return do(number)
    except (ProcessorUnreachable, ProcessorMisconfigured, processors.UnknownProcessor) as error:
        log.warning(event, id=number, error=str(error))
        return False


def _forget(transact: Transact, *, method_id: int, clock: Callable[[], datetime]) -> bool:
    with transact() as session:
        method = session.get_one(PaymentMethod, method_id)
        adapter, token = processors.processor(session, method.processor), method.reference
    adapter.remove(token)
    with transact() as session:
        session.get_one(PaymentMethod, method_id).forgotten_at = clock()
    return True


def _finished(session: Session, row: PaymentMethodSetup) -> EntryPage:
    if row.payment_method_id is None:
        return EntryPage(entry=Entry.REFUSED, locale=row.user.locale, reason=row.error or "")
    label = str(session.get_one(PaymentMethod, row.payment_method_id))
    return EntryPage(entry=Entry.SAVED, locale=row.user.locale, label=label)


def _adapter(session: Session, name: str) -> Processor | None:
    try:
        return processors.processor(session, name)
    except (ProcessorMisconfigured, processors.UnknownProcessor) as error:
        log.warning("card_entry.no_processor", error=str(error))
        return None


def _of_token(session: Session, token: str) -> PaymentMethodSetup | None:
    return session.scalars(
        select(PaymentMethodSetup).where(PaymentMethodSetup.token_hash == _hashed(token))
    ).one_or_none()


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
