"""One user of an import: the lines in the file, and the user and the cards made or changed as they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.audit import plain
from app.core.import_columns import parsed
from app.core.import_file import Line, Mistake, Sheet
from app.crm.import_columns import COLUMNS, EMAIL, TAG, TAG_ID, USER
from app.crm.models import RfidTag, RfidTagStatus, User, UserGroup, UserStatus

#: of a new user, what the database would fill in
_EMPTY = dict.fromkeys(
    (
        "first_name", "last_name", "company", "vat_no", "address", "post_code", "city", "country", "car_make",
        "car_model", "licence_plate",
    ),
    "",
)  # fmt: skip
DEFAULTS: dict[str, Any] = {
    **_EMPTY, "status": UserStatus.ACTIVE, "locale": "en", "phone": None, "date_of_birth": None,
}  # fmt: skip


@dataclass
class Known:
    """What a file can name, read once: groups by name, whose the cards are by Tag ID in upper case."""

    groups: Mapping[str, UserGroup]
    holders: Mapping[str, RfidTag]
    given_tags: dict[str, int] = field(default_factory=dict)


@dataclass
class UserLines:
    """The lines of one user: the own cells with the line each comes from, and the lines of the cards."""

    key: str
    numbers: tuple[int, ...]
    cells: dict[str, tuple[int, str]]
    tags: list[tuple[str, Line]]


def gather(sheet: Sheet, mistakes: list[Mistake]) -> list[UserLines]:
    """The file's users in its order; lines that contradict each other are mistakes."""
    if EMAIL not in sheet.columns:
        mistakes.append(Mistake(1, EMAIL, "This column is needed: it says which user a line is about."))
        return []
    found: dict[str, UserLines] = {}
    for line in sheet.lines:
        if EMAIL not in line.cells:
            mistakes.append(Mistake(line.number, EMAIL, "Every line needs the user's e-mail address."))
            continue
        try:
            key = COLUMNS[EMAIL].parse(line.cells[EMAIL]).lower()
        except ValueError as error:
            mistakes.append(Mistake(line.number, EMAIL, str(error)))
            continue
        user = found.setdefault(key, UserLines(key, (), {}, []))
        user.numbers = (*user.numbers, line.number)
        _add_own_cells(user, line, mistakes)
        _add_tag(user, line, mistakes)
    return list(found.values())


def _add_own_cells(user: UserLines, line: Line, mistakes: list[Mistake]) -> None:
    for column in USER:
        if column.name not in line.cells:
            continue
        cell = line.cells[column.name]
        first, said = user.cells.setdefault(column.name, (line.number, cell))
        if said != cell and column.name != EMAIL:
            told = f"Line {first} says something else of the same user. Repeat it or leave it empty here."
            mistakes.append(Mistake(line.number, column.name, told))


def _add_tag(user: UserLines, line: Line, mistakes: list[Mistake]) -> None:
    if not any(column.name in line.cells for column in TAG):
        return
    if TAG_ID not in line.cells:
        mistakes.append(Mistake(line.number, TAG_ID, "Say which card this is: its Tag ID."))
        return
    try:
        user.tags.append((COLUMNS[TAG_ID].parse(line.cells[TAG_ID]), line))
    except ValueError as error:
        mistakes.append(Mistake(line.number, TAG_ID, str(error)))


def facts_of(user: User) -> dict[str, Any]:
    """What the columns say of a user and the cards, as the audit and the preview tell it."""
    found: dict[str, Any] = {}
    for column in USER:
        if column.attribute != "groups":
            found[column.attribute] = plain(getattr(user, column.attribute))
    found["groups"] = ", ".join(sorted(group.name for group in user.groups)) or None
    for tag in user.rfid_tags:
        for column in TAG[1:]:
            found[f"RFID Tag {tag.tag_id} {column.label}"] = plain(getattr(tag, column.attribute))
    return found


def change_user(lines: UserLines, stored: User | None, known: Known, mistakes: list[Mistake]) -> User:
    """Make the user what the lines say; what cannot be is added to ``mistakes``."""
    said = dict(parsed(lines.cells, USER, mistakes))
    user = stored
    if user is None:
        user = User(**DEFAULTS, email=said["email"], groups=[], rfid_tags=[])
    elif user.erased_at is not None:
        mistakes.append(Mistake(lines.numbers[0], EMAIL, "The personal data of this user was erased."))
        return user
    for attribute, value in said.items():
        if attribute in ("email", "groups"):
            continue
        wanted = _EMPTY[attribute] if value is None and attribute in _EMPTY else value
        if getattr(user, attribute) != wanted:
            setattr(user, attribute, wanted)
    if "groups" in said:
        _set_groups(user, said["groups"] or [], lines.cells["groups"][0], known, mistakes)
    for tag_id, line in lines.tags:
        _change_tag(user, tag_id, line, known, mistakes)
    return user


def _set_groups(user: User, names: list[str], line: int, known: Known, mistakes: list[Mistake]) -> None:
    wanted = []
    for name in names:
        group = known.groups.get(name.casefold())
        if group is None:
            told = f"There is no User Group “{name[:60]}”. Create it first, in CRM > User Groups."
            mistakes.append(Mistake(line, "groups", told))
        elif group not in wanted:
            wanted.append(group)
    if {group.id for group in wanted} != {group.id for group in user.groups}:
        user.groups = wanted


def _change_tag(user: User, tag_id: str, line: Line, known: Known, mistakes: list[Mistake]) -> None:
    first = known.given_tags.setdefault(tag_id.upper(), line.number)
    if first != line.number:
        mistakes.append(Mistake(line.number, TAG_ID, f"Line {first} is about this Tag ID already."))
        return
    tag = known.holders.get(tag_id.upper())
    if tag is not None and (user.id is None or tag.user_id != user.id):
        holder = tag.user
        told = f"This Tag ID belongs to {holder.full_name} ({holder.email}) already."
        mistakes.append(Mistake(line.number, TAG_ID, told))
        return
    said = dict(parsed({name: (line.number, cell) for name, cell in line.cells.items()}, TAG, mistakes))
    if tag is None:
        tag = RfidTag(tag_id=tag_id, card_no=None, expires_on=None, status=RfidTagStatus.ACTIVE)
        user.rfid_tags.append(tag)
    for attribute, value in said.items():
        if attribute != "tag_id" and getattr(tag, attribute) != value:
            setattr(tag, attribute, value)
