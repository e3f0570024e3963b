"""What applying a file needs everywhere: the database, the mistakes, the counts, and one way to change a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.core.audit import record_change
from app.core.db import Base
from app.core.models import Admin
from app.provisioning.mistakes import Mistakes

T = TypeVar("T", bound=Base)


#: what is counted, in the order it is told
KINDS = (
    "settings",
    "VAT rates",
    "user groups",
    "tariffs",
    "tariff groups",
    "locations",
    "charging zones",
    "charge points",
    "EVSEs",
    "users",
    "RFID tags",
    "balances",
)


class Outcome(StrEnum):
    """What became of one thing."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass
class Work:
    """One application of one file."""

    session: Session
    mistakes: Mistakes
    secret_key: str
    actor: Admin | None
    now: datetime
    counts: dict[str, Counter[Outcome]] = field(default_factory=dict)
    _made: list[tuple[Any, Mapping[str, Any]]] = field(default_factory=list)

    def count(self, kind: str, outcome: Outcome) -> None:
        """Note what became of one of this kind."""
        self.counts.setdefault(kind, Counter())[outcome] += 1

    def only(self, path: str, what: str, stored: Sequence[T]) -> T | None:
        """The one row a natural key names, if any; a mistake when there are several, and none is chosen."""
        if len(stored) > 1:
            self.mistakes.add(path, f"there are several {what}; rename one on screen first")
            return None
        return stored[0] if stored else None

    def require(self, path: str, what: str, values: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Whether a new thing has what it cannot be without; notes what it lacks."""
        missing = [name for name in names if values.get(name) is None]
        for name in missing:
            self.mistakes.add(f"{path}.{name}", f"is required for a new {what}")
        return not missing

    def create(self, row: Any, values: Mapping[str, Any]) -> None:
        """Store a new row at the next ``flush``, and audit it there."""
        self.session.add(row)
        self._made.append((row, values))

    def flush(self) -> None:
        """Store what was created and changed: rows of one kind in one go, which is what makes it fast."""
        self.session.flush()
        made, self._made = self._made, []
        for row, values in made:
            self.audit("create", row, {}, values)

    def change(self, row: Any, values: Mapping[str, Any]) -> Outcome:
        """Set what differs and audit it."""
        before = {name: getattr(row, name) for name in values}
        differing = {name: value for name, value in values.items() if before[name] != value}
        for name, value in differing.items():
            setattr(row, name, value)
        if not differing:
            return Outcome.UNCHANGED
        self.audit("change", row, before, values)
        return Outcome.UPDATED

    def audit(self, event: str, row: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Write an audit entry for a row; of a new one only what it has."""
        if event == "create":
            after = {name: value for name, value in after.items() if value not in (None, [], {}, False)}
        record_change(
            self.session,
            actor=self.actor,
            event=event,
            object_type=row.__tablename__,
            object_id=row.id,
            label=str(row),
            before=before,
            after=after,
        )
