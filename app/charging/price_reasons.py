"""Why a session costs what it does, beside the lines: which tariff in which version, for whom, and by what readings.

product.md, "Why this price?": the session's page and ``flask --app wsgi price`` say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.charging import bill
from app.charging.models import ChargingSession
from app.tariffs.pricing import Reading


@dataclass(frozen=True)
class Verdict:
    """What was decided about one tariff of the EVSE's tariff group when the session started."""

    name: str
    chosen: bool
    reason: str

    @property
    def words(self) -> str:
        """ "Public: taken. The base tariff applies to everybody" and the like."""
        return f"{self.name}: {'taken' if self.chosen else 'not taken'}. {self.reason}"


def verdicts_of(charging_session: ChargingSession) -> list[Verdict]:
    """The tariffs of the group in their order, as they were judged; none where an operator chose the tariff."""
    return [
        Verdict(stored["name"], stored["chosen"], _reason(stored))
        for stored in charging_session.tariff_explanation or []
    ]


def _reason(stored: dict[str, Any]) -> str:
    passed_over = stored["matched"] and not stored["chosen"]
    return f"{stored['reason']}{'; a tariff lower in the list applies too' if passed_over else ''}"


def driver_of(charging_session: ChargingSession) -> str:
    """For whom the tariff was chosen: the user and what was shown to the station."""
    who = charging_session.user.email if charging_session.user is not None else "nobody who is known"
    return f"{who}, by {charging_session.id_tag}" if charging_session.id_tag else who


def readings_behind(session: Session, charging_session: ChargingSession) -> list[Reading]:
    """What a session is priced by, in order; nothing before it has started."""
    if charging_session.started_at is None:
        return []
    return bill.session_readings(session, charging_session)


def in_words(session: Session, charging_session: ChargingSession) -> Iterator[str]:
    """The reasons as lines of text. Times are UTC."""
    snapshot = charging_session.tariff_snapshot or {}
    yield f"Tariff: {snapshot.get('name')}, version {snapshot.get('version')}, in {snapshot.get('timezone')}"
    yield f"Driver: {driver_of(charging_session)}"
    verdicts = verdicts_of(charging_session)
    yield (
        "Why this tariff:" if verdicts else "Why this tariff: it was chosen when the session was started by an operator"
    )
    yield from (f"  {verdict.words}" for verdict in verdicts)
    readings = readings_behind(session, charging_session)
    yield f"Readings behind it: {len(readings)}"
    yield from (
        f"  {reading.at.isoformat(timespec='seconds')}  {reading.register_wh.normalize():f} Wh" for reading in readings
    )
