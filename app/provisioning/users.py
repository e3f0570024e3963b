"""User groups, users, their RFID tags and balances of the file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from app.billing import ledger
from app.core import settings
from app.crm.models import RfidTag, User, UserGroup
from app.provisioning.changes import Outcome, Work
from app.provisioning.document import RfidTagEntry, UserEntry
from app.provisioning.mistakes import at
from app.provisioning.reading import Source

REASON = "Provisioning file"


def apply_user_groups(work: Work, source: Source) -> None:
    """Make the groups that are missing."""
    for name in source.document.user_groups:
        group = work.session.scalars(select(UserGroup).where(UserGroup.name == name)).one_or_none()
        if group is None:
            work.create(UserGroup(name=name), {"name": name})
        work.count("user groups", Outcome.UNCHANGED if group else Outcome.CREATED)


def apply_users(work: Work, source: Source) -> None:
    """Create or update the users with what they have."""
    for entry in source.document.users:
        user = _apply_user(work, entry, source)
        for tag in entry.rfid_tags:
            _apply_tag(work, tag, user)
        if entry.balance is not None:
            _apply_balance(work, entry, user)


def _apply_user(work: Work, entry: UserEntry, source: Source) -> User:
    user = work.session.scalars(select(User).where(func.lower(User.email) == entry.email.lower())).one_or_none()
    values: dict[str, Any] = {
        "email": entry.email,
        **entry.given("first_name", "last_name", "phone"),
    }
    if entry.status is not None:
        values["status"] = entry.status
    groups = _groups(work, entry, source)
    if user is None:
        user = User(**values, groups=groups)
        work.create(user, {**values, "groups": [group.name for group in groups]})
        work.count("users", Outcome.CREATED)
        return user
    outcome = work.change(user, values)
    if "groups" in entry.model_fields_set and _set_groups(work, user, groups):
        outcome = Outcome.UPDATED
    work.count("users", outcome)
    return user


def _groups(work: Work, entry: UserEntry, source: Source) -> list[UserGroup]:
    found: dict[str, UserGroup] = {}
    for index, name in enumerate(entry.groups):
        group = work.session.scalars(select(UserGroup).where(UserGroup.name == name)).one_or_none()
        if group is not None:
            found[name] = group
        elif name not in source.user_group_names:
            work.mistakes.add(at(at(entry.path, "groups"), index), f'there is no user group "{name}"')
    return list(found.values())


def _set_groups(work: Work, user: User, groups: list[UserGroup]) -> bool:
    before = sorted(group.name for group in user.groups)
    after = sorted(group.name for group in groups)
    if before == after:
        return False
    user.groups = groups
    work.session.flush()
    work.audit("change", user, {"groups": before}, {"groups": after})
    return True


def _apply_tag(work: Work, entry: RfidTagEntry, user: User) -> None:
    """A tag of somebody else becomes this user's: a card changes hands."""
    tag = work.session.scalars(select(RfidTag).where(func.upper(RfidTag.tag_id) == entry.tag_id.upper())).one_or_none()
    values: dict[str, Any] = {"tag_id": entry.tag_id, "user_id": user.id, **entry.given("card_no")}
    if "expires" in entry.model_fields_set:
        values["expires_on"] = entry.expires
    if entry.status is not None:
        values["status"] = entry.status
    if tag is None:
        work.create(RfidTag(**values), values)
        work.count("RFID tags", Outcome.CREATED)
    else:
        work.count("RFID tags", work.change(tag, values))


def _apply_balance(work: Work, entry: UserEntry, user: User) -> None:
    assert entry.balance is not None
    try:
        moved = ledger.bring_balance_to(
            work.session,
            user=user,
            target=entry.balance,
            currency=settings.get_text(work.session, "system.currency"),
            reason=REASON,
            actor=work.actor,
            now=work.now,
        )
    except (ledger.InvalidLedgerAmount, ledger.UnknownCurrency) as error:
        work.mistakes.add(at(entry.path, "balance"), str(error))
        return
    work.count("balances", Outcome.UPDATED if moved else Outcome.UNCHANGED)
