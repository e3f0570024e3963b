"""What an operator can do to a charge point. Manual, "Charge Point Actions"."""

from __future__ import annotations

from typing import Any

from admin_views.assets import (
    call_actions,
    charging_actions,
    configuration,
    customer_part,
    display_part,
    local_list_part,
    monitor_actions,
    network_action,
    security_actions,
    transfer_actions,
)
from admin_views.base import ChoiceField, EnumField, ReasonForm, RecordAction, RemoteAction
from app.assets import verbs
from app.assets.models import ChargePoint, SystemStatus
from app.charging import remote
from app.charging.commands import NotManaged
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

AVAILABILITIES = [
    ("operative", "Operative: sessions can start"),
    ("inoperative", "Inoperative: no new sessions"),
]


class ResetForm(ReasonForm):
    """How far the reboot goes."""

    kind = ChoiceField(
        "Reset type",
        choices=[("soft", "Soft: only reboots the controller"), ("hard", "Hard: reboots the entire charge point")],
        default="soft",
    )


class AvailabilityForm(ReasonForm):
    """In or out of operation."""

    availability = ChoiceField(
        "Availability",
        choices=AVAILABILITIES,
        default="operative",
        description="During a session the station answers Scheduled and changes when the session has ended.",
    )


class TriggerForm(ReasonForm):
    """Which message the station shall send."""

    message = ChoiceField("Message", choices=list(remote.TRIGGERS.items()), default="status")


class StatusForm(ReasonForm):
    """The new system status."""

    status = EnumField("System status", enum_class=SystemStatus)


def reset(obj: ChargePoint, form: ResetForm, *, reason: str, actor: Admin) -> Action:
    """Reboot the station."""
    hard = form.kind.data == "hard"
    return remote.reset(db.session(), charge_point=obj, hard=hard, reason=reason, actor=actor, now=utcnow())


def change_availability(obj: ChargePoint, form: AvailabilityForm, *, reason: str, actor: Admin) -> Action:
    """Take the whole station in or out of operation."""
    return remote.change_availability(
        db.session(),
        charge_point=obj,
        evse=None,
        operative=form.availability.data == "operative",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def trigger_message(obj: ChargePoint, form: TriggerForm, *, reason: str, actor: Admin) -> Action:
    """Ask the station to send a message now."""
    return remote.trigger_message(
        db.session(),
        charge_point=obj,
        evse=None,
        message=form.message.data,
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def clear_cache(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Clear the RFID tags the station keeps."""
    return remote.clear_cache(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def change_status(obj: ChargePoint, form: StatusForm, *, reason: str, actor: Admin) -> Action:
    """Set the system status."""
    return verbs.change_status(
        db.session(), charge_point=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow()
    )


def _managed(obj: ChargePoint) -> bool:
    return obj.managed_by_operator


def _remote(name: str, title: str, handler: Any, icon: str, **more: Any) -> RemoteAction:
    return RemoteAction(
        name, title, handler, icon=icon, group="Charge Point", available=_managed, refusals=(NotManaged,), **more
    )


ACTIONS = (
    _remote(
        "reset",
        "Reset",
        reset,
        "refresh",
        form=ResetForm,
        help="Reboots the charging station. A running session may be stopped by it.",
    ),
    _remote("availability", "Change Availability", change_availability, "switch-horizontal", form=AvailabilityForm),
    _remote("trigger", "Trigger Message", trigger_message, "message", form=TriggerForm),
    _remote(
        "clear_cache",
        "Clear Cache",
        clear_cache,
        "eraser",
        help="Clears the RFID tags saved locally at the charge point.",
    ),
    *configuration.ACTIONS,
    *monitor_actions.ACTIONS,
    *display_part.ACTIONS,
    *network_action.ACTIONS,
    *customer_part.ACTIONS,
    *transfer_actions.ACTIONS,
    *charging_actions.ACTIONS,
    *charging_actions.STATION_ACTIONS,
    *local_list_part.ACTIONS,
    *security_actions.ACTIONS,
    *call_actions.ACTIONS,
    RecordAction(
        "status",
        "Change Status",
        change_status,
        form=StatusForm,
        icon="status-change",
        group="System status",
        refusals=(verbs.StatusUnchanged,),
        help="No new session starts at a charge point that is Disabled or Out of order. A session that is running is "
        "not ended by it: use Stop Session for that.",
    ),
)
