"""The head of an HTTP request, within limits: as the standard library reads it, or as fast as a storm wants it."""

from __future__ import annotations

from typing import Any, Final

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_HEAD_LINES: Final = 100


class LimitedHead:
    """The request's header lines with a bound on their sum; the standard library bounds only each line."""

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile
        self._left = MAX_HEAD_BYTES

    def readline(self, limit: int) -> bytes:
        """As a file's; raises ValueError, which the handler answers with 400, when the head is too long."""
        line: bytes = self._rfile.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise ValueError("request head too long")
        return line


class StationHead:
    """The headers of a station's request, by name in lower case.

    The standard library's parser is made for mail and takes ten times as long, which counts when a fleet comes back.
    Lines that are no header are passed over; a continued line belongs to the one before. Raises ValueError, which the
    handler answers with 400, when the head is too long.
    """

    status = ""

    def __init__(self, rfile: LimitedHead) -> None:
        self._values: dict[str, list[str]] = {}
        values: list[str] = []
        lines = 0
        while (line := rfile.readline(MAX_HEAD_BYTES).decode("latin-1")) not in ("\r\n", "\n", ""):
            if (lines := lines + 1) > MAX_HEAD_LINES:
                raise ValueError("too many header lines")
            name, colon, value = line.partition(":")
            if line[0] in " \t" and values:
                values[-1] = f"{values[-1]} {line.strip()}"
            elif colon:
                values = self._values.setdefault(name.strip().lower(), [])
                values.append(value.strip())

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header."""
        found = self._values.get(name.lower())
        return found[0] if found else default

    def get_all(self, name: str, default: list[str]) -> list[str]:
        """Every value of a header that may come several times."""
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][0]

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]
