"""What limits a charge point says it has: the profiles it holds, limits from elsewhere, what cars say they need.

OCPP 2.0.1 part 2, block K: profiles as reported (K09), limits of an energy manager, a fuse or the grid's operator
(K12, K13), a car's needs (K15). Limits that we set are in ``smart_charging``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, or_, select, true, tuple_, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingLimit, ChargingNeeds, ChargingSession, StationProfile
from app.core import events
from app.core.models import Action, Admin

REPORTED = "charge_point.limits_told"

SOURCES = {
    "ems": "Energy manager",
    "system_operator": "Grid operator",
    "operator": "This system",
    "other": "Other",
}
PURPOSES = {
    "external": "Limit from elsewhere",
    "station": "The whole station",
    "default": "Each session",
    "session": "One session",
}
KINDS = {"absolute": "Absolute", "recurring": "Recurring", "relative": "From the start of a session"}

MOST_PROFILES = 500
#: of each kind, the newest of a charge point
MOST_KEPT = 200
_MOST_PERIODS = 1000


@dataclass(frozen=True, slots=True)
class ReportedProfile:
    """A profile as a charge point tells it. ``schedules`` as in ChargingLimit."""

    network_id: int
    profile_id: int
    source: str
    stack_level: int
    purpose: str
    kind: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    session_reference: str | None = None
    schedules: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a car needs; energy in Wh, power in W, current in A, voltage in V. ``raw``: all that it said."""

    network_id: int
    energy_transfer: str
    departs_at: datetime | None = None
    energy_wh: Decimal | None = None
    max_power_w: Decimal | None = None
    max_current_a: Decimal | None = None
    max_voltage_v: Decimal | None = None
    soc_percent: Decimal | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


def get_profiles(
    session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask a charge point for all profiles it has. They come by themselves, after its answer. Flushes.

    Raises NotManaged, ReasonRequired.
    """
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_CHARGING_PROFILES,
        request={},
        info="All charging profiles",
        reason=reason,
        actor=actor,
        now=now,
    )


@follow_up(CommandName.GET_CHARGING_PROFILES)
def _forget_profiles(session: Session, outcome: Outcome) -> None:
    """A charge point that says it has none has none; otherwise its report says which."""
    if outcome.answer.facts.get("result") != "none":
        return
    session.execute(delete(StationProfile).where(StationProfile.charge_point_id == outcome.charge_point_id))
    _tell(session, outcome.charge_point_id, outcome.partner_id)


def keep_profiles(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    profiles: Iterable[ReportedProfile],
    whole: bool,
    request_number: int | None,
    now: datetime,
) -> int:
    """Keep the profiles of a report. ``whole``: the charge point has no others. Flushes. Returns how many there are."""
    found = {(each.network_id, each.profile_id): each for each in profiles}
    former = delete(StationProfile).where(StationProfile.charge_point_id == charge_point_id)
    if not whole:
        former = former.where(tuple_(StationProfile.network_id, StationProfile.profile_id).in_(list(found)))
    session.execute(former)
    kept = list(found.values())[:MOST_PROFILES]
    session.add_all(
        StationProfile(
            charge_point_id=charge_point_id,
            partner_id=partner_id,
            network_id=each.network_id,
            profile_id=each.profile_id,
            source=each.source,
            stack_level=each.stack_level,
            purpose=each.purpose,
            kind=each.kind,
            valid_from=each.valid_from,
            valid_to=each.valid_to,
            session_reference=each.session_reference,
            schedules=_kept(each.schedules),
            request_number=request_number,
            reported_at=now,
        )
        for each in kept
    )
    _tell(session, charge_point_id, partner_id)
    return len(kept)


def keep_limit(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    network_id: int,
    source: str,
    grid_critical: bool | None,
    schedules: Sequence[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Keep a limit that a charge point has from elsewhere; it takes the place of the former of that source. Flushes."""
    _end(session, charge_point_id=charge_point_id, network_id=network_id, source=source, now=now)
    session.add(
        ChargingLimit(
            charge_point_id=charge_point_id,
            partner_id=partner_id,
            network_id=network_id,
            source=source,
            grid_critical=grid_critical,
            schedules=_kept(schedules),
            heard_at=now,
        )
    )
    _forget_old(session, ChargingLimit, charge_point_id)
    _tell(session, charge_point_id, partner_id)


def clear_limit(
    session: Session, *, charge_point_id: int, partner_id: int, network_id: int | None, source: str, now: datetime
) -> None:
    """A limit from elsewhere holds no more; without an EVSE those of the source anywhere at the charge point."""
    _end(session, charge_point_id=charge_point_id, network_id=network_id, source=source, now=now)
    _tell(session, charge_point_id, partner_id)


def _end(session: Session, *, charge_point_id: int, network_id: int | None, source: str, now: datetime) -> None:
    held = update(ChargingLimit).where(
        ChargingLimit.charge_point_id == charge_point_id,
        ChargingLimit.source == source,
        ChargingLimit.cleared_at.is_(None),
    )
    if network_id is not None:
        held = held.where(ChargingLimit.network_id == network_id)
    session.execute(held.values(cleared_at=now))


def keep_needs(session: Session, *, charge_point_id: int, partner_id: int, needs: Needs, now: datetime) -> None:
    """Keep what a car said it needs, with the session that runs there. Flushes."""
    running = session.scalars(
        select(ChargingSession.id)
        .join(Evse, Evse.id == ChargingSession.evse_id)
        .where(
            Evse.charge_point_id == charge_point_id,
            Evse.network_id == needs.network_id,
            ChargingSession.status.in_(RUNNING),
        )
        .order_by(ChargingSession.id.desc())
        .limit(1)
    ).one_or_none()
    session.add(
        ChargingNeeds(
            charge_point_id=charge_point_id,
            partner_id=partner_id,
            network_id=needs.network_id,
            session_id=running,
            heard_at=now,
            energy_transfer=needs.energy_transfer,
            departs_at=needs.departs_at,
            energy_wh=needs.energy_wh,
            max_power_w=needs.max_power_w,
            max_current_a=needs.max_current_a,
            max_voltage_v=needs.max_voltage_v,
            soc_percent=needs.soc_percent,
            needs=dict(needs.raw),
        )
    )
    _forget_old(session, ChargingNeeds, charge_point_id)
    _tell(session, charge_point_id, partner_id)


def _kept(schedules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"all": [{**each, "periods": list(each["periods"])[:_MOST_PERIODS]} for each in schedules[:10]]}


def _forget_old(session: Session, table: type[ChargingLimit | ChargingNeeds], charge_point_id: int) -> None:
    """A charge point that tells its limits every second must not fill the disk."""
    session.flush()
    beyond = (
        select(table.id)
        .where(table.charge_point_id == charge_point_id)
        .order_by(table.id.desc())
        .offset(MOST_KEPT)
        .limit(1)
        .scalar_subquery()
    )
    session.execute(delete(table).where(table.charge_point_id == charge_point_id, table.id <= beyond))


def _tell(session: Session, charge_point_id: int, partner_id: int) -> None:
    session.flush()
    events.announce(session, REPORTED, partner_id=partner_id, charge_point_id=charge_point_id)


# --- what is shown


@dataclass(frozen=True, slots=True)
class Told:
    """What a charge point, or one of its EVSEs, says of its limits; the newest first."""

    profiles: Sequence[StationProfile]
    limits: Sequence[ChargingLimit]
    needs: Sequence[ChargingNeeds]


def told(session: Session, *, charge_point_id: int, network_id: int | None = None, most: int = 20) -> Told:
    """All profiles, and of the others the newest ``most``. ``network_id``: only what counts for that EVSE."""

    def of(table: Any) -> Any:
        here = or_(table.network_id == network_id, table.network_id == 0) if network_id else true()
        return select(table).where(table.charge_point_id == charge_point_id, here)

    newest = ChargingLimit.cleared_at.is_not(None), ChargingLimit.id.desc()
    profiles = of(StationProfile).order_by(
        StationProfile.network_id, StationProfile.purpose, StationProfile.stack_level.desc()
    )
    return Told(
        profiles=session.scalars(profiles.limit(MOST_PROFILES)).all(),
        limits=session.scalars(of(ChargingLimit).order_by(*newest).limit(most)).all(),
        needs=session.scalars(of(ChargingNeeds).order_by(ChargingNeeds.id.desc()).limit(most)).all(),
    )


def first_limit(schedules: Mapping[str, Any]) -> str:
    """The limit a schedule begins with, in words: "16 A", "11000 W, then 3 more"; empty without one."""
    for schedule in schedules.get("all") or ():
        periods = schedule.get("periods") or ()
        if periods:
            more = len(periods) - 1
            words = f"{Decimal(str(periods[0]['limit'])).normalize():f} {schedule.get('unit') or ''}".strip()
            return f"{words}, then {more} more" if more else words
    return ""
