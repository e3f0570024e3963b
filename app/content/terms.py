"""Terms & policies: a draft is written, and published as a version that nobody can change. Manual, "Terms & Policies".

On a day that version is in force which was valid from latest, of those valid by then; of two of the same day the later
one. A day is the system's (Settings > Timezone).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.content.models import TermsDocument, TermsVersion
from app.core import settings
from app.core.actions import ReasonRequired
from app.core.audit import record_change
from app.core.clock import zone
from app.core.i18n import LANGUAGES
from app.core.models import Admin

#: after the manual's own; others may be added by name
USUAL_NAMES = ("Terms of Service", "Privacy Policy")


class NotPublishable(ValueError):
    """The draft cannot be published as it is; the message says why."""


class DocumentPublished(ValueError):
    """A document of which there is a version is kept."""


def kind_of(name: str) -> str:
    """A name as it stands in the public address: "Terms of Service" → "terms-of-service"; empty without any letter."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))[:60].strip("-")


def today(session: Session, now: datetime) -> date:
    """The system's day."""
    return now.astimezone(zone(settings.get_text(session, "system.timezone"))).date()


def publish(
    session: Session, *, document: TermsDocument, valid_from: date, reason: str, actor: Admin | None, now: datetime
) -> TermsVersion:
    """Make the draft the next version, in force from the beginning of that day. Flushes.

    Raises NotPublishable (no text in the default language, nothing new, a day that is over) and ReasonRequired.
    """
    if not reason.strip():
        raise ReasonRequired("a reason is required; it is kept with the version")
    session.refresh(document, with_for_update=True)
    default = settings.get_text(session, "app.default_language")
    if not document.draft.get(default):
        raise NotPublishable(f"Enter the text in {LANGUAGES[default]} first: it is read where a language is missing.")
    if valid_from < today(session, now):
        raise NotPublishable("A version cannot be in force from a day that is over.")
    last = newest(session, document_id=document.id)
    if last is not None and (last.texts, last.name) == (document.draft, document.name):
        raise NotPublishable(f"Nothing has changed since version {last.number}.")
    version = TermsVersion(
        document_id=document.id,
        number=last.number + 1 if last else 1,
        name=dict(document.name),
        texts=dict(document.draft),
        valid_from=valid_from,
        reason=reason.strip(),
        published_at=now,
        published_by=actor.name if actor else "System",
    )
    session.add(version)
    session.flush()
    session.expire(document, ["versions"])
    record_change(
        session, actor=actor, event="change", object_type=TermsDocument.__tablename__, object_id=document.id,
        label=str(document), before={"published": last.number if last else None},
        after={"published": version.number, "valid_from": valid_from, "reason": version.reason},
    )  # fmt: skip
    return version


def newest(session: Session, *, document_id: int) -> TermsVersion | None:
    """The version of the highest number, also when it is not in force yet."""
    return session.scalars(
        select(TermsVersion)
        .where(TermsVersion.document_id == document_id)
        .order_by(TermsVersion.number.desc())
        .limit(1)
    ).one_or_none()


def in_force(session: Session, *, document_id: int, on: date) -> TermsVersion | None:
    """The version in force on a day; None when none was yet."""
    return session.scalars(
        select(TermsVersion)
        .where(TermsVersion.document_id == document_id, TermsVersion.valid_from <= on)
        .order_by(TermsVersion.valid_from.desc(), TermsVersion.number.desc())
        .limit(1)
    ).one_or_none()


def version_before(session: Session, *, version: TermsVersion) -> TermsVersion | None:
    """The one published before it."""
    return session.scalars(
        select(TermsVersion).where(
            TermsVersion.document_id == version.document_id, TermsVersion.number == version.number - 1
        )
    ).one_or_none()


def public_version(session: Session, *, kind: str, on: date) -> TermsVersion | None:
    """What drivers read of a document on a day; None for one that does not exist or is not in force yet."""
    document = session.scalars(select(TermsDocument).where(TermsDocument.kind == kind)).one_or_none()
    return None if document is None else in_force(session, document_id=document.id, on=on)


def public_versions(session: Session, *, on: date) -> list[tuple[str, TermsVersion]]:
    """Kind and version in force of every document that drivers can read, by the document's age."""
    ranked = (
        select(
            TermsVersion.id,
            func.row_number()
            .over(
                partition_by=TermsVersion.document_id,
                order_by=(TermsVersion.valid_from.desc(), TermsVersion.number.desc()),
            )
            .label("place"),
        )
        .where(TermsVersion.valid_from <= on)
        .subquery()
    )
    rows = session.execute(
        select(TermsDocument.kind, TermsVersion)
        .join(TermsVersion, TermsVersion.document_id == TermsDocument.id)
        .join(ranked, ranked.c.id == TermsVersion.id)
        .where(ranked.c.place == 1)
        .order_by(TermsDocument.id)
    )
    return [(kind, version) for kind, version in rows]


def require_unpublished(session: Session, *, document: TermsDocument) -> None:
    """Raises DocumentPublished for a document that drivers may have agreed to."""
    if newest(session, document_id=document.id) is not None:
        raise DocumentPublished(f"“{document}” has been published: its versions are kept.")
