"""The demo's transactions as rows, with their history and what the Test processor remembers of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.billing.models import TransactionPurpose, TransactionStatus, TransactionType
from app.billing.payments.test_processor import NAME
from app.core.models import HOUSE_PARTNER_ID
from app.demo.bulk import copy_rows, json_text, reserve_ids
from app.demo.history import Visit
from app.demo.people import Driver

#: how long the Test processor took
_ANSWERED_AFTER = timedelta(seconds=1)
DECLINED = "Declined by the Test processor"


@dataclass
class Entry:
    """A transaction of the past. Without a card it is the balance's, and names its ledger entry."""

    at: datetime
    driver: Driver
    type: TransactionType
    amount: Decimal
    key: str
    by_card: bool
    purpose: TransactionPurpose = TransactionPurpose.SESSION
    status: TransactionStatus = TransactionStatus.SUCCEEDED
    visit: Visit | None = None
    parent: Entry | None = None
    description: str | None = None
    ledger_entry_id: int = 0
    id: int = 0

    @property
    def partner_id(self) -> int:
        """Whose station it was; the house's for top-ups."""
        return self.visit.outlet.station.partner_id if self.visit else HOUSE_PARTNER_ID

    @property
    def reference(self) -> str:
        """By what it is known where it was done."""
        return f"test_{self.id:016x}" if self.by_card else f"ledger:{self.ledger_entry_id}"


def number(session: Session, entries: list[Entry]) -> None:
    """Give the entries their numbers, in the order of time."""
    entries.sort(key=lambda entry: entry.at)
    for entry, number in zip(entries, reserve_ids(session, "transaction", len(entries)), strict=True):
        entry.id = number


def write(session: Session, entries: list[Entry], *, currency: str) -> None:
    """Write numbered entries; parents come before their children, because they are older."""

    def row(entry: Entry) -> tuple[Any, ...]:
        card = entry.driver.card
        declined = entry.status is TransactionStatus.OUTSTANDING
        return (
            entry.id, entry.partner_id, entry.at, entry.at + _ANSWERED_AFTER, entry.type,
            entry.purpose, entry.status, entry.amount, currency, entry.driver.id,
            entry.visit.id if entry.visit else None, entry.parent.id if entry.parent else None,
            card.id if entry.by_card and card else None, NAME if entry.by_card else "balance", entry.reference,
            entry.key, DECLINED if declined else None, entry.description,
        )  # fmt: skip

    columns = (
        "id", "partner_id", "created_at", "updated_at", "type", "purpose", "status", "amount", "currency", "user_id",
        "session_id", "parent_id", "payment_method_id", "processor", "processor_reference", "idempotency_key",
        "failure_reason", "description",
    )  # fmt: skip
    copy_rows(session, "transaction", columns, map(row, entries))
    by_card = [entry for entry in entries if entry.by_card]
    _write_history(session, by_card, currency)
    _write_records(session, by_card, currency)


def _write_history(session: Session, entries: list[Entry], currency: str) -> None:
    def rows(entry: Entry) -> list[tuple[Any, ...]]:
        declined = entry.status is TransactionStatus.OUTSTANDING
        asked = f"{entry.type.label} of {entry.amount:.2f} {currency}"
        partner_id = entry.partner_id
        detail = json_text({"key": entry.key})
        return [
            (entry.id, partner_id, entry.at, "Asked", NAME, None, asked, detail),
            (
                entry.id, partner_id, entry.at + _ANSWERED_AFTER, "Answered", NAME, entry.reference,
                DECLINED if declined else "Succeeded", "{}",
            ),
        ]  # fmt: skip

    columns = ("transaction_id", "partner_id", "at", "event", "processor", "reference", "message", "detail")
    copy_rows(session, "transaction_event", columns, (row for entry in entries for row in rows(entry)))


def _write_records(session: Session, entries: list[Entry], currency: str) -> None:
    def row(entry: Entry) -> tuple[Any, ...]:
        card = entry.driver.card
        assert card is not None
        done = "refunded" if entry.type is TransactionType.REFUND else "charged"
        state = "declined" if entry.status is TransactionStatus.OUTSTANDING else done
        return (
            entry.key, entry.at, entry.type, entry.reference, entry.parent.reference if entry.parent else None,
            None if entry.parent else card.token, entry.amount, currency, state,
        )  # fmt: skip

    columns = ("key", "at", "operation", "reference", "parent_reference", "token", "amount", "currency", "state")
    copy_rows(session, "test_processor_record", columns, map(row, entries))
