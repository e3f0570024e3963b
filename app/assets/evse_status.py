"""The operator's intent for a single EVSE. Manual, "EVSE", Status."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.assets import verbs
from app.assets.actions import note_action
from app.assets.models import ChargePoint, Evse, EvseStatus
from app.core.audit import record_change
from app.core.models import Action, Admin

CHANGE_EVSE_STATUS = "Change EVSE Status"


def change_evse_status(
    session: Session, *, evse: Evse, status: EvseStatus, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Set an EVSE's system status, with its account in the Actions log: Finished, "from Active to Disabled". Flushes.

    The audit has it at the charge point, whose form it is. Raises StatusUnchanged, ReasonRequired.
    """
    before = evse.status
    if status is before:
        raise verbs.StatusUnchanged(f"The system status is {before.label} already.")
    station = evse.charge_point
    action = note_action(
        session,
        name=CHANGE_EVSE_STATUS,
        charge_point=station,
        evse=evse,
        info=f"from {before.label} to {status.label}",
        reason=reason,
        actor=actor,
        now=now,
    )
    evse.status = status
    # the form of the charge point holds the EVSE: whoever has it open is told
    verbs.mark_changed(station)
    field = f"EVSE {evse.network_id} status"
    record_change(
        session,
        actor=actor,
        event="change",
        object_type=ChargePoint.__tablename__,
        object_id=station.id,
        label=station.name,
        before={field: before},
        after={field: status},
    )
    session.flush()
    verbs.announce_changed(session, station)
    return action
