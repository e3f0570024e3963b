"""What is done to partners. Manual, "Create Partner" and "Partner Roles" (Company details: Edit)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.core.audit import record_change
from app.core.models import Admin
from app.core.references import listed, referring
from app.partners.models import Partner

#: what a partner's Owner edits, with the longest text of each
COMPANY = {
    "company_name": 255,
    "address": 400,
    "registration_no": 60,
    "vat_no": 60,
    "contact_email": 255,
    "contact_phone": 40,
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"[+0-9][0-9 ()/.\-]{2,38}")


class InvalidCompany(ValueError):
    """A field of the company cannot be kept like this: ``field`` says which, the message what is wanted."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class PartnerInUse(ValueError):
    """Charge points, what happened at them, or admins name the partner."""


class HousePartner(ValueError):
    """The operator itself is no partner that could be deleted."""


def clean_company(partner: Partner) -> None:
    """Bring the company's fields into the form they are kept in: without spaces around, nothing for nothing.

    Raises InvalidCompany.
    """
    for field, longest in COMPANY.items():
        text = (getattr(partner, field) or "").replace("\r\n", "\n").strip()
        if len(text) > longest:
            raise InvalidCompany(field, f"At most {longest} characters.")
        setattr(partner, field, text or None)
    if partner.contact_email and not _EMAIL.fullmatch(partner.contact_email):
        raise InvalidCompany("contact_email", "This is not an e-mail address.")
    if partner.contact_phone and not _PHONE.fullmatch(partner.contact_phone):
        raise InvalidCompany("contact_phone", "Write it like +359 87 8870133.")


def change_company(session: Session, *, partner: Partner, values: Mapping[str, str | None], actor: Admin) -> bool:
    """Change the fields of a partner's company that ``values`` name, audited; whether any did. Flushes.

    Raises InvalidCompany.
    """
    before = {field: getattr(partner, field) for field in COMPANY}
    for field in COMPANY:
        if field in values:
            setattr(partner, field, values[field])
    clean_company(partner)
    session.flush()
    entry = record_change(
        session,
        actor=actor,
        event="change",
        object_type=Partner.__tablename__,
        object_id=partner.id,
        label=str(partner),
        before=before,
        after={field: getattr(partner, field) for field in COMPANY},
    )
    return entry is not None


def require_deletable(session: Session, *, partner: Partner) -> None:
    """Refuse while something is the partner's, or was: sessions and what was paid for them stay on record.

    Raises HousePartner, PartnerInUse.
    """
    if partner.is_house:
        raise HousePartner(f"“{partner}” is the operator itself and cannot be deleted.")
    words = referring(session, partner)
    if words:
        raise PartnerInUse(
            f"“{partner}” cannot be deleted, because it has {listed(words)}. Give its charge points to another owner "
            "and delete its admins; what happened there stays on record under its name."
        )
