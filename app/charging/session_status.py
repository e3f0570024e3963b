"""What a station says of a session that runs here (OCPP 2.0.1 part 2, E14: GetTransactionStatus)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import ChargingSession
from app.core.models import Action, ActionStatus, Admin


class NotNamed(ValueError):
    """The station has not told how it calls the session, so that it cannot be asked about it."""


def ask_session(
    session: Session, *, charging_session: ChargingSession, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask the station whether the session goes on there, and whether it has messages of it to send yet. Flushes.

    Raises NotNamed, NotManaged, ReasonRequired.
    """
    if not charging_session.station_reference:
        raise NotNamed("The charge point has not told how it calls this session.")
    evse = session.get_one(Evse, charging_session.evse_id)
    return commands.request_command(
        session,
        charge_point=evse.charge_point,
        evse=evse,
        name=CommandName.GET_SESSION_STATUS,
        request={"session_id": charging_session.id, "reference": charging_session.station_reference},
        info=f"Session {charging_session.id}",
        reason=reason,
        actor=actor,
        now=now,
    )


@follow_up(CommandName.GET_SESSION_STATUS)
def _say(session: Session, outcome: Outcome) -> None:
    """The answer in words, with the action."""
    action = session.get(Action, outcome.action_id)
    if action is None or outcome.answer.status is not ActionStatus.ANSWERED:
        return
    facts = outcome.answer.facts
    goes_on = {True: "goes on at the charge point", False: "is over at the charge point"}.get(
        facts["ongoing"], "is not known to go on"
    )
    waiting = "messages about it are still to come" if facts["waiting"] else "no messages about it are waiting"
    action.info = f"Session {outcome.request['session_id']} {goes_on}; {waiting}"
    session.flush()
