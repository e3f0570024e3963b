"""What a running session costs so far, shown at its station (OCPP 2.0.1 part 2, I02: CostUpdated)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging import commands
from app.charging.commands import CommandName
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession
from app.charging.session_queries import price_view
from app.core.models import Action, Admin


class NoCost(ValueError):
    """The session has no price that could be shown there; the message says why."""


def show_cost(
    session: Session, *, charging_session: ChargingSession, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Tell the station what the session costs up to now, with VAT. Flushes.

    Raises NoCost, NotManaged, ReasonRequired.
    """
    if charging_session.status not in RUNNING:
        raise NoCost("The session is over.")
    if not charging_session.station_reference:
        raise NoCost("The charge point has not told how it calls this session.")
    price = price_view(session, charging_session, now=now)
    if price.gross is None:
        raise NoCost(price.problem or "The session has no price.")
    evse = session.get_one(Evse, charging_session.evse_id)
    return commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.SHOW_COST,
        request={
            "session_id": charging_session.id,
            "reference": charging_session.station_reference,
            "total": str(price.gross),
        },
        info=f"Session {charging_session.id}: {price.gross} {price.currency}",
        reason=reason,
        actor=actor,
        now=now,
    )
