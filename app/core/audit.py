"""Who changed what from what to what: typed entries, written in the transaction of the change."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.core.models import Admin, AuditEntry

SYSTEM = "System"

#: never written to the audit, whatever changes
SECRET_FIELDS = frozenset({"password", "password_hash", "version"})


def plain(value: Any) -> Any:
    """A value as JSON can hold it and a person can read it."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return getattr(value, "label", value.value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return str(value)


def record_change(
    session: Session,
    *,
    actor: Admin | None,
    event: str,
    object_type: str,
    object_id: str | int,
    label: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> AuditEntry | None:
    """Append an entry with only what differs; None when nothing does. ``event`` is create, change or delete.

    ``actor`` None means a rule of the system. Secrets are recorded as changed, never with their values.
    """
    old, new = _difference(before, after)
    if event == "change" and not old and not new:
        return None
    entry = AuditEntry(
        admin_id=actor.id if actor else None,
        admin_label=f"{actor.name} <{actor.email}>" if actor else SYSTEM,
        event=event,
        object_type=object_type,
        object_id=str(object_id),
        object_label=label[:255],
        before=old,
        after=new,
    )
    session.add(entry)
    return entry


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for key in dict.fromkeys((*before, *after)):
        was, now = plain(before.get(key)), plain(after.get(key))
        if was == now:
            continue
        if key in SECRET_FIELDS:
            if key not in ("version",):
                new[key] = "changed"
            continue
        if key in before:
            old[key] = was
        if key in after:
            new[key] = now
    return old, new
