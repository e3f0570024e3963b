"""Company and driver as they are now, to be kept with a receipt as they were then. Manual, "Company Details"."""

from __future__ import annotations

from typing import Any

from babel import Locale
from sqlalchemy.orm import Session

from app.billing.receipts.words import babel_locale
from app.core import settings
from app.crm.models import User


def company_now(session: Session) -> dict[str, Any]:
    """Our own details, of Company Details; the name falls back to Settings > Company name."""
    return {
        "name": settings.get_text(session, "company.name") or settings.get_text(session, "system.company_name"),
        "address": settings.get_text(session, "company.address").split("\n"),
        **{
            field: settings.get_text(session, f"company.{field}")
            for field in ("registration_no", "vat_no", "email", "phone", "bank")
        },
    }


def driver_now(user: User) -> dict[str, Any]:
    """A driver's name, e-mail and billing address."""
    return {
        "name": f"{user.first_name} {user.last_name}".strip(),
        "email": user.email,
        "company": user.company,
        "vat_no": user.vat_no,
        "address": user.address,
        "post_code": user.post_code,
        "city": user.city,
        "country": user.country,
    }


def driver_lines(driver: dict[str, Any], language: str) -> list[str]:
    """A driver as on a letter: company, name, street, town, country; the e-mail where there is no name."""
    town = f"{driver['post_code']} {driver['city']}".strip()
    who = [line for line in (driver["company"], driver["name"]) if line] or [driver["email"]]
    return [line for line in (*who, driver["address"], town, _country(driver["country"], language)) if line]


def _country(code: str, language: str) -> str:
    locale: Locale = babel_locale(language)
    return str(locale.territories.get(code, code)) if code else ""
