"""Phone numbers as people write them, and as a text message needs them."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"[+0-9][0-9 ()/.\-]{2,38}")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")


class InvalidPhone(ValueError):
    """The text is no phone number, or not one that a message can be sent to."""


def checked_phone(text: str) -> str:
    """A number as it is stored: without blanks around it. Raises InvalidPhone."""
    clean = text.strip()
    if not _WRITTEN.fullmatch(clean):
        raise InvalidPhone("Write it like +359 87 8870133.")
    return clean


def international(number: str) -> str:
    """A number as E.164 has it, like +359878870133. Raises InvalidPhone for one without its country's code."""
    plain = re.sub(r"[ ()/.\-]", "", number.replace("(0)", ""))
    plain = f"+{plain[2:]}" if plain.startswith("00") else plain
    if not _INTERNATIONAL.fullmatch(plain):
        raise InvalidPhone(f"{number} has no country code. Write it like +359 87 8870133.")
    return plain
