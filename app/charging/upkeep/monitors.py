"""Monitors: rules by which a station reports a variable by itself (OCPP 2.0.1 part 2, N02 to N06).

A monitor of ours is a row first (Pending), then asked of the station, which numbers it. The station's own report of its
monitors says which there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import DeviceMonitor, DeviceVariable, MonitorKind, MonitorStatus
from app.core import events
from app.core.models import Action, ActionStatus, Admin

CHANGED = "charge_point.monitors_changed"
MOST_MONITORS = 2_000
_LARGEST_VALUE = Decimal(10**12)
_PERIODS = (MonitorKind.PERIODIC, MonitorKind.PERIODIC_CLOCK)


class InvalidMonitor(ValueError):
    """The monitor cannot be set; the message says why."""


@dataclass(frozen=True, slots=True)
class ReportedMonitor:
    """A monitor as its station reports it."""

    monitor_id: int
    key: str
    kind: MonitorKind
    value: Decimal
    severity: int
    in_session_only: bool


def set_monitor(
    session: Session,
    *,
    charge_point: ChargePoint,
    key: str,
    kind: MonitorKind,
    value: Decimal,
    severity: int,
    in_session_only: bool,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask a station to report a variable by itself; ``value`` in the variable's unit, or seconds. Flushes.

    Raises InvalidMonitor, NotManaged, ReasonRequired.
    """
    variable = session.get(DeviceVariable, (charge_point.id, key))
    if variable is None:
        raise InvalidMonitor(f"{charge_point.name} has described no variable {key}. Read its configuration first.")
    if not variable.supports_monitoring:
        raise InvalidMonitor(f"{key} cannot be monitored, {charge_point.name} says.")
    if not value.is_finite() or abs(value) > _LARGEST_VALUE:
        raise InvalidMonitor("The value is a number.")
    if kind in _PERIODS and (value < 1 or value != value.to_integral_value()):
        raise InvalidMonitor("The time between reports is whole seconds, at least one.")
    if kind is MonitorKind.DELTA and value <= 0:
        raise InvalidMonitor("The change that is reported is more than 0.")
    if not 0 <= severity <= 9:
        raise InvalidMonitor("The severity is 0 (danger) to 9 (debugging).")
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.SET_MONITOR,
        request={
            "key": key,
            "kind": kind.value,
            "value": str(value),
            "severity": severity,
            "in_session_only": in_session_only,
        },
        info=f"{key}: {kind.label.lower()} {value.normalize():f}, severity {severity}",
        reason=reason,
        actor=actor,
        now=now,
    )
    session.execute(  # what came to nothing before is told by the Actions log
        delete(DeviceMonitor).where(
            DeviceMonitor.charge_point_id == charge_point.id,
            DeviceMonitor.key == key,
            DeviceMonitor.kind == kind,
            DeviceMonitor.status.in_((MonitorStatus.REJECTED, MonitorStatus.UNANSWERED)),
        )
    )
    session.add(
        DeviceMonitor(
            partner_id=charge_point.partner_id,
            charge_point_id=charge_point.id,
            key=key,
            kind=kind,
            value=value,
            severity=severity,
            in_session_only=in_session_only,
            action_id=action.id,
        )
    )
    session.flush()
    return action


def clear_monitor(
    session: Session,
    *,
    charge_point: ChargePoint,
    monitor_id: int,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask a station to forget a monitor. Flushes. Raises InvalidMonitor, NotManaged, ReasonRequired."""
    row = session.scalars(
        select(DeviceMonitor).filter_by(charge_point_id=charge_point.id, monitor_id=monitor_id)
    ).one_or_none()
    if row is None:
        raise InvalidMonitor(f"{charge_point.name} has no monitor {monitor_id}.")
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.CLEAR_MONITOR,
        request={"monitor_id": monitor_id},
        info=f"{monitor_id}: {row.key}",
        reason=reason,
        actor=actor,
        now=now,
    )


def get_monitors(
    session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask a station which monitors it has. They come by themselves, after its answer. Flushes.

    Raises NotManaged, ReasonRequired.
    """
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_MONITORS,
        request={},
        info="All monitors",
        reason=reason,
        actor=actor,
        now=now,
    )


@follow_up(CommandName.SET_MONITOR, CommandName.CLEAR_MONITOR, CommandName.GET_MONITORS)
def follow_monitors(session: Session, outcome: Outcome) -> None:
    """What a station answered becomes of the rows; a late yes counts too."""
    if outcome.name is CommandName.SET_MONITOR:
        _follow_set(session, outcome)
    elif outcome.name is CommandName.CLEAR_MONITOR:
        if outcome.answer.facts.get("result") in ("accepted", "not_found"):
            _forget(session, outcome.charge_point_id, int(outcome.request["monitor_id"]))
    elif outcome.answer.facts.get("result") == "none":
        session.execute(delete(DeviceMonitor).where(_known_at(outcome.charge_point_id)))
    _tell(session, outcome.charge_point_id, outcome.partner_id)


def _follow_set(session: Session, outcome: Outcome) -> None:
    row = session.scalars(select(DeviceMonitor).filter_by(action_id=outcome.action_id).with_for_update()).one_or_none()
    if row is None:
        return
    if outcome.answer.status is ActionStatus.ACCEPTED:
        number = outcome.answer.facts.get("monitor_id")
        if number is not None:
            _forget(session, outcome.charge_point_id, int(number))  # its report has overtaken its answer
        row.monitor_id, row.status, row.reported_at = number, MonitorStatus.REPORTED, outcome.now
    elif outcome.answer.status in (ActionStatus.REJECTED, ActionStatus.FAILED):
        row.status = MonitorStatus.REJECTED
    else:
        row.status = MonitorStatus.UNANSWERED
    session.flush()


def _forget(session: Session, charge_point_id: int, monitor_id: int) -> None:
    session.execute(
        delete(DeviceMonitor).where(
            DeviceMonitor.charge_point_id == charge_point_id, DeviceMonitor.monitor_id == monitor_id
        )
    )


def _known_at(charge_point_id: int) -> ColumnElement[bool]:
    return (DeviceMonitor.charge_point_id == charge_point_id) & DeviceMonitor.monitor_id.is_not(None)


def keep_monitors(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    monitors: Iterable[ReportedMonitor],
    whole: bool,
    now: datetime,
) -> int:
    """Make the rows what the station reports. ``whole``: it has no others. Flushes. Returns how many it named.

    Whether a monitor is ours is known by the row that was there.
    """
    named = {each.monitor_id: each for each in monitors}
    rows = {row.monitor_id: row for row in session.scalars(select(DeviceMonitor).where(_known_at(charge_point_id)))}
    for number, row in rows.items():
        if whole and number not in named:
            session.delete(row)
    for number, each in list(named.items())[:MOST_MONITORS]:
        row = rows.get(number) or DeviceMonitor(
            charge_point_id=charge_point_id, partner_id=partner_id, monitor_id=number, ours=False
        )
        row.key, row.kind, row.value, row.severity = each.key, each.kind, each.value, each.severity
        row.in_session_only, row.status, row.reported_at = each.in_session_only, MonitorStatus.REPORTED, now
        session.add(row)
    _tell(session, charge_point_id, partner_id)
    return len(named)


def _tell(session: Session, charge_point_id: int, partner_id: int) -> None:
    session.flush()
    events.announce(session, CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)


# --- what there is to choose from


def monitorable(session: Session, *, charge_point_id: int) -> list[str]:
    """The variables that can be monitored, in alphabetical order."""
    query = select(DeviceVariable.key).filter_by(charge_point_id=charge_point_id, supports_monitoring=True)
    return list(session.scalars(query.order_by(DeviceVariable.key)))


def numbered(session: Session, *, charge_point_id: int) -> list[DeviceMonitor]:
    """The monitors that the station has, by number."""
    query = select(DeviceMonitor).where(_known_at(charge_point_id)).order_by(DeviceMonitor.monitor_id)
    return list(session.scalars(query.limit(MOST_MONITORS)))
