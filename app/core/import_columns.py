"""The columns of an import: how their cells are read. Pure; which columns there are is said beside each import."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from app.core.import_file import Mistake

#: a cell that says: nothing shall be there. An empty cell leaves what is there.
CLEAR = "-"

_YES = frozenset({"true", "yes", "y", "1", "x", "wahr", "ja", "vrai", "oui"})
_NO = frozenset({"false", "no", "n", "0", "falsch", "nein", "faux", "non"})
_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+\d+")


@dataclass(frozen=True)
class Column:
    """A column: where its value goes, how its text is read, and what is told of it.

    ``parse`` raises ValueError with a sentence. ``clearable``: a "-" makes it empty. ``of_line``: of the part that the
    line is about (an EVSE, a card), not of the whole (the charge point, the user), which may have several lines.
    """

    name: str
    attribute: str
    label: str
    parse: Callable[[str], Any]
    help: str
    example: str = ""
    clearable: bool = False
    of_line: bool = False
    secret: bool = False

    @property
    def options(self) -> str:
        """What may be chosen, in words; empty where anything may be written."""
        return str(getattr(self.parse, "options", ""))


def text(limit: int) -> Callable[[str], str]:
    """Text of at most so many characters."""

    def parse(cell: str) -> str:
        if len(cell) > limit:
            raise ValueError(f"At most {limit} characters are possible.")
        if re.search(r"[\x00-\x1f\x7f]", cell):
            raise ValueError("Line breaks and other control characters are not possible here.")
        return cell

    return parse


def code(limit: int) -> Callable[[str], str]:
    """An ID; what a spreadsheet has made a number of is refused, because its digits are lost."""
    short = text(limit)

    def parse(cell: str) -> str:
        cell = cell[1:] if re.fullmatch(r"'\d.*", cell) else cell
        if _SCIENTIFIC.fullmatch(cell):
            raise ValueError(
                f"The spreadsheet has made a number of this ID ({cell}). Format the column as Text and enter it again."
            )
        return short(cell)

    return parse


class Choice:
    """Reads a member of an enum by value or label, whatever the case and the blanks."""

    def __init__(self, kind: type[StrEnum]) -> None:
        self.options = ", ".join(_label(member) for member in kind)
        self._members: dict[str, Any] = {
            _plain(name): member for member in kind for name in (member.value, _label(member))
        }

    def __call__(self, cell: str) -> Any:
        """The member. Raises ValueError."""
        found = self._members.get(_plain(cell.removeprefix("'")))
        if found is None:
            raise ValueError(f"“{cell[:60]}” is none of: {self.options}.")
        return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _label(member: Any) -> str:
    return str(getattr(member, "label", member.value))


def yes_no(cell: str) -> bool:
    """Yes or no in the words of spreadsheets."""
    if cell.casefold() in _YES:
        return True
    if cell.casefold() in _NO:
        return False
    raise ValueError(f"“{cell[:60]}” is neither yes nor no.")


def number(cell: str) -> Decimal:
    """A number with a point or a comma. Raises ValueError."""
    plain = cell.replace(" ", "")
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        found = Decimal(plain)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ValueError(f"“{cell[:60]}” is no number.")
    return found


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds; spreadsheets may write it 1,0."""

    def parse(cell: str) -> int:
        found = number(cell)
        if found != found.to_integral_value() or not low <= found <= high:
            raise ValueError(f"A whole number from {low} to {high:,} is expected, not “{cell[:60]}”.")
        return int(found)

    return parse


class OneOf:
    """Reads a number among few, also by its words."""

    def __init__(self, options: dict[int, str]) -> None:
        self.options = ", ".join(f"{value} ({label})" for value, label in options.items())
        self._values = {_plain(label): value for value, label in options.items()}
        self._values |= {str(value): value for value in options}

    def __call__(self, cell: str) -> int:
        """The number. Raises ValueError."""
        found = self._values.get(_plain(re.sub(r"[.,]0+$", "", cell)))
        if found is None:
            raise ValueError(f"“{cell[:60]}” is none of: {self.options}.")
        return found


def day(cell: str, *, earliest: int = 1970) -> date:
    """A date: 2026-11-22, 22.11.2026, or with slashes where only one reading is possible; from a year on."""
    plain = re.sub(r"[T ]00:00(:00)?(\.0+)?$", "", cell)
    year, month, in_month = 0, 0, 0
    if match := re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", plain):
        year, month, in_month = (int(part) for part in match.groups())
    elif match := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", plain):
        in_month, month, year = (int(part) for part in match.groups())
    elif match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", plain):
        one, two, year = (int(part) for part in match.groups())
        if one != two and max(one, two) <= 12:
            raise ValueError(f"“{cell[:60]}” can be two dates. Write it as {year}-MM-DD.")
        month, in_month = (two, one) if one > 12 else (one, two)
    try:
        if earliest <= year <= 2200:
            return date(year, month, in_month)
    except ValueError:
        pass
    raise ValueError(f"“{cell[:60]}” is no date. Write it like 2026-11-22.")


def parsed(
    cells: Mapping[str, tuple[int, str]], columns: Sequence[Column], mistakes: list[Mistake]
) -> Iterator[tuple[str, Any]]:
    """Attribute and value of each cell that can be read, None for one that is to be made empty.

    ``cells`` are by column, each with its line; what cannot be read is added to ``mistakes``.
    """
    for column in columns:
        if column.name not in cells:
            continue
        line, cell = cells[column.name]
        if cell == CLEAR:
            if column.clearable:
                yield column.attribute, None
            else:
                mistakes.append(Mistake(line, column.name, "This cannot be made empty."))
            continue
        try:
            yield column.attribute, column.parse(cell)
        except ValueError as error:
            mistakes.append(Mistake(line, column.name, str(error)))
