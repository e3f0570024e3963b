"""What an import would do, as it is shown before it is done; and that it does just that, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.core.import_file import Mistake


class InvalidImport(ValueError):
    """The file has mistakes; nothing was changed. ``plan`` has them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        super().__init__(f"The file has {len(plan.mistakes)} mistakes.")


class ImportChanged(ValueError):
    """What the file would do is no longer what was previewed: somebody changed something meanwhile."""


class Outcome(StrEnum):
    """What becomes of a record."""

    CREATED = "created"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """A value before and after, as a person reads it."""

    label: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Planned:
    """A record that is created or changed, and by which lines of the file."""

    identifier: str
    name: str
    lines: tuple[int, ...]
    outcome: Outcome
    differences: tuple[Difference, ...]
    #: what is imported all the same, but somebody should know
    warnings: tuple[str, ...] = ()


@dataclass
class Plan:
    """What an import does. ``planned`` leaves out what stays as it is; ``unchanged`` counts those."""

    lines: int
    ignored: list[str]
    mistakes: list[Mistake] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    unchanged: int = 0

    @property
    def digest(self) -> str:
        """Of everything it does: equal only if nothing that matters has changed."""
        told = [
            [each.identifier, each.outcome.value, [[d.label, d.before, d.after] for d in each.differences]]
            for each in self.planned
        ]
        text = json.dumps([told, self.unchanged], ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def count(self, outcome: Outcome) -> int:
        """How many are created, or changed."""
        return sum(1 for each in self.planned if each.outcome == outcome)
