"""How drivers reach the operator: support e-mail, phone, hours, address. Manual, "Contacts"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.content.models import ContactDetails
from app.core.audit import record_change
from app.core.models import Admin

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.\-]{2,38}")


class InvalidContact(ValueError):
    """A contact that nobody could use; ``field`` is the one to correct."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def contacts(session: Session) -> ContactDetails:
    """The contacts; empty ones, not stored, while nobody entered any."""
    found = session.get(ContactDetails, 1)
    return found or ContactDetails(id=1, email="", phone="", hours={}, address={}, version=0)


def change_contacts(
    session: Session,
    *,
    email: str,
    phone: str,
    hours: Mapping[str, str],
    address: Mapping[str, str],
    actor: Admin | None,
) -> ContactDetails:
    """Store the contacts; flushes. Empty ones are not shown to drivers. Raises InvalidContact."""
    email, phone = email.strip(), phone.strip()
    if email and not (_EMAIL.fullmatch(email) and len(email) <= 255):
        raise InvalidContact("email", "This is not an e-mail address.")
    if phone and not _PHONE.fullmatch(phone):
        raise InvalidContact("phone", "A phone number such as +359 2 123 4567 is expected.")
    session.execute(insert(ContactDetails).values(id=1).on_conflict_do_nothing())
    row = session.get_one(ContactDetails, 1, with_for_update=True, populate_existing=True)
    before = {"email": row.email, "phone": row.phone, "hours": row.hours, "address": row.address}
    row.email, row.phone, row.hours, row.address = email, phone, dict(hours), dict(address)
    session.flush()
    record_change(
        session, actor=actor, event="change", object_type=ContactDetails.__tablename__, object_id=1, label="Contacts",
        before=before,
        after={"email": row.email, "phone": row.phone, "hours": row.hours, "address": row.address},
    )  # fmt: skip
    return row
