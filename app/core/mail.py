"""The outbox: a mail is a row in the transaction that gives rise to it; a job sends it (``app.core.mail_delivery``).

What is rolled back is never mailed, and what is committed is mailed also when the mail server is away for a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.models import Mail

MAX_SUBJECT = 255


def queue_mail(
    session: Session,
    *,
    key: str,
    recipient: str,
    subject: str,
    body: str,
    html: str | None = None,
    answers: str | None = None,
    attachment_id: int | None = None,
    confidential: bool = False,
    now: datetime,
) -> Mail | None:
    """Write a mail to the outbox; None when one of this key is there for this recipient already. Flushes.

    ``confidential``: the text holds a personal link or code, which CONFIGURATION > Outbox shows to nobody.
    ``attachment_id`` is of a stored file that goes with it, and stays as long as the mail does.

    ``key`` is what the mail is about (``outage:17``), at most 120 characters: whoever says the same again, also at the
    same moment, says nothing. ``answers`` is the key of an earlier mail to the same recipient: both stand in one
    thread. Line breaks in the subject become blanks, and it is cut at 255 characters.
    """
    statement = (
        insert(Mail)
        .values(
            key=key,
            recipient=recipient.strip(),
            subject=one_line(subject)[:MAX_SUBJECT],
            body=_storable(body),
            html=None if html is None else _storable(html),
            answers=answers,
            attachment_id=attachment_id,
            confidential=confidential,
            created_at=now,
            next_attempt_at=now,
        )
        .on_conflict_do_nothing(constraint="uq_mail_key_recipient")
        .returning(Mail)
    )
    return session.scalars(statement).one_or_none()


def queue_mails(
    session: Session,
    *,
    key: str,
    recipients: Iterable[str],
    subject: str,
    body: str,
    html: str | None = None,
    answers: str | None = None,
    now: datetime,
) -> int:
    """One mail to each recipient. Returns how many are new. Flushes."""
    written = [
        queue_mail(
            session, key=key, recipient=recipient, subject=subject, body=body, html=html, answers=answers, now=now
        )
        for recipient in dict.fromkeys(recipients)
    ]
    return sum(mail is not None for mail in written)


def one_line(text: str) -> str:
    """A text without line breaks and other control characters: none of them may reach a header."""
    return " ".join("".join(" " if ord(char) < 32 or ord(char) == 127 else char for char in text).split())


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL; a station's error text may carry one."""
    return text.replace("\0", "")
