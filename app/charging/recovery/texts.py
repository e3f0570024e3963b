"""What recoveries and outages are called in mails and on screens: what was tried, with what outcome; where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import current_app

from app.assets.models import ChargePoint
from app.charging.models import Recovery, RecoveryAttempt
from app.charging.recovery.ladder import Step
from app.core.i18n import localized
from app.core.models import ActionStatus

#: the page of a charge point, as admin_views serves it; a test follows the link
STATION_PAGE = "/assets/charge-points/details/?id={id}"
FAULTS_PAGE = "/dashboard/faults/"


@dataclass(frozen=True, slots=True)
class Tried:
    """One line of what was tried."""

    at: datetime
    what: str
    outcome: str


def tried(recovery: Recovery) -> list[Tried]:
    """What was tried, in order. Reads the attempts and their actions."""
    return [Tried(attempt.at, Step(attempt.step).label, outcome(attempt)) for attempt in recovery.attempts]


def outcome(attempt: RecoveryAttempt) -> str:
    """What an attempt came to: the station's answer, or why nothing was sent."""
    if attempt.note:
        return attempt.note
    action = attempt.action
    if action is None:
        return "Sent"
    if action.status is ActionStatus.PENDING:
        return "Sent, no answer yet"
    words = action.status.label
    return f"{words} ({action.error})" if action.error else words


def part_at_fault(recovery: Recovery) -> str:
    """'The charge point itself' or 'EVSE BG*SYN*E1'."""
    if recovery.network_id == 0:
        return "The charge point itself"
    return f"EVSE {recovery.evse.code}" if recovery.evse is not None else f"EVSE {recovery.network_id}"


def place(charge_point: ChargePoint) -> str:
    """Where it stands: 'Modera Restaurant parking, Modera Zone, 1 Vitosha Blvd, Sofia'."""
    location = charge_point.zone.location
    parts = [localized(location.name), charge_point.zone.name, localized(location.address), location.city]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def station_link(charge_point_id: int) -> str:
    """The address of a charge point's page, for people outside."""
    return str(current_app.config["SYNC"].public_url) + STATION_PAGE.format(id=charge_point_id)


def faults_link() -> str:
    """The address of the list behind the dashboard's card."""
    return str(current_app.config["SYNC"].public_url) + FAULTS_PAGE
