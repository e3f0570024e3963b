"""What pays for the charges of an RFID tag. Manual, "Add RFID tag (card) for user", 6."""

from __future__ import annotations

from datetime import date

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


def set_tag_choice(session: Session, *, tag: RfidTag, user_id: int, choice: str, today: date) -> None:
    """Have a choice pay for a tag. A choice the tag has already may stay, also when a card has expired since.

    Raises NotOfThisUser.
    """
    kept = tag.id is not None and tag.user_id == user_id and choice == tag_choice(tag)
    if not kept and choice not in dict(tag_choices(session, user_id=user_id, today=today)):
        raise NotOfThisUser("This is not a payment method of the user, or it cannot be used any more.")
    tag.payment_method_id = tag.payer_partner_id = None
    if choice.startswith(_METHOD):
        tag.payment, tag.payment_method_id = TagPayment.PAYMENT_METHOD, int(choice.removeprefix(_METHOD))
    elif choice.startswith(_PARTNER):
        tag.payment, tag.payer_partner_id = TagPayment.CORPORATE, int(choice.removeprefix(_PARTNER))
    else:
        tag.payment = TagPayment(choice)
