"""What came of an action: a line for each record, as dialogs show it and follow it until it ends."""

from __future__ import annotations

import enum
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

WAITING = ("pending", "sent", "queued")


@dataclass
class Outcome:
    """One line of the outcome: which record, how it ended, and why."""

    label: str
    status: Any = "Finished"
    detail: str = ""
    id: int | None = None
    details_url: str | None = None
    response: Any = None

    @property
    def response_text(self) -> str:
        """The station's answer, indented for reading; empty without one."""
        return "" if self.response is None else json.dumps(self.response, ensure_ascii=False, indent=2)

    @property
    def waiting(self) -> bool:
        """Whether it may still change."""
        text = self.status.value if isinstance(self.status, enum.Enum) else self.status
        return str(text).lower() in WAITING


@dataclass
class Run:
    """What came of an action on all its records."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def waiting(self) -> bool:
        """Whether any may still change."""
        return any(outcome.waiting for outcome in self.outcomes)

    def counts(self) -> list[tuple[Any, int]]:
        """How many ended how."""
        return Counter(outcome.status for outcome in self.outcomes).most_common()


def outcome_of(row: Any, label: str = "") -> Outcome:
    """The line of an action's row."""
    detail = getattr(row, "error", None) or getattr(row, "info", None) or ""
    label = getattr(row, "target_label", None) or label
    return Outcome(label, row.status, str(detail), row.id, response=getattr(row, "response", None))


def outcomes_of(result: Any, label: str) -> list[Outcome]:
    """Whatever a handler returned, as lines."""
    if result is None:
        return [Outcome(label)]
    if isinstance(result, Outcome):
        return [result]
    if isinstance(result, str):
        return [Outcome(label, "Finished", result)]
    if isinstance(result, list | tuple):
        return [line for part in result for line in outcomes_of(part, label)]
    return [outcome_of(result, label)]
