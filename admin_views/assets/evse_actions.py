"""What an operator can do at an EVSE. Manual, "EVSE Actions"."""

from __future__ import annotations

from typing import Any

from flask_admin.model.fields import AjaxSelectField
from sqlalchemy import select
from wtforms import IntegerField, validators

from admin_views.assets import charging_actions
from admin_views.assets.charge_point_actions import AvailabilityForm, TriggerForm
from admin_views.assets.start_session import USERS, StartForm, start
from admin_views.base import EnumField, Outcome, ReasonForm, RecordAction, RemoteAction
from app.assets.evse_status import change_evse_status
from app.assets.models import Evse, EvseStatus, SystemStatus
from app.assets.verbs import StatusUnchanged
from app.charging import remote
from app.charging.commands import NotManaged
from app.charging.lifecycle import RUNNING, LifecycleError
from app.charging.models import ChargingSession, Reservation
from app.charging.payments import paying
from app.charging.queries import running_sessions
from app.charging.reservations import reservations
from app.charging.reservations.lifecycle import OPEN, ReservationOver
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin


class ReserveForm(ReasonForm):
    """For whom, and for how long."""

    user = AjaxSelectField(USERS, "User", description="Start typing the name or e-mail.")
    minutes = IntegerField(
        "Duration (minutes)",
        [validators.Optional(), validators.NumberRange(min=1, max=reservations.MAX_MINUTES)],
        description="Left empty: the EVSE's Reservation Time, or that of the Settings.",
        render_kw={"min": 1, "max": reservations.MAX_MINUTES},
    )

    def __init__(self, formdata: Any = None, obj: Evse | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            usual = reservations.duration_minutes(db.session(), obj)
            self.minutes.description = f"Left empty: {usual} minutes." if usual else "This EVSE cannot be reserved."

    def validate(self, extra_validators: Any = None) -> bool:
        """A user is needed."""
        valid: bool = super().validate(extra_validators)
        if self.user.data is None:
            self.user.errors = ["Choose a user."]
            return False
        return valid


class EvseStatusForm(ReasonForm):
    """The new system status."""

    status = EnumField("System status", enum_class=EvseStatus)


def stop(obj: Evse, form: Any, *, reason: str, actor: Admin) -> Action | Outcome:
    """Stop the session that runs there."""
    row = running_sessions(db.session(), [obj.id]).get(obj.id)
    if row is None:
        return Outcome(str(obj), "Refused", "No session is running.")
    action = remote.stop_session(db.session(), charging_session=row, reason=reason, actor=actor, now=utcnow())
    return action or Outcome(str(obj), "Finished", f"Session {row.id} had not begun and was given up.")


def reserve(obj: Evse, form: ReserveForm, *, reason: str, actor: Admin) -> Action:
    """Keep the EVSE for a user."""
    _, action = reservations.reserve(
        db.session(),
        evse=obj,
        user=form.user.data,
        minutes=form.minutes.data,
        reason=reason,
        actor=actor,
        now=utcnow(),
    )
    return action


def cancel_reservation(obj: Evse, form: Any, *, reason: str, actor: Admin) -> Action | Outcome:
    """Give the EVSE free again."""
    row = db.session().scalars(_open_reservation(obj)).one_or_none()
    if row is None:
        return Outcome(str(obj), "Refused", "It is not reserved.")
    _, action = reservations.cancel(db.session(), reservation=row, reason=reason, actor=actor, now=utcnow())
    return action


def unlock(obj: Evse, form: Any, *, reason: str, actor: Admin) -> Action:
    """Unlock a stuck connector."""
    return remote.unlock(db.session(), evse=obj, reason=reason, actor=actor, now=utcnow())


def change_availability(obj: Evse, form: AvailabilityForm, *, reason: str, actor: Admin) -> Action:
    """Take the EVSE in or out of operation."""
    return remote.change_availability(
        db.session(),
        charge_point=obj.charge_point,
        evse=obj,
        operative=form.availability.data == "operative",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def trigger_message(obj: Evse, form: TriggerForm, *, reason: str, actor: Admin) -> Action:
    """Ask the station to send a message about this EVSE now."""
    return remote.trigger_message(
        db.session(),
        charge_point=obj.charge_point,
        evse=obj,
        message=form.message.data,
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def change_status(obj: Evse, form: EvseStatusForm, *, reason: str, actor: Admin) -> Action:
    """Set the EVSE's system status."""
    return change_evse_status(db.session(), evse=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow())


def _managed(obj: Evse) -> bool:
    return obj.charge_point.managed_by_operator


def _is_running(obj: Evse) -> bool:
    running = select(ChargingSession.id).where(ChargingSession.evse_id == obj.id, ChargingSession.status.in_(RUNNING))
    return _managed(obj) and bool(db.session.scalar(select(running.exists())))


def _idle(obj: Evse) -> bool:
    return _managed(obj) and not _is_running(obj)


def _open_reservation(obj: Evse) -> Any:
    return select(Reservation).where(Reservation.evse_id == obj.id, Reservation.status.in_(OPEN))


def _is_reserved(obj: Evse) -> bool:
    return bool(db.session.scalar(select(_open_reservation(obj).exists())))


def _reservable(obj: Evse) -> bool:
    return _idle(obj) and obj.charge_point.status is not SystemStatus.DEMO and not _is_reserved(obj)


ACTIONS = (
    RemoteAction(
        "start",
        "Start Session",
        start,
        form=StartForm,
        icon="player-play",
        bulk=False,
        available=_idle,
        group="EVSE",
        refusals=(remote.StartRefused, NotManaged, paying.CannotPay),
        help="Starts a charging session on behalf of a user. It is Pending until a car is plugged in. At a Demo charge "
        "point it is a mock session, which nobody pays.",
    ),
    RemoteAction(
        "stop",
        "Stop Session",
        stop,
        icon="player-stop",
        bulk=False,
        available=_is_running,
        group="EVSE",
        refusals=(LifecycleError, NotManaged),
        help="Stops the charging session that runs here.",
    ),
    RemoteAction(
        "reserve",
        "Reserve",
        reserve,
        form=ReserveForm,
        icon="calendar-time",
        available=_reservable,
        group="EVSE",
        refusals=(reservations.ReservationRefused, NotManaged),
        help="Keeps the EVSE for one user. The maximum per day and the cool-down time of the Settings hold here too.",
    ),
    RemoteAction(
        "cancel_reservation",
        "Cancel Reservation",
        cancel_reservation,
        icon="circle-x",
        bulk=False,
        available=_is_reserved,
        group="EVSE",
        refusals=(ReservationOver,),
        help="Everybody may charge here again at once, also if the charge point cannot be told now.",
    ),
    RemoteAction(
        "unlock",
        "Unlock",
        unlock,
        icon="lock-open",
        available=_managed,
        group="EVSE",
        refusals=(NotManaged,),
        help="Unlocks a stuck connector. A running session is usually stopped by it.",
    ),
    RemoteAction(
        "availability",
        "Change Availability",
        change_availability,
        form=AvailabilityForm,
        icon="switch-horizontal",
        available=_managed,
        group="EVSE",
        refusals=(NotManaged,),
    ),
    RemoteAction(
        "trigger",
        "Trigger Message",
        trigger_message,
        form=TriggerForm,
        icon="message",
        available=_managed,
        group="EVSE",
        refusals=(NotManaged,),
    ),
    *charging_actions.ACTIONS,
    RecordAction(
        "status",
        "Change Status",
        change_status,
        form=EvseStatusForm,
        icon="status-change",
        group="System status",
        refusals=(StatusUnchanged,),
        help="Disabled hides the EVSE from drivers; Out of order shows it as such. Neither can be used, but a session "
        "that is running is not ended by it.",
    ),
)
