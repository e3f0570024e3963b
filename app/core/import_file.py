"""A CSV as spreadsheets write it: lines with their cells, or what is wrong with the file in words.

Pure: knows nothing of the database, nor which columns there are.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection
from dataclasses import dataclass, field

MAX_BYTES = 8 * 1024 * 1024
MAX_LINES = 20_000
MAX_CELL = 10_000

#: what our own exports put an apostrophe in front of, so that a spreadsheet takes it for text
_GUARDED = re.compile(r"'\s*[=+\-@＝＋－＠]|'[\t\r\n]")
_SEPARATORS = (";", ",", "\t")


class UnreadableFile(ValueError):
    """The file cannot be read as a table at all; the message says why and what to do."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and where: the line of the file (1 is the header) and the column, empty for the whole line."""

    line: int
    column: str
    message: str


@dataclass(frozen=True)
class Line:
    """A line of the file: its number and its cells that are not empty, by column."""

    number: int
    cells: dict[str, str]


@dataclass
class Sheet:
    """A file that could be read: the columns it has, its lines, and what is wrong with its header."""

    columns: list[str]
    lines: list[Line]
    #: columns that are ours but are never imported (what a station reports, what is counted)
    ignored: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


def read_sheet(data: bytes, *, known: Collection[str], read_only: Collection[str], of: str) -> Sheet:
    """The lines of a file: UTF-8 (with or without BOM) or UTF-16, separated by comma, semicolon or tab.

    ``of`` says what its lines are about, as in "charge points". Raises UnreadableFile.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableFile(f"The file is larger than {MAX_BYTES // 1024 // 1024} MB. Split it and import the parts.")
    text = _decoded(data)
    if "\x00" in text:
        raise UnreadableFile("This is no text file. In a spreadsheet choose “Save as … CSV UTF-8”.")
    text, separator = _separated(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    header: list[str] | None = None
    sheet = Sheet([], [])
    end = 0
    try:
        for cells in rows:
            begin, end = end + 1, rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [_header(cell) for cell in cells]
                _judge_header(sheet, header, begin, known, read_only)
                continue
            if len(sheet.lines) >= MAX_LINES:
                raise UnreadableFile(f"The file has more than {MAX_LINES:,} lines. Split it and import the parts.")
            sheet.lines.append(_line(sheet, header, cells, begin))
    except csv.Error as error:
        raise UnreadableFile(f"Line {rows.line_num} cannot be read: {error}.") from None
    if header is None:
        raise UnreadableFile("The file is empty. Begin with the template.")
    if not sheet.lines and not sheet.mistakes:
        raise UnreadableFile(f"The file has a header, but no {of} below it.")
    return sheet


def _decoded(data: bytes) -> str:
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableFile(f"Line {line} is not UTF-8 text. In a spreadsheet choose “Save as … CSV UTF-8”.") from None


def _separated(text: str) -> tuple[str, str]:
    """The text without Excel's ``sep=`` line, and what separates its cells: what the header has most of."""
    match = re.match(r"sep=(.)\r?\n", text)
    if match:
        # the line stays as an empty one, so that the others keep their numbers
        return text[match.end() - 1 :], match[1]
    header = next((line for line in text.splitlines() if line.strip()), "")
    return text, max(_SEPARATORS, key=header.count)


def _header(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().strip("'").lower())


def _judge_header(
    sheet: Sheet, header: list[str], line: int, known: Collection[str], read_only: Collection[str]
) -> None:
    for name in dict.fromkeys(name for name in header if name):
        if header.count(name) > 1:
            sheet.mistakes.append(Mistake(line, name, "This column is there twice."))
        elif name in known:
            sheet.columns.append(name)
        elif name in read_only:
            sheet.ignored.append(name)
        else:
            near = difflib.get_close_matches(name, list(known), n=1)
            meant = f" Do you mean {near[0]}?" if near else ""
            sheet.mistakes.append(Mistake(line, name[:60], f"There is no such column.{meant}"))


def _line(sheet: Sheet, header: list[str], cells: list[str], number: int) -> Line:
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        sheet.mistakes.append(
            Mistake(number, "", f"This line has {len(cells)} cells, but the header names {len(header)} columns.")
        )
    found = {}
    for name, cell in zip(header, cells, strict=False):
        value = _clean(cell)
        if len(value) > MAX_CELL:
            sheet.mistakes.append(Mistake(number, name, f"At most {MAX_CELL:,} characters are possible."))
        elif name and value:
            found[name] = value
    return Line(number, found)


def _clean(cell: str) -> str:
    """Without blanks around it, and without the apostrophe that an export puts before what looks like a formula."""
    cell = cell.replace("\u00a0", " ").strip()
    return cell[1:].strip() if _GUARDED.match(cell) else cell
