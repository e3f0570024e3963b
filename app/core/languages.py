"""The languages texts are entered in: Settings > App Settings. Manual, "App Settings"."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.core import settings
from app.core.i18n import LANGUAGES


def default(session: Session) -> str:
    """The language of whoever has chosen none."""
    return settings.get_text(session, "app.default_language")


def enabled(session: Session) -> dict[str, str]:
    """Code and name of the languages in use; the default language is always one of them, and the first."""
    first = default(session)
    wanted = {first, *settings.get(session, "app.languages")}
    return {code: LANGUAGES[code] for code in (first, *LANGUAGES) if code in wanted}


def shown(session: Session, texts: Mapping[str, str] | None) -> dict[str, str]:
    """The languages a form offers for a text: those in use, and any in which there is a text already."""
    found = enabled(session)
    return {**found, **{code: LANGUAGES[code] for code in LANGUAGES if (texts or {}).get(code)}}
