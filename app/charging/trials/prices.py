"""What a draft would charge for sessions that are over: by the one pricing there is, without a query for each.

All types but time of day need no more of a session than its start, stop and energy. Time of day needs, where day and
night change during the session, the register there; the two readings around that moment say it, and all others could
be left out without changing a cent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.charging.bill import series
from app.charging.models import ChargingSession
from app.charging.trials.taking import TakenRow
from app.tariffs.pricing import TariffSnapshot, TimeOfDayTariff, price_session
from app.tariffs.pricing.periods import stretches

Measured = tuple[datetime, Decimal]
#: no reading of a session has arrived longer before the session was made
_EARLIER = timedelta(hours=1)

#: around each boundary the last reading until then, with the highest register so far, and the first one after it
_AROUND = text(
    """
    SELECT asked.session_id, before.measured_at, before.register_wh, after.measured_at, after.register_wh
      FROM unnest(cast(:ids AS bigint[]), cast(:starts AS timestamptz[]), cast(:stops AS timestamptz[]),
                  cast(:cuts AS timestamptz[])) AS asked (session_id, started_at, stopped_at, cut)
      LEFT JOIN LATERAL (
           SELECT max(measured_at) AS measured_at, max(register_wh) AS register_wh FROM meter_reading
            WHERE session_id = asked.session_id AND register_wh IS NOT NULL AND received_at >= :since
              AND measured_at > asked.started_at AND measured_at < asked.stopped_at AND measured_at <= asked.cut
           ) before ON true
      LEFT JOIN LATERAL (
           SELECT measured_at, register_wh FROM meter_reading
            WHERE session_id = asked.session_id AND register_wh IS NOT NULL AND received_at >= :since
              AND measured_at > asked.cut AND measured_at < asked.stopped_at
            ORDER BY measured_at, register_wh LIMIT 1
           ) after ON true
    """
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One session: what was billed, and what the draft would charge; a note says why it would not."""

    session_id: int
    billed_gross: Decimal
    draft_gross: Decimal | None
    note: str | None = None


def price_rows(session: Session, snapshot: TariffSnapshot, rows: Sequence[TakenRow]) -> Iterator[Outcome]:
    """What the draft would charge for each of the sessions."""
    zones = {row.timezone for row in rows if row.timezone}
    drafts = {zone: replace(snapshot, timezone=zone) for zone in zones}
    around = _readings_around(session, drafts, rows) if isinstance(snapshot, TimeOfDayTariff) else {}
    for row in rows:
        draft = drafts.get(row.timezone, snapshot)
        yield _price(draft, row, around.get(row.id, ()))


def _price(draft: TariffSnapshot, row: TakenRow, measured: Iterable[Measured]) -> Outcome:
    if row.currency != draft.currency.code:
        return Outcome(row.id, row.total_gross, None, f"It was billed in {row.currency}")
    if row.started_at is None:
        return Outcome(row.id, row.total_gross, None, "It has no start")
    try:
        priced = price_session(
            draft,
            started_at=row.started_at,
            stopped_at=row.stopped_at,
            readings=series(cast(ChargingSession, row), measured),  # a row with the columns that it reads
            charging_ended_at=row.charging_ended_at,
        )
    except ValueError as error:  # whatever the pricing refuses: the trial goes on, and says why for this session
        return Outcome(row.id, row.total_gross, None, str(error)[:255])
    return Outcome(row.id, row.total_gross, priced.total.gross.amount)


def _readings_around(
    session: Session, drafts: Mapping[str, TariffSnapshot], rows: Sequence[TakenRow]
) -> dict[int, list[Measured]]:
    """Session → the readings next to each change of day and night, in order; sessions without a change have none."""
    asked = [
        (row.id, row.started_at, row.stopped_at, cut)
        for row in rows
        if row.started_at is not None and row.energy_wh
        for cut in _cuts(drafts.get(row.timezone), row.started_at, row.stopped_at)
    ]
    if not asked:
        return {}
    ids, starts, stops, cuts = (list(column) for column in zip(*asked, strict=True))
    since = min(row.created_at for row in rows) - _EARLIER
    found: dict[int, set[Measured]] = {}
    given = {"ids": ids, "starts": starts, "stops": stops, "cuts": cuts, "since": since}
    for session_id, before_at, before_wh, after_at, after_wh in session.execute(_AROUND, given):
        pairs = ((before_at, before_wh), (after_at, after_wh))
        found.setdefault(session_id, set()).update((at, wh) for at, wh in pairs if at is not None)
    return {session_id: sorted(measured) for session_id, measured in found.items()}


def _cuts(draft: TariffSnapshot | None, start: datetime, stop: datetime) -> list[datetime]:
    if not isinstance(draft, TimeOfDayTariff):
        return []
    parts = stretches(
        start, stop, day_starts=draft.day_starts, night_starts=draft.night_starts, timezone=draft.timezone
    )
    return [part.end for part in parts[:-1]]
