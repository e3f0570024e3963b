"""Local authorisation lists: who may charge at a station while it is offline, and which tags it should keep for that.

Manual, "Enable Local Auth List"; OCPP 1.6, 3.5.2 and 5.15. How it is kept in step is in ``local_list_sync``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.assets.actions import note_action
from app.assets.models import ChargePoint
from app.charging.models import ConfigurationKey, LocalList, local_list_user
from app.core import settings
from app.core.models import Action, Admin
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus

#: a tag a station can keep: OCPP 1.6, IdToken
LONGEST_TAG = 20
#: so many entries go in one message when the station does not say how many it takes
ENTRIES_A_MESSAGE = 200
#: keys by which a station says what it can take
_MOST_A_MESSAGE, _MOST_IN_ALL, _ENABLED = "SendLocalListMaxLength", "LocalAuthListMaxLength", "LocalAuthListEnabled"
ADD_USERS, REMOVE_USERS = "Add users to local auth list", "Remove users from local auth list"

Entries = dict[str, dict[str, Any]]


class ListUnchanged(ValueError):
    """The users are on the list, or off it, already."""


@dataclass(frozen=True)
class Wanted:
    """What a station should keep, and what of its users' tags it cannot: too long, or beyond what it holds."""

    entries: Entries
    too_long: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    #: the station says that it does not use its list
    switched_off: bool = False
    a_message: int = ENTRIES_A_MESSAGE


# --- what it should be


def wanted_entries(session: Session, charge_points: Sequence[ChargePoint], *, now: datetime) -> dict[int, Wanted]:
    """What each of these stations should keep, by its id; nothing where the list is not enabled. Three queries.

    Tags of its users go as accepted; a disabled tag or a disabled user's as blocked, so that neither the list nor the
    station's own cache lets it in. Tags of users taken off are taken off.
    """
    enabled = [each.id for each in charge_points if each.local_auth_list]
    zone = ZoneInfo(settings.get_text(session, "system.timezone"))
    tags: dict[int, list[tuple[RfidTag, bool]]] = {each.id: [] for each in charge_points}
    if enabled:
        rows = session.execute(
            select(local_list_user.c.charge_point_id, RfidTag, User.status)
            .join(User, User.id == local_list_user.c.user_id)
            .join(RfidTag, RfidTag.user_id == User.id)
            .where(local_list_user.c.charge_point_id.in_(enabled))
            .order_by(RfidTag.id)
        )
        for charge_point_id, tag, status in rows:
            tags[charge_point_id].append((tag, status is UserStatus.ACTIVE and tag.status is RfidTagStatus.ACTIVE))
    limits = _limits(session, enabled)
    return {each.id: _wanted(tags[each.id], limits.get(each.id, {}), zone, now) for each in charge_points}


def _wanted(tags: list[tuple[RfidTag, bool]], limits: dict[str, str], zone: ZoneInfo, now: datetime) -> Wanted:
    fitting = [(tag, active) for tag, active in tags if len(tag.tag_id) <= LONGEST_TAG]
    fitting.sort(key=lambda pair: not pair[1])  # whoever may charge comes before whom to refuse
    entries: Entries = {}
    for tag, active in fitting:
        entries[tag.tag_id.upper()] = _entry(tag, active, zone, now)
    most = _number(limits.get(_MOST_IN_ALL))
    beyond: tuple[str, ...] = ()
    if most is not None and len(entries) > most:
        names = list(entries)
        beyond = tuple(name for name in names[most:] if entries[name]["status"] == "accepted")
        entries = {name: entries[name] for name in names[:most]}
    return Wanted(
        entries,
        too_long=tuple(tag.tag_id for tag, _ in tags if len(tag.tag_id) > LONGEST_TAG),
        beyond=beyond,
        switched_off=limits.get(_ENABLED, "").strip().lower() == "false",
        a_message=_number(limits.get(_MOST_A_MESSAGE)) or ENTRIES_A_MESSAGE,
    )


def _entry(tag: RfidTag, active: bool, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    """As a station is told; a tag is good to the end of its last day."""
    if not active:
        return {"status": "blocked"}
    if tag.expires_on is None:
        return {"status": "accepted"}
    expires_at = datetime.combine(tag.expires_on + timedelta(days=1), time(), tzinfo=zone)
    if expires_at <= now:
        return {"status": "expired"}
    return {"status": "accepted", "expires_at": expires_at.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _limits(session: Session, charge_point_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    names = {name.lower(): name for name in (_MOST_A_MESSAGE, _MOST_IN_ALL, _ENABLED)}
    found: dict[int, dict[str, str]] = {}
    if not charge_point_ids:
        return found
    for row in session.execute(
        select(ConfigurationKey.charge_point_id, ConfigurationKey.key, ConfigurationKey.value).where(
            ConfigurationKey.charge_point_id.in_(charge_point_ids), func.lower(ConfigurationKey.key).in_(list(names))
        )
    ):
        found.setdefault(row.charge_point_id, {})[names[row.key.lower()]] = row.value or ""
    return found


def _number(text: str | None) -> int | None:
    """A limit; what is no positive number is none."""
    cleaned = (text or "").strip()
    return int(cleaned) if cleaned.isascii() and cleaned.isdigit() and int(cleaned[:9]) > 0 else None


# --- who is on it


def users_of(session: Session, *, charge_point_id: int) -> list[User]:
    """The users of a station's list, by name."""
    return list(
        session.scalars(
            select(User)
            .join(local_list_user, local_list_user.c.user_id == User.id)
            .where(local_list_user.c.charge_point_id == charge_point_id)
            .order_by(User.first_name, User.last_name, User.id)
        )
    )


def add_users(
    session: Session, *, charge_point: ChargePoint, users: Iterable[User], reason: str, actor: Admin, now: datetime
) -> Action:
    """Let these users charge here while the station is offline. Flushes. Raises ListUnchanged, ReasonRequired."""
    names = {user.id: user.full_name for user in users}
    added = session.scalars(
        insert(local_list_user)
        .values([{"charge_point_id": charge_point.id, "user_id": number} for number in names])
        .on_conflict_do_nothing()
        .returning(local_list_user.c.user_id)
    ).all()
    if not added:
        raise ListUnchanged("They are on the local auth list already.")
    return _log(session, ADD_USERS, charge_point, [names[number] for number in added], reason, actor, now)


def remove_users(
    session: Session, *, charge_point: ChargePoint, users: Iterable[User], reason: str, actor: Admin, now: datetime
) -> Action:
    """Take users off a station's list. Flushes. Raises ListUnchanged, ReasonRequired."""
    names = {user.id: user.full_name for user in users}
    removed = session.scalars(
        delete(local_list_user)
        .where(local_list_user.c.charge_point_id == charge_point.id, local_list_user.c.user_id.in_(list(names)))
        .returning(local_list_user.c.user_id)
    ).all()
    if not removed:
        raise ListUnchanged("They are not on the local auth list.")
    return _log(session, REMOVE_USERS, charge_point, [names[number] for number in removed], reason, actor, now)


def _log(
    session: Session, name: str, charge_point: ChargePoint, users: list[str], reason: str, actor: Admin, now: datetime
) -> Action:
    info = ", ".join(sorted(users))
    return note_action(session, name=name, charge_point=charge_point, info=info, reason=reason, actor=actor, now=now)


def list_of(session: Session, *, charge_point_id: int) -> LocalList | None:
    """A station's list as it stands; None when it never had one."""
    return session.get(LocalList, charge_point_id)
