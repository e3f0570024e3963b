"""Receipts by mail: once when they are made, again when somebody asks for it. Manual, "Receipts"."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing.models import Receipt
from app.billing.receipts.document import format_of
from app.billing.receipts.issue import CHANGED
from app.billing.receipts.parties import driver_lines
from app.core import actions, events, mail_words, settings
from app.core.mail import queue_mail
from app.core.models import HOUSE_PARTNER_ID, Action, ActionStatus, Admin, Mail

SEND = "Send receipt"
#: a receipt for a longer time ago is kept for the driver, not sent by itself: when the making of receipts is switched
#: on late, nobody shall get a year of mails at once
MAILED_WITHIN = timedelta(days=93)


class NoFileYet(Exception):
    """The PDF is still being made."""


def send_first(session: Session, *, receipt_id: int, now: datetime) -> Mail | None:
    """Queue the mail of a receipt whose PDF has just been made; None when it is not to be sent. Flushes.

    Settings > Receipts > Send by e-mail. One that was sent before is not sent by itself again.
    """
    receipt = session.get_one(Receipt, receipt_id, populate_existing=True)
    if receipt.sent_count or not settings.get(session, "receipt.send_by_email"):
        return None
    if receipt.period_to < (now - MAILED_WITHIN).date():
        return None
    return _queue(session, receipt, recipient=receipt.recipient, now=now)


def send_again(session: Session, *, receipt: Receipt, reason: str, actor: Admin, now: datetime) -> Action:
    """Send a receipt (again), to the address its driver has now. Flushes. Raises NoFileYet and ReasonRequired."""
    session.refresh(receipt, with_for_update=True)
    if receipt.file_id is None:
        raise NoFileYet("Its PDF is still being made. Try again in a moment.")
    recipient = receipt.user.email
    action = actions.open_action(
        session,
        name=SEND,
        target_type=Receipt.__tablename__,
        target_id=receipt.id,
        target_label=receipt.full_number,
        info=f"To {recipient}",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        user_id=receipt.user_id,
        now=now,
    )
    _queue(session, receipt, recipient=recipient, now=now)
    return action


def _queue(session: Session, receipt: Receipt, *, recipient: str, now: datetime) -> Mail | None:
    """Write the mail and count it."""
    sent = session.scalar(select(Receipt.sent_count).where(Receipt.id == receipt.id)) or 0
    words = _words(session, receipt)
    mail = queue_mail(
        session,
        key=f"receipt:{receipt.id}" if sent == 0 else f"receipt:{receipt.id}:{sent + 1}",
        recipient=recipient,
        subject=words.subject,
        body=words.body,
        html=words.html,
        attachment_id=receipt.file_id,
        now=now,
    )
    session.execute(
        update(Receipt).where(Receipt.id == receipt.id).values(sent_count=sent + 1),
        execution_options={"synchronize_session": False},
    )
    session.expire(receipt, ["sent_count"])
    events.announce(session, CHANGED, partner_id=HOUSE_PARTNER_ID, receipt_id=receipt.id, user_id=receipt.user_id)
    return mail


def _words(session: Session, receipt: Receipt) -> mail_words.Composed:
    """The mail in the receipt's language."""
    written = format_of(session, receipt)
    company = receipt.company
    return mail_words.compose(
        session,
        receipt.kind.value,
        language=written.language,
        values={
            "name": _name(receipt),
            "number": receipt.full_number,
            "issued": written.day(receipt.issued_at),
            "total": written.money(receipt.total_gross),
            "issuer": str(company["name"]),
            "reach": " · ".join(str(company[field]) for field in ("phone", "email") if company[field]),
        },
    )


def _name(receipt: Receipt) -> str:
    return str(receipt.driver["name"] or driver_lines(receipt.driver, receipt.language)[0])
