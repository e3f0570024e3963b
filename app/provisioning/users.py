"""User groups, users, their RFID tags and balances of the file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

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
    stored = set(work.session.scalars(select(UserGroup.name)))
    for name in source.document.user_groups:
        if name not in stored:
            work.create(UserGroup(name=name), {"name": name})
        work.count("user groups", Outcome.UNCHANGED if name in stored else Outcome.CREATED)
        stored.add(name)
    work.flush()


def apply_users(work: Work, source: Source) -> None:
    """Create or update the users with what they have."""
    with work.session.no_autoflush:
        people = _People(work, source)
        users = [people.apply_user(entry) for entry in source.document.users]
        work.flush()
    for entry, user in zip(source.document.users, users, strict=True):
        if entry.balance is not None:
            _apply_balance(work, entry, user)


class _People:
    """The file's users, with all that is stored of them read beforehand: no query per user."""

    def __init__(self, work: Work, source: Source) -> None:
        self.work = work
        self.source = source
        session, entries = work.session, source.document.users
        emails = [entry.email.lower() for entry in entries]
        tag_ids = [tag.tag_id.upper() for entry in entries for tag in entry.rfid_tags]
        self.groups = {group.name: group for group in session.scalars(select(UserGroup))}
        users = select(User).where(func.lower(User.email).in_(emails)).options(selectinload(User.groups))
        self.users = {user.email.lower(): user for user in session.scalars(users)}
        tags = select(RfidTag).where(func.upper(RfidTag.tag_id).in_(tag_ids)).options(joinedload(RfidTag.user))
        self.tags = {tag.tag_id.upper(): tag for tag in session.scalars(tags)}

    def apply_user(self, entry: UserEntry) -> User:
        """One user with groups and RFID tags."""
        values: dict[str, Any] = {"email": entry.email, **entry.given("first_name", "last_name", "phone")}
        if entry.status is not None:
            values["status"] = entry.status
        groups = self._groups_of(entry)
        user = self.users.get(entry.email.lower())
        if user is None:
            user = User(**values, groups=groups)
            self.users[entry.email.lower()] = user
            self.work.create(user, {**values, "groups": [group.name for group in groups]})
            outcome = Outcome.CREATED
        else:
            outcome = self.work.change(user, values)
            if "groups" in entry.model_fields_set and self._set_groups(user, groups):
                outcome = Outcome.UPDATED
        self.work.count("users", outcome)
        for tag in entry.rfid_tags:
            self._apply_tag(tag, user)
        return user

    def _groups_of(self, entry: UserEntry) -> list[UserGroup]:
        found: dict[str, UserGroup] = {}
        for index, name in enumerate(entry.groups):
            if name in self.groups:
                found[name] = self.groups[name]
            elif name not in self.source.user_group_names:
                path = at(at(entry.path, "groups"), index)
                self.work.mistakes.add(path, f'there is no user group "{name}"')
        return list(found.values())

    def _set_groups(self, user: User, groups: list[UserGroup]) -> bool:
        before = sorted(group.name for group in user.groups)
        after = sorted(group.name for group in groups)
        if before == after:
            return False
        user.groups = groups
        self.work.audit("change", user, {"groups": before}, {"groups": after})
        return True

    def _apply_tag(self, entry: RfidTagEntry, user: User) -> None:
        """A tag of somebody else becomes this user's: a card changes hands."""
        tag = self.tags.get(entry.tag_id.upper())
        values: dict[str, Any] = {"tag_id": entry.tag_id, "user": user, **entry.given("card_no")}
        if "expires" in entry.model_fields_set:
            values["expires_on"] = entry.expires
        if entry.status is not None:
            values["status"] = entry.status
        if tag is None:
            tag = RfidTag(**values)
            self.tags[entry.tag_id.upper()] = tag
            self.work.create(tag, values)
            self.work.count("RFID tags", Outcome.CREATED)
        else:
            self.work.count("RFID tags", self.work.change(tag, values))


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
