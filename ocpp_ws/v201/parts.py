"""Reports that come in parts: each a call with the number of the request, its own, and whether more follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ocpp_ws.served import Served

#: reports of one kind that are under way on a connection
MOST_REPORTS = 4


class Wanted(IntEnum):
    """What a report was asked for. It is the last digit of our request's number, so that it is known when it comes."""

    FULL = 0
    CONFIGURATION = 1
    SUMMARY = 2
    CHOSEN = 3


def wanted_by(request_id: int) -> Wanted | None:
    """What a request of that number asked for; None for a number that is not ours."""
    return Wanted(request_id % 10) if 0 <= request_id % 10 < len(Wanted) else None


@dataclass(slots=True)
class _UnderWay:
    parts: dict[int, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that came of one report, in order; ``whole``: no part is missing, and it ended by itself."""

    entries: list[Any]
    whole: bool


def gather(of: Served, kind: str, payload: dict[str, Any], entries: Sequence[Any], *, most: int) -> Gathered | None:
    """Keep a part; the report when no more is to come, or when it grows beyond ``most`` entries.

    The same part again replaces itself. Of too many reports at a time the oldest is given up.
    """
    reports: dict[int, _UnderWay] = of.notes.setdefault(("parts", kind), {})
    request_id = int(payload.get("requestId") or 0)
    report = reports.setdefault(request_id, _UnderWay())
    report.parts[int(payload.get("seqNo", len(report.parts)))] = entries
    while len(reports) > MOST_REPORTS:
        del reports[next(iter(reports))]
    more = bool(payload.get("tbc"))
    if more and sum(map(len, report.parts.values())) < most:
        return None
    reports.pop(request_id, None)
    numbers = sorted(report.parts)
    found = [entry for number in numbers for entry in report.parts[number]]
    return Gathered(found[:most], not more and numbers == list(range(len(numbers))))
