"""What the pages of CONTENT have in common."""

from __future__ import annotations

from collections.abc import Mapping

from app.core import settings
from app.core.db import db
from app.core.i18n import LANGUAGES

SECTION = "Content"


def missing_languages(texts: Mapping[str, str]) -> list[str]:
    """Names of the languages of Settings > App Settings > Languages that have no text."""
    wanted: list[str] = settings.get(db.session(), "app.languages")
    return [LANGUAGES[code] for code in wanted if not texts.get(code)]


def default_language() -> str:
    """The language read where one is missing."""
    return settings.get_text(db.session(), "app.default_language")
