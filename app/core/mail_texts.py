"""The words of mails: templates in ``templates/mail``, each as plain text and as simple HTML."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from sqlalchemy.orm import Session

from app.core import settings
from app.core.clock import zone

FOLDER = Path(__file__).resolve().parents[2] / "templates" / "mail"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(session: Session, name: str, /, **context: Any) -> tuple[str, str]:
    """A mail's plain text and its HTML. Times (the filter ``when``) are the system's (Settings > Timezone)."""

    def when(at: datetime) -> str:
        return moment(session, at)

    def texts(suffix: str) -> str:
        template = _environment().get_template(f"{name}.{suffix}")
        company = settings.get_text(session, "system.company_name")
        return template.render(when=when, lasted=lasted, company=company, **context)

    return texts("txt").strip() + "\n", texts("html")


def layout(*, language: str, subject: str, content: Markup, closing: Markup) -> str:
    """A whole HTML mail around words that are HTML already."""
    template = _environment().get_template("_composed.html")
    return template.render(language=language, subject=subject, content=content, closing=closing)


def moment(session: Session, at: datetime) -> str:
    """A time as mails say it: in the system's time zone, with its name."""
    timezone = settings.get_text(session, "system.timezone")
    return f"{at.astimezone(zone(timezone)):%Y-%m-%d %H:%M:%S} {timezone}"


def lasted(span: timedelta) -> str:
    """A length of time in words: '2 h 05 min', '40 s'."""
    seconds = max(0, int(span.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {rest // 60:02} min"
    return f"{rest // 60} min" if rest >= 60 else f"{rest} s"
