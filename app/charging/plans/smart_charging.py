"""Limits for stations and EVSEs, and the schedule a station follows. Manual, "Get Composite Schedule".

Limits are charging profiles (OCPP 1.6, 3.13 and 5.16; 2.0.1 K): one period, for a time or until it is cleared, on the
lowest level of the stack, so that whatever else steers the station comes before it and two limits of one kind replace
each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse, EvseType
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession, CompositeSchedule
from app.charging.models.charging_plans import charging_profile_id
from app.core.models import Action, ActionStatus, Admin

#: the manual's "next 60 minutes"
SCHEDULE_S = 3600
LONGEST_LIMIT_S = 7 * 24 * 3600
STACK_LEVEL = 0
UNITS = {"A": "Ampere per phase", "W": "Watt, all phases together"}
PHASE_VOLTS = 230
_MOST_PERIODS = 1000


class Purpose(StrEnum):
    """What a limit is for."""

    STATION = "station"
    DEFAULT = "default"
    SESSION = "session"

    @property
    def label(self) -> str:
        """As written on screen."""
        return _PURPOSES[self]


_PURPOSES = {
    Purpose.STATION: "The whole station, all its EVSEs together",
    Purpose.DEFAULT: "Each session from now on",
    Purpose.SESSION: "Only the session that is running",
}


class InvalidLimit(ValueError):
    """The limit cannot be set; ``field`` is the one to change."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True)
class Limit:
    """So much at most: ``value`` in A per phase or W in all, for ``duration_s`` from now (None: until cleared)."""

    value: Decimal
    unit: str
    purpose: Purpose
    phases: int | None = None
    duration_s: int | None = None


@dataclass(frozen=True)
class Step:
    """One period of a schedule, in absolute time. ``phases`` None: as many as there are."""

    begins_at: datetime
    ends_at: datetime
    limit: Decimal
    phases: int | None


def get_composite_schedule(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse | None,
    unit: str | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask what the station, or an EVSE, will allow in the next 60 minutes. ``unit`` None: as the station likes."""
    return commands.request_command(
        session,
        charge_point=charge_point,
        evse=evse,
        name=CommandName.GET_COMPOSITE_SCHEDULE,
        request={"network_id": evse.network_id if evse else 0, "duration_s": SCHEDULE_S, "unit": unit},
        info=f"The next 60 minutes{f' in {unit}' if unit else ''}",
        reason=reason,
        actor=actor,
        now=now,
    )


def set_limit(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse | None,
    limit: Limit,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask the station to charge with at most so much. Flushes.

    Raises InvalidLimit; NotManaged, ReasonRequired.
    """
    session_id = check_limit(session, charge_point=charge_point, evse=evse, limit=limit)
    profile: dict[str, Any] = {
        "id": session.scalar(charging_profile_id),
        "stack_level": STACK_LEVEL,
        "purpose": limit.purpose.value,
        "kind": "absolute",
        "unit": limit.unit,
        "starts_at": _wire_time(now),
        "periods": [{"start_s": 0, "limit": str(limit.value), "phases": limit.phases}],
    }
    if session_id is not None:
        profile["session_id"] = session_id
        profile["reference"] = session.get_one(ChargingSession, session_id).station_reference
    if limit.duration_s is not None:
        profile["duration_s"] = limit.duration_s
        profile["valid_to"] = _wire_time(now + timedelta(seconds=limit.duration_s))
    return commands.request_command(
        session,
        charge_point=charge_point,
        evse=evse,
        name=CommandName.SET_CHARGING_PROFILE,
        request={"network_id": evse.network_id if evse else 0, "profile": profile},
        info=_words(limit, session_id),
        reason=reason,
        actor=actor,
        now=now,
    )


def clear_limit(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse | None,
    purpose: Purpose | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask the station to forget limits: those of a purpose, or all; of an EVSE, or of the station and all its EVSEs."""
    request: dict[str, Any] = {}
    if evse is not None:
        request["network_id"] = evse.network_id
    if purpose is not None:
        request["purpose"] = purpose.value
    return commands.request_command(
        session,
        charge_point=charge_point,
        evse=evse,
        name=CommandName.CLEAR_CHARGING_PROFILE,
        request=request,
        info=purpose.label if purpose is not None else "All limits",
        reason=reason,
        actor=actor,
        now=now,
    )


def largest(charge_point: ChargePoint, evse: Evse | None, unit: str) -> Decimal | None:
    """The most that makes sense there in a unit, by what is entered of it; None when that is not known.

    In A per phase the entered maximum, else what the power gives over its phases at 230 V (AC only).
    """
    if unit == "W":
        powers = [each.max_power_w for each in ([evse] if evse else charge_point.evses)]
        return None if not powers or None in powers else Decimal(sum(power for power in powers if power))
    entered = (evse.max_current_a if evse else None) or charge_point.max_current_a
    if entered is not None or evse is None:
        return entered
    if evse.type is not EvseType.AC or evse.max_power_w is None:
        return None
    phases = evse.phases or charge_point.phases or 1
    return (Decimal(evse.max_power_w) / (PHASE_VOLTS * phases)).quantize(Decimal(1), ROUND_CEILING)


def check_limit(session: Session, *, charge_point: ChargePoint, evse: Evse | None, limit: Limit) -> int | None:
    """Raise InvalidLimit unless the limit can be set there; the session it is for, if it is for one."""
    _check(charge_point, evse, limit)
    return _running_session(session, evse) if limit.purpose is Purpose.SESSION else None


def _check(charge_point: ChargePoint, evse: Evse | None, limit: Limit) -> None:
    if limit.unit not in UNITS:
        raise InvalidLimit("unit", "A limit is in A or W.")
    value = limit.value
    if not value.is_finite() or value < 0 or value != value.quantize(Decimal("0.1")):
        raise InvalidLimit("limit", "A limit is 0 or more, with at most one decimal.")
    most = largest(charge_point, evse, limit.unit)
    if most is not None and value > most:
        whose = f"EVSE {evse.code}" if evse else charge_point.name
        raise InvalidLimit("limit", f"{whose} has at most {most.normalize():f} {limit.unit}.")
    if limit.phases is not None and limit.phases not in (1, 2, 3):
        raise InvalidLimit("phases", "There are 1 to 3 phases.")
    if limit.duration_s is not None and not 0 < limit.duration_s <= LONGEST_LIMIT_S:
        raise InvalidLimit("duration", "A limit holds for a minute to seven days; left empty, until it is cleared.")
    if limit.purpose is Purpose.STATION and evse is not None:
        raise InvalidLimit("purpose", "A limit of the whole station is set on the charge point's page.")
    if limit.purpose is Purpose.SESSION and evse is None:
        raise InvalidLimit("purpose", "A limit of a session is set on its EVSE's page.")


def _running_session(session: Session, evse: Evse | None) -> int:
    """The session that the station knows by its number; one that has not begun has none (OCPP 1.6, 3.13.1)."""
    found = session.scalars(
        select(ChargingSession.id)
        .where(
            ChargingSession.evse_id == (evse.id if evse else 0),
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING)),
        )
        .order_by(ChargingSession.id.desc())
    ).first()
    if found is None:
        raise InvalidLimit("purpose", "No session is running here.")
    return found


def _words(limit: Limit, session_id: int | None) -> str:
    words = f"At most {limit.value.normalize():f} {limit.unit}"
    if limit.phases:
        words += f" on {limit.phases} phase{'s' if limit.phases > 1 else ''}"
    words += f", session {session_id}" if session_id else f", {limit.purpose.label[0].lower()}{limit.purpose.label[1:]}"
    return words + (f", for {limit.duration_s // 60} min" if limit.duration_s else ", until cleared")


def _wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the schedule a station answered


@follow_up(CommandName.GET_COMPOSITE_SCHEDULE)
def keep_schedule(session: Session, outcome: Outcome) -> None:
    """Record the schedule of an accepted answer. One without periods means: no limit is in force."""
    if outcome.answer.status is not ActionStatus.ACCEPTED:
        return
    facts, asked = outcome.answer.facts, outcome.request
    network_id = int(asked["network_id"])
    evse_id = session.scalar(
        select(Evse.id).where(Evse.charge_point_id == outcome.charge_point_id, Evse.network_id == network_id)
    )
    starts_at = facts.get("starts_at")
    duration_s = facts.get("duration_s")
    unit = facts.get("unit") or asked.get("unit") or "A"
    min_rate = facts.get("min_rate")
    session.add(
        CompositeSchedule(
            partner_id=outcome.partner_id,
            charge_point_id=outcome.charge_point_id,
            evse_id=evse_id,
            network_id=network_id,
            received_at=outcome.now,
            starts_at=datetime.fromisoformat(starts_at) if starts_at else outcome.now,
            duration_s=duration_s
            if isinstance(duration_s, int) and 0 < duration_s < 10**9
            else int(asked["duration_s"]),
            unit=unit if unit in UNITS else "A",
            periods=_clean_periods(facts.get("periods") or []),
            min_rate=Decimal(str(min_rate)) if isinstance(min_rate, int | float) else None,
            action_id=outcome.action_id,
        )
    )
    session.flush()


def _clean_periods(periods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of time, numbers only, each start once (the last one said), and not without end."""
    found: dict[int, dict[str, Any]] = {}
    for period in periods[:_MOST_PERIODS]:
        limit = period.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < 10**9:
            continue
        phases = period.get("phases")
        start_s = max(0, int(period["start_s"]))
        found[start_s] = {
            "start_s": start_s,
            "limit": str(round(Decimal(str(limit)), 1)),
            "phases": phases if phases in (1, 2, 3) else None,
        }
    return [found[start] for start in sorted(found)]


def latest_schedule(session: Session, *, charge_point_id: int, network_id: int) -> CompositeSchedule | None:
    """The newest schedule of a station (``network_id`` 0) or an EVSE."""
    return session.scalars(
        select(CompositeSchedule)
        .where(CompositeSchedule.charge_point_id == charge_point_id, CompositeSchedule.network_id == network_id)
        .order_by(CompositeSchedule.id.desc())
        .limit(1)
    ).one_or_none()


def steps(schedule: CompositeSchedule) -> list[Step]:
    """The periods of a schedule in absolute time, up to its end; what begins after it is left out."""
    ends_at = schedule.starts_at + timedelta(seconds=schedule.duration_s)
    periods = [each for each in schedule.periods if int(each["start_s"]) < schedule.duration_s]
    if not periods:
        return []
    starts = [schedule.starts_at + timedelta(seconds=int(each["start_s"])) for each in periods]
    return [
        Step(start, end, Decimal(each["limit"]), each.get("phases"))
        for each, start, end in zip(periods, starts, [*starts[1:], ends_at], strict=True)
    ]
