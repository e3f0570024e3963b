"""Sending what is due in the outbox, one mail at a time, over one conversation with the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core import outbox, smtp
from app.core.files import StoredFile, file_bytes

log = structlog.get_logger(__name__)

#: one call sends for at most this long; what is left is due at the next
BUDGET_S = 60.0

Transaction = Callable[[], AbstractContextManager[Session]]


def send_due(transaction: Transaction, *, clock: Callable[[], datetime], budget_s: float = BUDGET_S) -> int:
    """Send the mails that are due. Returns how many the server took.

    ``transaction`` opens a session that commits at the end of its block: none is open while the server is spoken to.
    Several may do this at the same time; no mail is sent by two of them.
    """
    with transaction() as session:
        try:
            server = smtp.server_from_settings(session)
        except smtp.MailNotSetUp:
            return 0
    sent, ends_at = 0, time.monotonic() + budget_s
    with ExitStack() as conversation:
        connection: smtp.Connection | None = None
        while time.monotonic() < ends_at:
            with transaction() as session:
                mail = outbox.claim(session, now=clock())
                if mail is None:
                    break
                session.flush()
                attachment = _attachment(session, mail.attachment_id)
                session.expunge(mail)
            try:
                message = smtp.build_message(mail, server, now=clock(), attachment=attachment)
                if connection is None:
                    connection = conversation.enter_context(smtp.Connection(server))
                connection.send(message)
            except smtp.ServerAway as error:
                log.warning("mail.server_away", error=str(error))
                with transaction() as session:
                    outbox.record_server_away(session, mail_id=mail.id, error=str(error), now=clock())
                break
            except smtp.MailRefused as refused:
                with transaction() as session:
                    outbox.record_failure(
                        session, mail_id=mail.id, error=str(refused), permanent=refused.permanent, now=clock()
                    )
                continue
            with transaction() as session:
                outbox.record_sent(session, mail_id=mail.id, now=clock())
            sent += 1
    return sent


def _attachment(session: Session, file_id: int | None) -> smtp.Attachment | None:
    """A stored file whole: what goes by mail is small."""
    if file_id is None:
        return None
    file = session.get_one(StoredFile, file_id)
    return smtp.Attachment(file.name, file.content_type, file_bytes(session, file_id=file_id))
