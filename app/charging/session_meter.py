"""A session's meter between its row and the normalisation of registers."""

from __future__ import annotations

from app.charging.models import ChargingSession
from app.charging.registers import RegisterState


def register_state(row: ChargingSession) -> RegisterState:
    """A session's meter as the normalisation knows it. Raises ValueError before the session has started."""
    if row.started_at is None:
        raise ValueError(f"session {row.id} has not started")
    return RegisterState(
        started_at=row.started_at,
        start_wh=row.meter_start_wh,
        raw_wh=row.last_raw_wh,
        at=row.last_reading_at or row.started_at,
        offset_wh=row.register_offset_wh,
    )


def apply_register(row: ChargingSession, state: RegisterState) -> None:
    """Keep what the normalisation says of the meter."""
    if row.meter_start_wh is None:
        row.meter_start_wh = state.start_wh
    row.last_raw_wh = state.raw_wh
    row.register_offset_wh = state.offset_wh
    row.energy_wh = state.energy_wh
    row.last_reading_at = state.at
