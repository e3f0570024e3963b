"""Read models of drivers, their groups and their tags."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.crm.models import RfidTag, user_group_member


def member_counts(session: Session, *, group_ids: Sequence[int]) -> dict[int, int]:
    """How many users each of these groups has; groups without users are left out."""
    column = user_group_member.c.user_group_id
    rows = session.execute(select(column, func.count()).where(column.in_(group_ids)).group_by(column))
    return {row[0]: row[1] for row in rows}


def find_tag(session: Session, *, tag_id: str) -> RfidTag | None:
    """The tag with this Tag ID, regardless of case (OCPP's CiString)."""
    wanted = tag_id.strip().upper()
    return session.scalars(select(RfidTag).where(func.upper(RfidTag.tag_id) == wanted)).one_or_none()
