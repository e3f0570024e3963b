"""What a charge point reports by itself: monitors on its variables, set and cleared with reason (OCPP 2.0.1)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from wtforms import validators

from admin_views.assets.charging_actions import speaks_newer
from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets.fields import DecimalField
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.models import MonitorKind
from app.charging.upkeep import monitors
from app.charging.upkeep.device_events import SEVERITIES
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Configuration"


class SetForm(ReasonForm):
    """On what, when, and how bad that is."""

    key = ChoiceField(
        "Variable",
        choices=[],
        description="Those that the charge point can monitor. Read its configuration if one is missing.",
    )
    kind = ChoiceField("Report", choices=[(kind.value, kind.label) for kind in MonitorKind], default="upper")
    value = DecimalField(
        "Value",
        [validators.InputRequired(message="Enter a value.")],
        places=None,
        description="In the variable's unit; seconds, if it is reported from time to time.",
    )
    severity = ChoiceField(
        "Severity", choices=[(str(number), f"{number}: {word}") for number, word in SEVERITIES.items()], default="5"
    )
    when = ChoiceField("When", choices=[("always", "Always"), ("session", "Only during a session")], default="always")

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            self.key.choices = [(key, key) for key in monitors.monitorable(db.session(), charge_point_id=obj.id)]


class ClearForm(ReasonForm):
    """Which one."""

    monitor = ChoiceField("Monitor", choices=[], description="Those that the charge point has reported.")

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            self.monitor.choices = [
                (
                    str(row.monitor_id),
                    f"{row.monitor_id}: {row.key}, {row.kind.label.lower()} {row.value.normalize():f}",
                )
                for row in monitors.numbered(db.session(), charge_point_id=obj.id)
            ]


def set_monitor(obj: ChargePoint, form: SetForm, *, reason: str, actor: Admin) -> Action:
    """Set one."""
    return monitors.set_monitor(
        db.session(),
        charge_point=obj,
        key=form.key.data,
        kind=MonitorKind(form.kind.data),
        value=Decimal(form.value.data),
        severity=int(form.severity.data),
        in_session_only=form.when.data == "session",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def clear_monitor(obj: ChargePoint, form: ClearForm, *, reason: str, actor: Admin) -> Action:
    """Clear one."""
    return monitors.clear_monitor(
        db.session(), charge_point=obj, monitor_id=int(form.monitor.data), reason=reason, actor=actor, now=utcnow()
    )


def get_monitors(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Ask which there are."""
    return monitors.get_monitors(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def _action(name: str, title: str, handler: Any, icon: str, **more: Any) -> RemoteAction:
    refusals = (NotManaged, monitors.InvalidMonitor)
    return RemoteAction(name, title, handler, icon=icon, group=GROUP, available=speaks_newer, refusals=refusals, **more)


ACTIONS = (
    _action(
        "set_monitor",
        "Set Monitor",
        set_monitor,
        "bell",
        form=SetForm,
        bulk=False,
        help="Has the charge point report a variable by itself. What it reports is listed under Device Events.",
    ),
    _action(
        "clear_monitor",
        "Clear Monitor",
        clear_monitor,
        "eraser",
        form=ClearForm,
        bulk=False,
        help="Makes the charge point report it no more. Monitors that are built in may be refused.",
    ),
    _action(
        "get_monitors",
        "Get Monitors",
        get_monitors,
        "list-details",
        help="Asks the charge point which monitors it has. They are shown with the variables in the tab Configuration.",
    ),
)
