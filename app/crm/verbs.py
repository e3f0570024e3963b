"""What can be done to drivers, their groups and their tags. Manual, "Users" and "RFID Tags"."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.actions import open_action
from app.core.audit import record_change
from app.core.models import Action, ActionStatus, Admin
from app.core.references import listed, referring
from app.crm.models import RfidTag, RfidTagStatus, User, UserGroup, UserStatus
from app.crm.queries import find_tag

CHANGE_USER_STATUS = "Change User Status"
CHANGE_TAG_STATUS = "Change RFID Tag Status"
ADD_TO_GROUP = "Add to User Group"
REMOVE_FROM_GROUP = "Remove from User Group"

#: what a card, a key fob or an app sends: visible characters, without spaces (OCPP, idTag and idToken)
MAX_TAG_ID = 36
_TAG_ID = re.compile(rf"[!-~]{{1,{MAX_TAG_ID}}}")


class UserStatusUnchanged(ValueError):
    """The user has this status already."""


class UserErased(ValueError):
    """The personal data was erased; nobody can be made of the account again."""


class UserHasHistory(ValueError):
    """What the user did or paid is on record, so the account stays; it can be disabled."""


class GroupMembershipUnchanged(ValueError):
    """The user is in the group already, or not in it."""


class TagIdInvalid(ValueError):
    """The text cannot be a Tag ID."""


class TagIdTaken(ValueError):
    """Another tag has this Tag ID, regardless of case."""


class TagStatusUnchanged(ValueError):
    """The tag has this status already."""


def change_user_status(
    session: Session, *, user: User, status: UserStatus, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Disable a user, who can then neither sign in nor charge, or make them active again; flushes.

    Manual, "Disable user account": the log says "Change User Status", "from Active to Disabled", Finished.
    Raises UserStatusUnchanged, UserErased, ReasonRequired.
    """
    before = user.status
    if user.erased_at is not None:
        raise UserErased(f"{user.email} is erased: the account stays disabled.")
    if before is status:
        raise UserStatusUnchanged(f"{user.email} is {status.label.lower()} already.")
    info = f"from {before.label} to {status.label}"
    action = log_action(session, CHANGE_USER_STATUS, user, user.email, info, reason, actor, now)
    user.status = status
    _audit(session, actor, "change", user, {"status": before}, {"status": status})
    session.flush()
    return action


def require_no_history(session: Session, *, user: User) -> None:
    """Raise UserHasHistory if anything on record is the user's; their RFID tags go with them."""
    kept = referring(session, user)
    if kept:
        raise UserHasHistory(
            f"{user.email} cannot be deleted, because there are {listed(kept)} of this user. "
            "Instead, disable the account (Actions > Change status), "
            "or remove who it was (Actions > Erase personal data)."
        )


def add_to_group(
    session: Session, *, user: User, group: UserGroup, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Put a user into a group; flushes. Raises GroupMembershipUnchanged, ReasonRequired."""
    if group in user.groups:
        raise GroupMembershipUnchanged(f"{user.email} is in {group.name} already.")
    return _set_groups(session, ADD_TO_GROUP, user, group, [*user.groups, group], reason, actor, now)


def remove_from_group(
    session: Session, *, user: User, group: UserGroup, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Take a user out of a group; flushes. Raises GroupMembershipUnchanged, ReasonRequired."""
    if group not in user.groups:
        raise GroupMembershipUnchanged(f"{user.email} is not in {group.name}.")
    kept = [other for other in user.groups if other is not group]
    return _set_groups(session, REMOVE_FROM_GROUP, user, group, kept, reason, actor, now)


def _set_groups(
    session: Session,
    name: str,
    user: User,
    group: UserGroup,
    groups: list[UserGroup],
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    action = log_action(session, name, user, user.email, group.name, reason, actor, now)
    before = [other.name for other in user.groups]
    user.groups = groups
    _audit(session, actor, "change", user, {"groups": before}, {"groups": [other.name for other in groups]})
    session.flush()
    return action


def checked_tag_id(session: Session, *, tag_id: str, tag: RfidTag | None = None) -> str:
    """The Tag ID as it is stored, without spaces around; ``tag`` is the one that has it or gets it.

    Raises TagIdInvalid, TagIdTaken.
    """
    clean = tag_id.strip()
    if not _TAG_ID.fullmatch(clean):
        raise TagIdInvalid("A Tag ID has 1 to 36 letters, digits or signs, without spaces.")
    other = find_tag(session, tag_id=clean)
    if other is not None and other is not tag:
        raise TagIdTaken(f"This Tag ID belongs to {other.user.full_name} ({other.user.email}) already.")
    return clean


def change_tag_status(
    session: Session, *, tag: RfidTag, status: RfidTagStatus, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Disable a tag, which then starts no session, or make it active again; flushes.

    The log names the user it belongs to. Raises TagStatusUnchanged, ReasonRequired.
    """
    before = tag.status
    if before is status:
        raise TagStatusUnchanged(f"{tag.tag_id} is {status.label.lower()} already.")
    info = f"from {before.label} to {status.label}"
    label = f"{tag.tag_id} ({tag.user.email})"
    action = log_action(session, CHANGE_TAG_STATUS, tag, label, info, reason, actor, now)
    tag.status = status
    _audit(session, actor, "change", tag, {"status": before}, {"status": status})
    session.flush()
    return action


def _audit(
    session: Session,
    actor: Admin | None,
    event: str,
    row: User | RfidTag,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    record_change(
        session,
        actor=actor,
        event=event,
        object_type=row.__tablename__,
        object_id=row.id,
        label=str(row),
        before=before,
        after=after,
    )


def log_action(
    session: Session,
    name: str,
    row: User | RfidTag,
    label: str,
    info: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """The row of the Actions log; pages that show the user hear of it."""
    return open_action(
        session,
        name=name,
        target_type=row.__tablename__,
        target_id=row.id,
        target_label=label,
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        info=info,
        user_id=row.id if isinstance(row, User) else row.user_id,
        now=now,
    )
