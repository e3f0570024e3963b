"""Id tokens of sessions that an operator starts remotely: made for the station, and known again when it uses them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.charging.authorize import normalise_id_tag
from app.charging.lifecycle import OVERDUE, RUNNING, SessionStatus
from app.charging.models import AuthorizationSource, ChargingSession
from app.core import settings

#: id tokens of sessions an operator starts remotely; the number is the pending session's
REMOTE_PREFIX = "SYNC-"

_REMOTE_TOKEN = re.compile(rf"{REMOTE_PREFIX}(\d{{1,15}})", re.ASCII)
#: a station's clock may be behind ours
REMOTE_CLOCK_SLACK = timedelta(minutes=1)


def remote_token(session_id: int) -> str:
    """The id token of a session that is started remotely: at most 20 characters, as OCPP 1.6 has it."""
    return f"{REMOTE_PREFIX}{session_id}"


def remote_session(
    session: Session, *, charge_point_id: int, id_tag: str | None, at: datetime
) -> ChargingSession | None:
    """The session that an operator started at this station and whose token this is; None when it is no such token.

    The token ends with the session. One that failed only because nothing was heard in time counts as long as the
    station started (``at``, by its own clock) within the time: its message came late, the car did not. At an EVSE
    that is reserved for the user, the session waits for the reservation's token instead of one of its own.
    """
    normal = normalise_id_tag(id_tag or "")
    found = _REMOTE_TOKEN.fullmatch(normal)
    if found is None:
        return _awaited(session, charge_point_id, normal) if normal else None
    row = session.get(ChargingSession, int(found[1]))
    if row is None or row.charge_point_id != charge_point_id or row.user_id is None:
        return None
    if row.status in RUNNING:
        return row
    limit = timedelta(seconds=settings.get_int(session, "session.fail_starting_after_seconds"))
    in_time = row.created_at - REMOTE_CLOCK_SLACK <= at <= row.created_at + limit
    return row if row.failure_reason in OVERDUE and in_time else None


def _awaited(session: Session, charge_point_id: int, normal: str) -> ChargingSession | None:
    """The session an operator has started that waits for this token, an RFID tag's or a reservation's."""
    return session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.charge_point_id == charge_point_id,
            ChargingSession.status == SessionStatus.PENDING,
            ChargingSession.source == AuthorizationSource.OPERATOR,
            func.upper(ChargingSession.id_tag) == normal,
        )
        .order_by(ChargingSession.id.desc())
        .limit(1)
    ).one_or_none()
