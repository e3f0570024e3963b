"""The PDFs of receipts: made once, after the receipt was committed and outside any lock, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing.models import Receipt
from app.billing.receipts import mails
from app.billing.receipts.document import document_of
from app.billing.receipts.typesetting import typeset
from app.core.files import store_file

CONTENT_TYPE = "application/pdf"
#: a receipt of some 100,000 lines; more is a mistake
MAX_BYTES = 64 * 1024 * 1024

Transact = Callable[[], AbstractContextManager[Session]]
Typesetter = Callable[[dict[str, Any]], bytes]


def without_file(session: Session, *, after_id: int = 0, limit: int) -> list[int]:
    """Receipts whose PDF is not made (any more), oldest first, by id above ``after_id``."""
    return list(
        session.scalars(
            select(Receipt.id).where(Receipt.file_id.is_(None), Receipt.id > after_id).order_by(Receipt.id).limit(limit)
        )
    )


def make_file(
    transact: Transact, *, receipt_id: int, clock: Callable[[], datetime], typesetter: Typesetter = typeset
) -> int | None:
    """Make a receipt's PDF, keep it, and have it mailed as Settings say; the file's id, None for no such receipt.

    Two at the same time: one PDF is kept, and one mail is sent. A process that dies in between leaves a receipt
    without file, which is found again.
    """
    with transact() as session:
        receipt = session.get(Receipt, receipt_id)
        if receipt is None:
            return None
        if receipt.file_id is not None:
            return receipt.file_id
        document, number = document_of(session, receipt), receipt.full_number
    data = typesetter(document)  # no transaction is open meanwhile
    with transact() as session:
        now = clock()
        # claimed before it is written: who comes second waits here, and finds that it is done
        free = select(Receipt.id).where(Receipt.id == receipt_id, Receipt.file_id.is_(None)).with_for_update()
        if session.scalar(free) is None:
            return session.scalar(select(Receipt.file_id).where(Receipt.id == receipt_id))
        file = store_file(
            session,
            name=f"{file_stem(number)}.pdf",
            content_type=CONTENT_TYPE,
            chunks=[data],
            max_bytes=MAX_BYTES,
            now=now,
        )
        session.execute(update(Receipt).where(Receipt.id == receipt_id).values(file_id=file.id))
        mails.send_first(session, receipt_id=receipt_id, now=now)
        return file.id


def file_stem(number: str) -> str:
    """A receipt's number as a file may be called."""
    return "".join(char if char.isalnum() or char in "-_. " else "-" for char in number)
