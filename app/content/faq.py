"""Frequently asked questions in their order. Manual, "FAQ"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from app.content.models import FaqCategory, FaqEntry
from app.core.audit import record_change
from app.core.models import Admin


def ordered(session: Session, *, lock: bool = False) -> list[FaqEntry]:
    """Every entry in the order of the page."""
    query = select(FaqEntry).order_by(FaqEntry.position, FaqEntry.id)
    return list(session.scalars(query.with_for_update() if lock else query))


def next_position(session: Session) -> int:
    """Below all others."""
    return (session.scalar(select(func.max(FaqEntry.position))) or 0) + 1


def next_category_position(session: Session) -> int:
    """Below all others."""
    return (session.scalar(select(func.max(FaqCategory.position))) or 0) + 1


def move(session: Session, *, entry: FaqEntry, up: bool, actor: Admin | None) -> bool:
    """One place up or down; False at the end of the list. Flushes."""
    entries = ordered(session, lock=True)
    at = entries.index(entry)
    to = at - 1 if up else at + 1
    if not 0 <= to < len(entries):
        return False
    entries[at], entries[to] = entries[to], entries[at]
    _number(session, entries, entry, at, to, actor)
    return True


def put(session: Session, *, entry: FaqEntry, at_place_of: FaqEntry, actor: Admin | None) -> bool:
    """To the place that another has now, which makes room; False when it is there already. Flushes."""
    entries = ordered(session, lock=True)
    at, to = entries.index(entry), entries.index(at_place_of)
    if at == to:
        return False
    entries.insert(to, entries.pop(at))
    _number(session, entries, entry, at, to, actor)
    return True


def _number(
    session: Session, entries: Sequence[FaqEntry], moved: FaqEntry, before: int, after: int, actor: Admin | None
) -> None:
    for number, entry in enumerate(entries, start=1):
        if entry.position != number:
            entry.position = number
    session.flush()
    record_change(
        session, actor=actor, event="change", object_type=FaqEntry.__tablename__, object_id=moved.id, label=str(moved),
        before={"place": before + 1}, after={"place": after + 1},
    )  # fmt: skip


@dataclass(frozen=True)
class Chapter:
    """Questions under one heading; those without a category have none."""

    category: FaqCategory | None
    entries: list[FaqEntry] = field(default_factory=list)


def published(session: Session) -> list[Chapter]:
    """What drivers read: questions without a category first, then the categories in their order."""
    entries = session.scalars(
        select(FaqEntry)
        .outerjoin(FaqCategory, FaqCategory.id == FaqEntry.category_id)
        .where(FaqEntry.published)
        .order_by(FaqCategory.position.nulls_first(), FaqCategory.id, FaqEntry.position, FaqEntry.id)
        .options(joinedload(FaqEntry.category))
    )
    chapters: list[Chapter] = []
    for entry in entries:
        if not chapters or chapters[-1].category is not entry.category:
            chapters.append(Chapter(entry.category))
        chapters[-1].entries.append(entry)
    return chapters


def any_published(session: Session) -> bool:
    """Whether drivers can read any question."""
    return bool(session.scalar(select(select(FaqEntry.id).where(FaqEntry.published).exists())))
