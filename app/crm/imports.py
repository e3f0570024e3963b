"""An import of users and cards: what a file would create and change, and doing it, all or nothing.

The preview and the import run the same code. The preview is rolled back by whoever asked for it; the import compares
what it is about to do with what was previewed, and refuses when the two differ. Users and cards that the file does
not name stay as they are. Balances are not imported: money has its own actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.actions import open_action
from app.core.audit import record_change
from app.core.import_file import Mistake, read_sheet
from app.core.import_plan import Difference, ImportChanged, InvalidImport, Outcome, Plan, Planned
from app.core.models import Action, ActionStatus, Admin
from app.crm import profile_fields, verbs
from app.crm.import_columns import COLUMNS, READ_ONLY, TAG, USER
from app.crm.import_users import Known, UserLines, change_user, facts_of, gather
from app.crm.models import RfidTag, User, UserGroup, UserStatus
from app.crm.profile_fields import FieldStatus

IMPORT_USERS = "Import Users"
#: what the Actions log calls the target of an import: it has no page
TARGET = "user_import"
_CHUNK = 2000
_LABELS = {column.attribute: column.label for column in USER}

HEADER: tuple[str, ...] = tuple(column.name for column in (*USER, *TAG))


@dataclass
class _Row:
    """A user in the session, with what there was before."""

    user: User
    before: dict[str, Any]
    status: UserStatus | None


def preview_import(session: Session, *, data: bytes) -> Plan:
    """What the file would do. The session is left with it undone only by a rollback, which is the caller's.

    Raises UnreadableFile.
    """
    return _prepare(session, data, lock=False)[0]


def apply_import(
    session: Session, *, data: bytes, previewed: str, reason: str, actor: Admin | None, now: datetime
) -> tuple[Plan, Action]:
    """Create and change what the file says: an audit entry for each user, an Action for the whole. Flushes.

    ``previewed`` is the digest of the plan that was shown. A user whose status changes has an Action of their own.
    Raises UnreadableFile, InvalidImport, ImportChanged, ReasonRequired.
    """
    plan, rows = _prepare(session, data, lock=True)
    if plan.mistakes:
        raise InvalidImport(plan)
    if plan.digest != previewed:
        raise ImportChanged("What the file would do has changed since the preview.")
    session.add_all(row.user for row in rows)
    session.flush()
    action = open_action(
        session, name=IMPORT_USERS, target_type=TARGET, target_id=0, target_label=_count(plan), reason=reason,
        actor=actor, status=ActionStatus.FINISHED, info=f"{plan.lines:,} lines", now=now,
    )  # fmt: skip
    for row in rows:
        _record(session, row, action, actor, now)
    session.flush()
    return plan, action


def rows_of(user: User) -> Iterator[list[Any]]:
    """A line for each card, one if there is none; every line has the user's own columns."""
    own = [
        ", ".join(group.name for group in user.groups) or None
        if column.attribute == "groups"
        else getattr(user, column.attribute) or None
        for column in USER
    ]
    for tag in user.rfid_tags:
        yield own + [getattr(tag, column.attribute) for column in TAG]
    if not user.rfid_tags:
        yield own + [None] * len(TAG)


def examples() -> list[list[str]]:
    """The template's lines: a user with two cards."""
    first = [column.example for column in (*USER, *TAG)]
    second = [column.example if column.of_line or column.name == "email" else "" for column in (*USER, *TAG)]
    second[HEADER.index("tag_id")] = "04A2B3C4D5E681"
    second[HEADER.index("card_no")] = "SYNC-0002"
    return [first, second]


def _count(plan: Plan) -> str:
    created, changed = plan.count(Outcome.CREATED), plan.count(Outcome.CHANGED)
    return f"{created:,} created, {changed:,} changed, {plan.unchanged:,} unchanged"


def _record(session: Session, row: _Row, action: Action, actor: Admin | None, now: datetime) -> None:
    user, is_new = row.user, not row.before
    record_change(
        session,
        actor=actor,
        event="create" if is_new else "change",
        object_type=User.__tablename__,
        object_id=user.id,
        label=str(user),
        before=row.before,
        after={name: value for name, value in facts_of(user).items() if not is_new or value},
    )
    if row.status is not None and row.status is not user.status:
        info = f"from {row.status.label} to {user.status.label}"
        told = f"{action.reason} ({IMPORT_USERS} #{action.id})"
        verbs.log_action(session, verbs.CHANGE_USER_STATUS, user, user.email, info, told, actor, now)


def _prepare(session: Session, data: bytes, *, lock: bool) -> tuple[Plan, list[_Row]]:
    sheet = read_sheet(data, known=COLUMNS, read_only=READ_ONLY, of="users")
    plan = Plan(len(sheet.lines), sheet.ignored, list(sheet.mistakes))
    everyone = gather(sheet, plan.mistakes)
    fields = profile_fields.statuses(session)
    with session.no_autoflush:
        stored = _users(session, [lines.key for lines in everyone], lock=lock)
        known = _known(session, everyone)
        rows = [
            row for lines in everyone if (row := _plan(plan, lines, stored.get(lines.key), known, fields)) is not None
        ]
    plan.mistakes.sort(key=lambda mistake: mistake.line)
    return plan, rows


def _plan(
    plan: Plan, lines: UserLines, stored: User | None, known: Known, fields: Mapping[str, FieldStatus]
) -> _Row | None:
    """One user: None when everything stays as it is, or cannot become what the file says."""
    before = facts_of(stored) if stored is not None else {}
    status = stored.status if stored is not None else None
    mistakes: list[Mistake] = []
    user = change_user(lines, stored, known, mistakes)
    plan.mistakes.extend(mistakes)
    if mistakes:
        return None
    after = facts_of(user)
    differences = tuple(
        Difference(_LABELS.get(name, name), before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )
    if stored is not None and not differences:
        plan.unchanged += 1
        return None
    outcome = Outcome.CREATED if stored is None else Outcome.CHANGED
    shown = tuple(d for d in differences if stored is not None or d.after not in (None, False, ""))
    missing = profile_fields.missing(user, fields)
    warnings = (f"Not filled in, but required: {', '.join(missing)}.",) if missing else ()
    plan.planned.append(Planned(user.email, user.full_name, lines.numbers, outcome, shown, warnings))
    return _Row(user, before, status)


def _users(session: Session, keys: Sequence[str], *, lock: bool) -> dict[str, User]:
    """The stored users with these addresses (lower case), with groups and cards."""
    found = {}
    for start in range(0, len(keys), _CHUNK):
        query = (
            select(User)
            .where(func.lower(User.email).in_(keys[start : start + _CHUNK]))
            .order_by(User.id)
            .options(selectinload(User.groups), selectinload(User.rfid_tags))
            .execution_options(populate_existing=True)
        )
        if lock:
            query = query.with_for_update(of=User, key_share=True)
        found.update({user.email.lower(): user for user in session.scalars(query)})
    return found


def _known(session: Session, everyone: Sequence[UserLines]) -> Known:
    """Everything the file can name, read once: no query per line."""
    given = sorted({tag_id.upper() for lines in everyone for tag_id, _ in lines.tags})
    holders = {}
    for start in range(0, len(given), _CHUNK):
        query = (
            select(RfidTag)
            .where(func.upper(RfidTag.tag_id).in_(given[start : start + _CHUNK]))
            .options(joinedload(RfidTag.user))
        )
        holders.update({tag.tag_id.upper(): tag for tag in session.scalars(query)})
    groups = {group.name.casefold(): group for group in session.scalars(select(UserGroup))}
    return Known(groups=groups, holders=holders)
