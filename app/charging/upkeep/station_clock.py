"""How far a station's clock is off, judged by the time stamps of what it says. stations.md, line 16."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

#: beyond this it is told on the screen; within it, time stamps are used as they are (``app.charging.clocks``)
WORTH_TELLING_S = 300
#: older than this, a message may come from an offline queue
_LATE_S = 60.0
_APART_S = 5.0
_AGREE_S = 5.0
#: what the column holds; a clock that was never set is decades behind
_FURTHEST_S = 2_000_000_000


class ClockWatch:
    """The clock of one connected station.

    A message may be late, never early. So a difference to its arrival near zero, or ahead, is the clock's; one that is
    behind may be that of an offline queue, and counts only when a second message, at least five seconds later, agrees
    with it within five seconds: a queue is emptied faster than it was filled.
    """

    __slots__ = ("_behind", "_told_s")

    def __init__(self) -> None:
        self._behind: tuple[float, datetime] | None = None
        self._told_s: int | None = None

    def observe(self, reported: datetime, arrived: datetime) -> int | None:
        """The offset in whole seconds (positive: ahead), when it is news: known now, or another than before."""
        difference_s = (reported - arrived).total_seconds()
        if -0.001 < difference_s <= 0:
            return None  # not the station's own: the arrival time stood in for one that is missing
        if difference_s < -_LATE_S:
            before = self._behind
            if before is not None and (arrived - before[1]).total_seconds() < _APART_S:
                return None
            self._behind = (difference_s, arrived)
            if before is None or abs(difference_s - before[0]) > _AGREE_S:
                return None
        else:
            self._behind = None
        offset_s = max(-_FURTHEST_S, min(_FURTHEST_S, round(difference_s)))
        if self._told_s is not None and abs(offset_s - self._told_s) <= _AGREE_S:
            return None
        self._told_s = offset_s
        return offset_s


def clock_words(offset_s: int | None) -> str:
    """ "3 h ahead", "2 days behind"; empty when it is right within five minutes, or unknown."""
    if offset_s is None or abs(offset_s) <= WORTH_TELLING_S:
        return ""
    seconds = abs(offset_s)
    unit_s, one, many = next(unit for unit in _UNITS if seconds >= unit[0])
    number = round(seconds / unit_s)
    return f"{number} {one if number == 1 else many} {'ahead' if offset_s > 0 else 'behind'}"


_UNITS = ((31_556_952, "year", "years"), (86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min"))

_STORE = text("""
UPDATE charge_point_state s SET clock_offset_s = g.offset_s
FROM unnest(CAST(:ids AS bigint[]), CAST(:offsets AS int[])) AS g(id, offset_s)
WHERE s.charge_point_id = g.id AND (s.clock_offset_s IS NULL OR abs(s.clock_offset_s - g.offset_s) > 5)
""")


def record_offsets(session: Session, offsets_s: Mapping[int, int]) -> None:
    """Store the offsets of stations by their ids, in seconds."""
    ids = sorted(offsets_s)
    session.execute(_STORE, {"ids": ids, "offsets": [offsets_s[key] for key in ids]})
