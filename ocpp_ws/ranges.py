"""Parts of a file: the Range header (RFC 9110, 14), by which a station resumes a broken download."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The part begins behind the file's end."""


@dataclass(frozen=True)
class Part:
    """Bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


def wanted_part(header: str | None, size: int) -> Part | None:
    """The part of a file of ``size`` bytes a header asks for; None: the whole file.

    Several parts at once, and what is no range, mean the whole file, as the RFC allows. Raises Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        if int(last) == 0:
            raise Unsatisfiable
        return Part(max(0, size - int(last)), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Part(start, min(size, int(last) + 1) if last else size)
