"""Languages of multilingual fields and how a text is picked from them."""

from __future__ import annotations

from collections.abc import Mapping

#: code → name, in the order of the manual's tabs. English is the fallback.
LANGUAGES: dict[str, str] = {
    "en": "English",
    "bg": "Bulgarian",
    "el": "Greek",
    "mk": "Macedonian",
    "zh-Hant": "Traditional Chinese",
    "pt": "Portuguese",
}
DEFAULT_LANGUAGE = "en"


def localized(value: Mapping[str, str] | None, language: str = DEFAULT_LANGUAGE) -> str:
    """The text in a language; else in English; else in any; else empty."""
    if not value:
        return ""
    return value.get(language) or value.get(DEFAULT_LANGUAGE) or next(iter(value.values()), "")
