"""The versions of a tariff: when each began, who made it, and what became what. Read from the audit log.

product.md, "Pricing": running and past sessions keep the version they started with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.core.models import AuditEntry
from app.tariffs.models import Tariff
from app.tariffs.snapshots import CHARGED_FIELDS, STOP_FIELDS

_FIELDS = (*CHARGED_FIELDS, "levels", *STOP_FIELDS)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a version that differs from the version before; texts are plain numbers, times and words."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a tariff. ``who`` is empty where nothing was recorded, as for a tariff made with its group."""

    number: int
    since: datetime
    who: str
    changes: tuple[Change, ...] = ()


def versions_of(session: Session, tariff: Tariff, *, limit: int = 100) -> list[Version]:
    """The versions of a tariff, the one in force first; at most ``limit`` of them."""
    entries = session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.object_type == Tariff.__tablename__,
            AuditEntry.object_id == str(tariff.id),
            or_(AuditEntry.event == "create", AuditEntry.after.has_key("revision")),
        )
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    ).all()
    found = [
        Version(int(entry.after["revision"]), entry.at, entry.admin_label, tuple(_changes(entry)))
        for entry in entries
        if entry.event == "change"
    ]
    if len(entries) < limit:
        made = next((entry for entry in entries if entry.event == "create"), None)
        who, since = (made.admin_label, made.at) if made is not None else ("", tariff.created_at)
        found.append(Version(1, since, who))
    return found


def _changes(entry: AuditEntry) -> Iterator[Change]:
    for name in _FIELDS:
        if name in entry.before or name in entry.after:
            yield Change(name, _words(entry.before.get(name)), _words(entry.after.get(name)))


def _words(value: Any) -> str:
    """A value of the audit as a person reads it; empty for none."""
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return ", ".join(_level(each) for each in value)
    text = str(value)
    return text[:5] if text[2:3] == ":" and text.endswith(":00") else text


def _level(value: Any) -> str:
    """A power level, as the form or the provisioning file recorded it."""
    if isinstance(value, Mapping):
        power_w, price = value.get("max_power_w"), value.get("price_per_minute")
    else:
        power_w, price = value
    try:
        return f"up to {(Decimal(str(power_w)) / 1000).normalize():f} kW {Decimal(str(price)).normalize():f}"
    except InvalidOperation:
        return f"up to {power_w} W {price}"
