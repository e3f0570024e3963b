"""Which of a session's numbered events have arrived: gaps are flagged, and no longer when they are filled.

OCPP 2.0.1 part 2, 1.60 (seqNo). A station that gives every event the number 0 has no gaps.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.charging.flags import EVENTS_MISSING, OFFLINE

_NOTE = text("""
UPDATE charging_session s SET event_numbers = n.numbers, flags = ARRAY(
    SELECT DISTINCT f FROM unnest(s.flags || cast(:flags AS varchar[])
      || CASE WHEN n.ranges > 1 THEN ARRAY[cast(:missing AS varchar)] ELSE '{}' END) f
    WHERE f <> :missing OR n.ranges > 1 ORDER BY f)
FROM (
  SELECT w.id, w.numbers, (SELECT count(*) FROM unnest(w.numbers)) AS ranges FROM (
    SELECT id, coalesce(event_numbers, '{}'::int4multirange)
      + int4multirange(int4range(:number, :number, '[]')) AS numbers
    FROM charging_session WHERE id = :id
  ) w
) n WHERE s.id = n.id AND (s.event_numbers IS DISTINCT FROM n.numbers OR NOT s.flags @> cast(:flags AS varchar[]))
""")
LARGEST_NUMBER = 2**31 - 2


def note_event(session: Session, *, session_id: int, number: int | None, offline: bool) -> None:
    """Note that an event with this number has arrived; ``offline``: it happened while the station had no connection."""
    if number is None or not 0 <= number <= LARGEST_NUMBER:
        number = 0
    flags = [OFFLINE] if offline else []
    session.execute(_NOTE, {"id": session_id, "number": number, "flags": flags, "missing": EVENTS_MISSING})
