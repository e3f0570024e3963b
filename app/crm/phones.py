"""Phone numbers as people write them. As text messages need them: ``app.core.sms.e164``."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"[+0-9][0-9 ()/.\-]{2,38}")


class InvalidPhone(ValueError):
    """The text is no phone number."""


def checked_phone(text: str) -> str:
    """A number as it is stored: without blanks around it. Raises InvalidPhone."""
    clean = text.strip()
    if not _WRITTEN.fullmatch(clean):
        raise InvalidPhone("Write it like +359 87 8870133.")
    return clean
