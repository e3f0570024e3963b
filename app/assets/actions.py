"""Rows of the Actions log about charge points and EVSEs that nobody is sent anything for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.core.actions import open_action
from app.core.models import Action, ActionStatus, Admin


def note_action(
    session: Session,
    *,
    name: str,
    charge_point: ChargePoint,
    evse: Evse | None = None,
    info: str,
    reason: str,
    actor: Admin | None,
    status: ActionStatus = ActionStatus.FINISHED,
    now: datetime,
) -> Action:
    """The row of something done at a charge point, or at one of its EVSEs, that is over already. Flushes.

    Raises ReasonRequired.
    """
    return open_action(
        session,
        name=name,
        target_type=(Evse if evse else ChargePoint).__tablename__,
        target_id=evse.id if evse else charge_point.id,
        target_label=label_of(charge_point, evse),
        reason=reason,
        actor=actor,
        status=status,
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        info=info,
        now=now,
    )


def label_of(charge_point: ChargePoint, evse: Evse | None) -> str:
    """How the Actions log names them."""
    return f"{charge_point.name} / {evse.code}" if evse else charge_point.name
