"""The Actions log: every remote or account-changing action is a row with a reason before anything happens.

Manual, "Charge Point Actions"; product.md, "Actions".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core import events, principal
from app.core.models import HOUSE_PARTNER_ID, Action, ActionStatus, Admin

RULE = "System"
#: announced when an action is opened and when its outcome is recorded
CHANGED = "action.changed"


_OPENED = "actions.opened"


def opened(session: Session) -> int:
    """How many actions this session has written: whoever runs something sees by it whether it was logged."""
    return int(session.info.get(_OPENED, 0))


class ReasonRequired(ValueError):
    """An action needs a reason of at least one visible character."""


def open_action(
    session: Session,
    *,
    name: str,
    target_type: str,
    target_id: int,
    target_label: str,
    reason: str,
    actor: Admin | None,
    status: ActionStatus,
    partner_id: int | None = None,
    charge_point_id: int | None = None,
    info: str | None = None,
    command: str | None = None,
    request: dict[str, Any] | None = None,
    deadline_at: datetime | None = None,
    user_id: int | None = None,
    now: datetime,
) -> Action:
    """Write the row of an action and flush, so that it has its number. ``actor`` None: a rule of the system.

    ``partner_id``: whose row it is, by default whoever it is done on behalf of: a partner, else the operator.
    ``user_id``: a driver whose pages hear of it beside those of the charge point.

    Raises ReasonRequired.
    """
    if not reason.strip():
        raise ReasonRequired("a reason is required; it is kept in the Actions log")
    partner_id = partner_id or principal.current().partner_id or HOUSE_PARTNER_ID
    action = Action(
        partner_id=partner_id,
        created_at=now,
        name=name,
        target_type=target_type,
        target_id=target_id,
        target_label=target_label[:255],
        charge_point_id=charge_point_id,
        info=info,
        reason=reason.strip(),
        status=status,
        admin_id=actor.id if actor else None,
        initiated_by=actor.name if actor else RULE,
        command=command,
        request=request,
        deadline_at=deadline_at,
        finished_at=None if status is ActionStatus.PENDING else now,
    )
    session.add(action)
    session.flush()
    session.info[_OPENED] = opened(session) + 1
    tell_changed(session, action_id=action.id, partner_id=partner_id, charge_point_id=charge_point_id, user_id=user_id)
    return action


def tell_changed(
    session: Session, *, action_id: int, partner_id: int, charge_point_id: int | None, user_id: int | None = None
) -> None:
    """Tell screens, after the commit, that an action is new or has its outcome."""
    ids = {"action_id": action_id, "charge_point_id": charge_point_id, "user_id": user_id}
    events.announce(session, CHANGED, partner_id=partner_id, **{k: v for k, v in ids.items() if v is not None})
