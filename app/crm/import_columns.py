"""The columns of an import of users and their cards: what each is called, may hold, and means. Pure.

One line is one card; the user's own columns stand in the user's first line and may be repeated in the others.
"""

from __future__ import annotations

import re
from datetime import date

from babel import Locale

from app.core.clock import utcnow
from app.core.i18n import LANGUAGES
from app.core.import_columns import Choice, Column, code, day, text
from app.core.setting_definitions import PROFILE_FIELDS
from app.core.sign_in import InvalidEmail, checked_email
from app.crm.models import RfidTagStatus, UserStatus
from app.crm.phones import checked_phone
from app.crm.verbs import MAX_TAG_ID

EMAIL, TAG_ID = "email", "tag_id"
_LABELS = {name: label for name, label, _, _ in PROFILE_FIELDS}


def email(cell: str) -> str:
    """An e-mail address. Raises ValueError."""
    try:
        return checked_email(cell)
    except InvalidEmail:
        raise ValueError(f"“{cell[:60]}” is not an e-mail address.") from None


def phone(cell: str) -> str:
    """A phone number. Raises ValueError, also for one that a spreadsheet has made a number of."""
    return checked_phone(code(40)(cell))


def birthday(cell: str) -> date:
    """A date of the past. Raises ValueError."""
    found = day(cell, earliest=1900)
    if found > utcnow().date():
        raise ValueError("A date of birth lies in the past.")
    return found


def group_names(cell: str) -> list[str]:
    """Names between commas, each once."""
    found = [name.strip() for name in re.split(r"[,;]", cell)]
    return list(dict.fromkeys(name for name in found if name))


class Country:
    """Reads a country by its two letters or its English name."""

    options = "two letters like BG, or the country's English name"

    def __init__(self) -> None:
        territories = Locale("en").territories
        self._codes = {key: str(name) for key, name in territories.items() if re.fullmatch(r"[A-Z]{2}", key)}
        self._by_name = {name.casefold(): key for key, name in self._codes.items()}

    def __call__(self, cell: str) -> str:
        """The two letters. Raises ValueError."""
        found = cell.upper() if cell.upper() in self._codes else self._by_name.get(cell.casefold())
        if found is None or found in ("EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"):
            raise ValueError(f"“{cell[:60]}” is no country. Write {self.options}.")
        return found


class Language:
    """Reads one of our languages by its code or name."""

    options = ", ".join(f"{key} ({name})" for key, name in LANGUAGES.items())

    def __call__(self, cell: str) -> str:
        """The code. Raises ValueError."""
        for key, name in LANGUAGES.items():
            if cell.casefold() in (key.casefold(), name.casefold()):
                return key
        raise ValueError(f"“{cell[:60]}” is none of: {self.options}.")


def tag_id(cell: str) -> str:
    """A Tag ID as a station sends it. Raises ValueError, also for one whose digits a spreadsheet has lost."""
    found = code(MAX_TAG_ID)(cell)
    if not re.fullmatch(r"[!-~]+", found):
        raise ValueError(f"A Tag ID has 1 to {MAX_TAG_ID} letters, digits or signs, without spaces.")
    return found


_PROFILE = (
    ("first_name", text(120), "", "Alex"),
    ("last_name", text(120), "", "Petkov"),
    ("phone", phone, "With the country's code. Format the column as Text.", "+359 87 8870133"),
    ("date_of_birth", birthday, "Like 1984-05-31.", ""),
    ("company", text(255), "", ""),
    ("vat_no", text(40), "", ""),
    ("address", text(255), "", ""),
    ("post_code", code(20), "", ""),
    ("city", text(120), "", "Sofia"),
    ("country", Country(), "", "BG"),
    ("car_make", text(60), "", ""),
    ("car_model", text(60), "", ""),
    ("licence_plate", text(20), "", ""),
)

USER: tuple[Column, ...] = (
    Column(EMAIL, "email", "E-mail", email,
           "By which a user is found, in every line. Who exists is changed, who does not is created.",
           "alex.petkov@example.com"),
    Column("status", "status", "Status", Choice(UserStatus), "Left out, a new user is Active."),
    Column("locale", "locale", "Language", Language(), "In which texts are sent to the user.", "bg"),
    Column("groups", "groups", "Groups", group_names,
           "The names of existing User Groups between commas: all of the user's groups.", clearable=True),
    *(Column(name, name, _LABELS[name], parse, told, example, clearable=True)
      for name, parse, told, example in _PROFILE),
)  # fmt: skip

TAG: tuple[Column, ...] = tuple(
    Column(name, attribute, label, parse, told, example, clearable, of_line=True)
    for name, attribute, label, parse, told, example, clearable in (
        (TAG_ID, "tag_id", "Tag ID", tag_id,
         "Needed as soon as a line says anything of a card. Format the column as Text.", "04A2B3C4D5E680", False),
        ("card_no", "card_no", "Card No.", code(60), "Also visible to the user.", "SYNC-0001", True),
        ("tag_status", "status", "Status", Choice(RfidTagStatus), "Left out, a new card is Active.", "", False),
        ("tag_expires_on", "expires_on", "Expiration Date", day, "Like 2027-12-31.", "", True),
    )
)  # fmt: skip

COLUMNS: dict[str, Column] = {column.name: column for column in (*USER, *TAG)}

#: what the list's own export says beside them: read and left alone
READ_ONLY = frozenset(
    {"id", "balance", "currency", "registered_at", "email_verified_at", "phone_verified_at", "payment_methods",
     "rfid_tags"}
)  # fmt: skip
