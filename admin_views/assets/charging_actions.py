"""Smart charging at a charge point or an EVSE: what it will allow, and limits. Manual, "Get Composite Schedule"."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from wtforms import validators

from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets.fields import DecimalField, IntegerField
from app.assets.models import ChargePoint, Evse, NetworkProtocol
from app.charging.commands import NotManaged
from app.charging.plans import smart_charging, station_limits
from app.charging.plans.smart_charging import InvalidLimit, Limit, Purpose
from app.charging.raw_commands import protocol_of
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Smart charging"
_AT_STATION = (Purpose.STATION, Purpose.DEFAULT)
_AT_EVSE = (Purpose.SESSION, Purpose.DEFAULT)


def _purposes(obj: ChargePoint | Evse | None) -> list[tuple[str, str]]:
    return [(each.value, each.label) for each in (_AT_EVSE if isinstance(obj, Evse) else _AT_STATION)]


def place(obj: ChargePoint | Evse) -> dict[str, Any]:
    """The charge point, and the EVSE if it is one."""
    if isinstance(obj, Evse):
        return {"charge_point": obj.charge_point, "evse": obj}
    return {"charge_point": obj, "evse": None}


class ScheduleForm(ReasonForm):
    """In which unit."""

    unit = ChoiceField(
        "Unit",
        choices=list(smart_charging.UNITS.items()),
        allow_blank=True,
        description="Left open, the charge point answers in the one it prefers.",
    )


class LimitForm(ReasonForm):
    """How much, in what, for what, how long."""

    limit = DecimalField("Limit", [validators.InputRequired(message="Enter a limit.")], places=1)
    unit = ChoiceField("Unit", choices=list(smart_charging.UNITS.items()), default="A")
    purpose = ChoiceField("For", choices=[])
    phases = ChoiceField(
        "Phases",
        choices=[("1", "1 phase"), ("3", "3 phases")],
        allow_blank=True,
        description="Left open: as many as there are.",
    )
    duration = IntegerField(
        "Duration (minutes)",
        [validators.Optional(), validators.NumberRange(1, smart_charging.LONGEST_LIMIT_S // 60)],
        description="Left empty, the limit holds until it is cleared.",
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | Evse | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self._at = obj
        self.purpose.choices = _purposes(obj)
        if formdata is None:
            self.purpose.data = Purpose.DEFAULT.value

    def value(self) -> Limit:
        """The limit as entered."""
        return Limit(
            value=Decimal(self.limit.data),
            unit=self.unit.data,
            purpose=Purpose(self.purpose.data),
            phases=int(self.phases.data) if self.phases.data else None,
            duration_s=self.duration.data * 60 if self.duration.data else None,
        )

    def validate(self, extra_validators: Any = None) -> bool:
        """What cannot be set there is told at its field."""
        if not super().validate(extra_validators):
            return False
        if self._at is None:
            return True
        try:
            smart_charging.check_limit(db.session(), **place(self._at), limit=self.value())
        except InvalidLimit as fault:
            self[fault.field].errors = [str(fault)]
            return False
        return True


class ClearForm(ReasonForm):
    """Which limits."""

    purpose = ChoiceField("Limits for", choices=[], allow_blank=True, description="Left open: all of them.")

    def __init__(self, formdata: Any = None, obj: ChargePoint | Evse | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self.purpose.choices = [(each.value, each.label) for each in Purpose]


def get_schedule(obj: ChargePoint | Evse, form: ScheduleForm, *, reason: str, actor: Admin) -> Action:
    """Ask for the schedule of the next 60 minutes."""
    return smart_charging.get_composite_schedule(
        db.session(), **place(obj), unit=form.unit.data, reason=reason, actor=actor, now=utcnow()
    )


def set_limit(obj: ChargePoint | Evse, form: LimitForm, *, reason: str, actor: Admin) -> Action:
    """Set a limit."""
    return smart_charging.set_limit(
        db.session(), **place(obj), limit=form.value(), reason=reason, actor=actor, now=utcnow()
    )


def clear_limit(obj: ChargePoint | Evse, form: ClearForm, *, reason: str, actor: Admin) -> Action:
    """Clear limits."""
    purpose = Purpose(form.purpose.data) if form.purpose.data else None
    return smart_charging.clear_limit(
        db.session(), **place(obj), purpose=purpose, reason=reason, actor=actor, now=utcnow()
    )


def _managed(obj: ChargePoint | Evse) -> bool:
    charge_point: ChargePoint = place(obj)["charge_point"]
    return charge_point.managed_by_operator


def _action(name: str, title: str, handler: Any, icon: str, form: Any, **more: Any) -> RemoteAction:
    return RemoteAction(
        name,
        title,
        handler,
        icon=icon,
        form=form,
        group=GROUP,
        available=_managed,
        refusals=(NotManaged, InvalidLimit),
        **more,
    )


def speaks_newer(charge_point: ChargePoint) -> bool:
    """Whether commands that OCPP 1.6 has nothing for can be sent to it at all."""
    return charge_point.managed_by_operator and protocol_of(charge_point) != NetworkProtocol.OCPP16.value


def get_profiles(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Ask for the profiles it has."""
    return station_limits.get_profiles(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


#: at charge points only
STATION_ACTIONS = (
    RemoteAction(
        "charging_profiles",
        "Get Charging Profiles",
        get_profiles,
        icon="list-details",
        group=GROUP,
        available=speaks_newer,
        refusals=(NotManaged,),
        help="Asks the charge point for all charging profiles it has, whoever gave them. They are shown under "
        "“Current profile”.",
    ),
)
#: the same at charge points and EVSEs
ACTIONS = (
    _action(
        "composite_schedule",
        "Get Composite Schedule",
        get_schedule,
        "chart-line",
        ScheduleForm,
        help="Requests the composite schedule for the next 60 minutes. The answer is shown under “Current profile”.",
    ),
    _action(
        "set_limit",
        "Set Charging Limit",
        set_limit,
        "gauge",
        LimitForm,
        bulk=False,
        help="Lets the charge point give at most this much.",
    ),
    _action(
        "clear_limit",
        "Clear Charging Limit",
        clear_limit,
        "eraser",
        ClearForm,
        help="Makes the charge point forget limits that were set. Rejected means that there was none.",
    ),
)
