"""Sending what is due in the outbox, one mail at a time, over one conversation with the mail server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core import smtp
from app.core.delivery import BUDGET_S, Delivery, Transaction
from app.core.files import StoredFile, file_bytes
from app.core.messages import Mail


class MailCarrier:
    """Hands mails to the server of Settings > E-mail (SMTP)."""

    def __init__(self, server: smtp.Server) -> None:
        self._server = server
        self._connection: smtp.Connection | None = None

    def load(self, session: Session, message: Mail) -> smtp.Attachment | None:
        """A stored file whole: what goes by mail is small."""
        if message.attachment_id is None:
            return None
        file = session.get_one(StoredFile, message.attachment_id)
        return smtp.Attachment(file.name, file.content_type, file_bytes(session, file_id=file.id))

    def send(self, message: Mail, loaded: smtp.Attachment | None, *, now: datetime) -> dict[str, Any]:
        """As Carrier.send; the server is called with the first mail."""
        written = smtp.build_message(message, self._server, now=now, attachment=loaded)
        if self._connection is None:
            self._connection = smtp.Connection(self._server).__enter__()
        self._connection.send(written)
        return {}

    def close(self) -> None:
        """Say good-bye."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def send_due(transaction: Transaction, *, clock: Callable[[], datetime], budget_s: float = BUDGET_S) -> int:
    """Send the mails that are due. Returns how many the server took; none while no server is set."""
    with transaction() as session:
        try:
            server = smtp.server_from_settings(session)
        except smtp.MailNotSetUp:
            return 0
    return Delivery(Mail, MailCarrier(server), transaction, clock).run(budget_s=budget_s)
