"""Which words a mail has: the operator's own for its language (CONFIGURATION > Mail Templates), else the product's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import mail_parts, settings
from app.core.audit import record_change
from app.core.i18n import DEFAULT_LANGUAGE, LANGUAGES
from app.core.mail import MAX_SUBJECT, one_line
from app.core.mail_kinds import KINDS, MailKind
from app.core.mail_parts import Value, WordsInvalid
from app.core.mail_texts import FOLDER, layout
from app.core.messages import MailTemplate
from app.core.models import Admin

WORDS_FOLDER = FOLDER / "words"
MAX_BODY = 10_000
_SUBJECT = "Subject:"


@dataclass(frozen=True, slots=True)
class Words:
    """A mail's words in a language, with their placeholders."""

    language: str
    subject: str
    body: str
    #: whether the operator has written them
    own: bool = False


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail ready for the outbox."""

    language: str
    subject: str
    body: str
    html: str


@cache
def product_words(name: str, language: str) -> Words | None:
    """The product's own words of a mail in that language, if it has any."""
    if not (language.replace("-", "").isalnum() and name in KINDS):
        return None
    path = WORDS_FOLDER / f"{name}.{language}.txt"
    if not path.is_file():
        return None
    subject, _, body = path.read_text(encoding="utf-8").partition("\n")
    if not subject.startswith(_SUBJECT):
        raise ValueError(f"{path} does not begin with “{_SUBJECT}”")
    return Words(language, subject.removeprefix(_SUBJECT).strip(), body.strip())


def default_language(session: Session) -> str:
    """The language of whoever has none of their own (Settings > App settings > Default language)."""
    return settings.get_text(session, "app.default_language")


def spoken(locale: str) -> str:
    """The language of texts for a locale: ``pt-BR`` → ``pt``, ``zh-TW`` → ``zh-Hant``; as it is for others."""
    if locale in LANGUAGES:
        return locale
    first = locale.replace("_", "-").partition("-")[0].lower()
    return {"zh": "zh-Hant"}.get(first, first)


def words_of(session: Session, name: str, *, language: str | None = None) -> Words:
    """The words in force for a language, else in the default language, else in English.

    In each of them the operator's own come before the product's. Raises KeyError for a mail that does not exist.
    """
    kind = KINDS[name]
    own = {row.language: row for row in session.scalars(select(MailTemplate).where(MailTemplate.name == kind.name))}
    for wanted in _preferred(session, language):
        if wanted in own:
            return Words(wanted, own[wanted].subject, own[wanted].body, own=True)
        found = product_words(name, wanted)
        if found is not None:
            return found
    raise KeyError(f"{name} has no words in English")


def _preferred(session: Session, language: str | None) -> Iterator[str]:
    if language:
        yield spoken(language)
    yield default_language(session)
    yield DEFAULT_LANGUAGE


def compose(session: Session, name: str, *, language: str | None = None, values: Mapping[str, Value]) -> Composed:
    """A mail in a language (None: the default one), with these values for its placeholders.

    Raises KeyError for a mail or a placeholder's value that is missing.
    """
    kind = KINDS[name]
    company = settings.get_text(session, "system.company_name")
    return filled(kind, words_of(session, name, language=language), {"company": company, **values})


def filled(kind: MailKind, words: Words, values: Mapping[str, Value]) -> Composed:
    """Words with values in the places of their placeholders. Raises KeyError for one that has no value."""
    missing = set(kind.known) - set(values)
    if missing:
        raise KeyError(f"the mail {kind.name} needs {', '.join(sorted(missing))}")
    subject = one_line(mail_parts.fill(words.subject, values))[:MAX_SUBJECT]
    content, closing = mail_parts.as_html(words.body, values)
    html = layout(language=words.language, subject=subject, content=content, closing=closing)
    return Composed(words.language, subject, mail_parts.as_text(words.body, values), html)


# --- the operator's own words


def check(kind: MailKind, *, subject: str, body: str) -> tuple[str, str]:
    """Words as they can be stored. Raises WordsInvalid with what to change."""
    subject, body = one_line(subject), "\n".join(line.rstrip() for line in body.replace("\0", "").splitlines()).strip()
    if not subject:
        raise WordsInvalid("Subject: enter one.")
    if len(subject) > MAX_SUBJECT:
        raise WordsInvalid(f"Subject: at most {MAX_SUBJECT} characters.")
    if not body:
        raise WordsInvalid("Text: enter one, or reset it to the product's own.")
    if len(body) > MAX_BODY:
        raise WordsInvalid(f"Text: at most {MAX_BODY:,} characters.")
    form = {"known": kind.known, "links": kind.links}
    mail_parts.check(subject, blocks=frozenset(), where="Subject", **form)  # type: ignore[arg-type]
    several = kind.blocks & set(mail_parts.PLACEHOLDER.findall(subject))
    if several:
        raise WordsInvalid(f"Subject: {{{{ {min(several)} }}}} has several lines.")
    mail_parts.check(body, blocks=kind.blocks, where="Text", **form)  # type: ignore[arg-type]
    return subject, body


class WordsChanged(Exception):
    """Somebody else has saved these words meanwhile."""


def version_of(session: Session, *, name: str, language: str) -> int:
    """The version of the operator's own words; 0 when there are none."""
    query = select(MailTemplate.version).where(MailTemplate.name == name, MailTemplate.language == language)
    return session.scalar(query) or 0


def change_words(
    session: Session,
    *,
    name: str,
    language: str,
    subject: str,
    body: str,
    actor: Admin | None,
    expected: int | None = None,
) -> MailTemplate | None:
    """Store the operator's own words; the product's own words entered again are no change to them. Flushes.

    ``expected``: the version that was changed (``version_of``). Returns None when the words are the product's.
    Raises WordsInvalid, WordsChanged, and KeyError for a mail or language that does not exist.
    """
    kind, label = KINDS[name], f"{KINDS[name].title} ({LANGUAGES[language]})"
    subject, body = check(kind, subject=subject, body=body)
    row = _row(session, name, language)
    if expected is not None and expected != (row.version if row else 0):
        raise WordsChanged("Somebody else has saved this template meanwhile.")
    product = product_words(name, language)
    if product is not None and (product.subject, product.body) == (subject, body):
        reset_words(session, name=name, language=language, actor=actor)
        return None
    before = {"subject": row.subject, "text": row.body} if row else {}
    if row is None:
        row = MailTemplate(name=name, language=language, subject=subject, body=body)
        session.add(row)
    row.subject, row.body = subject, body
    session.flush()
    record_change(
        session, actor=actor, event="change" if before else "create", object_type=MailTemplate.__tablename__,
        object_id=f"{name}.{language}", label=label, before=before, after={"subject": subject, "text": body},
    )  # fmt: skip
    return row


def reset_words(session: Session, *, name: str, language: str, actor: Admin | None) -> bool:
    """Go back to the product's words; False when they are in force already. Flushes."""
    row = _row(session, name, language)
    if row is None:
        return False
    record_change(
        session, actor=actor, event="delete", object_type=MailTemplate.__tablename__, object_id=f"{name}.{language}",
        label=f"{KINDS[name].title} ({LANGUAGES[language]})", before={"subject": row.subject, "text": row.body},
        after={},
    )  # fmt: skip
    session.delete(row)
    session.flush()
    return True


def _row(session: Session, name: str, language: str) -> MailTemplate | None:
    return session.scalars(
        select(MailTemplate).where(MailTemplate.name == name, MailTemplate.language == language).with_for_update()
    ).one_or_none()


__all__ = [
    "Composed",
    "Value",
    "Words",
    "WordsChanged",
    "WordsInvalid",
    "change_words",
    "check",
    "compose",
    "default_language",
    "filled",
    "product_words",
    "reset_words",
    "spoken",
    "version_of",
    "words_of",
]
