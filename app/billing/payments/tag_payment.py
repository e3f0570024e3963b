"""What pays for the charges of an RFID tag. Manual, "Add RFID tag (card) for user", 6."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.billing import corporate
from app.billing.payments import methods
from app.crm.models import RfidTag, TagPayment


class NotOfThisUser(ValueError):
    """What shall pay for a tag is not the tag's user's, or cannot pay any more."""


_METHOD, _PARTNER = "method:", "partner:"


def tag_choices(session: Session, *, user_id: int | None, today: date) -> list[tuple[str, str]]:
    """What may pay for the charges of a user's tag, as value and label; without a user what is there for everybody."""
    choices = [(TagPayment.LAST_USED.value, TagPayment.LAST_USED.label)]
    if user_id is not None:
        choices += [(f"{_METHOD}{row.id}", str(row)) for row in methods.usable(session, user_id=user_id, today=today)]
    choices.append((TagPayment.BALANCE.value, TagPayment.BALANCE.label))
    if user_id is not None:
        choices += [
            (f"{_PARTNER}{account.partner_id}", f"Corporate account: {account.name}")
            for account in corporate.accounts().accounts_of(session, user_id=user_id)
        ]
    return choices


def tag_choice(tag: RfidTag) -> str:
    """What pays for a tag, as one of the values of ``tag_choices``."""
    if tag.payment is TagPayment.PAYMENT_METHOD:
        return f"{_METHOD}{tag.payment_method_id}"
    if tag.payment is TagPayment.CORPORATE:
        return f"{_PARTNER}{tag.payer_partner_id}"
    return tag.payment.value


class Choice(NamedTuple):
    """A choice as a tag stores it."""

    payment: TagPayment
    payment_method_id: int | None = None
    payer_partner_id: int | None = None


def chosen(session: Session, *, user_id: int, choice: str, tag: RfidTag | None, today: date) -> Choice:
    """What a choice stands for, for a tag of this user. What the tag has may stay, also when a card has expired since.

    Raises NotOfThisUser.
    """
    kept = tag is not None and tag.user_id == user_id and choice == tag_choice(tag)
    if not kept and choice not in dict(tag_choices(session, user_id=user_id, today=today)):
        raise NotOfThisUser("This is not a payment method of the user, or it cannot be used any more.")
    if choice.startswith(_METHOD):
        return Choice(TagPayment.PAYMENT_METHOD, payment_method_id=int(choice.removeprefix(_METHOD)))
    if choice.startswith(_PARTNER):
        return Choice(TagPayment.CORPORATE, payer_partner_id=int(choice.removeprefix(_PARTNER)))
    return Choice(TagPayment(choice))
