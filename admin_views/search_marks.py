"""Show in a result what of it was searched for."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from markupsafe import Markup, escape

from app.search.find import Word

_LIKE = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ı": "i", "ħ": "h", "ς": "σ"}


def marked(shown: str, words: Sequence[Word]) -> Markup:
    """The text with the parts that fit the words marked: the beginning of a word first, else wherever it stands.

    Compared as the search compares (``search_fold`` in the database), letter by letter of what is shown.
    """
    letters, places, starts = _folded(shown)
    found = ((_place(letters, word.text, starts), len(word.text)) for word in words)
    return _joined(shown, sorted((places[at], places[at + size - 1] + 1) for at, size in found if at is not None))


def _folded(shown: str) -> tuple[str, list[int], set[int]]:
    """What is compared, of which letter shown each is, and where words begin. Signs are left out, blanks stay."""
    letters: list[str] = []
    places: list[int] = []
    starts: set[int] = set()
    before = " "
    for place, letter in enumerate(shown):
        plain = unicodedata.normalize("NFKD", letter).lower()
        plain = "".join(_LIKE.get(each, each) for each in plain if each.isalnum()) or (" " if letter.isspace() else "")
        if letter.isalnum() and (not before.isalnum() or (before.isalpha() and letter.isdigit())):
            starts.add(len(letters))
        letters += plain
        places += [place] * len(plain)
        before = letter
    return "".join(letters), places, starts


def _place(letters: str, word: str, starts: set[int]) -> int | None:
    anywhere = None
    at = letters.find(word)
    while at >= 0:
        if at in starts:
            return at
        anywhere = at if anywhere is None else anywhere
        at = letters.find(word, at + 1)
    return anywhere


def _joined(shown: str, found: Sequence[tuple[int, int]]) -> Markup:
    html, at = Markup(""), 0
    for start, end in found:
        if end <= at:
            continue
        start = max(start, at)
        html += escape(shown[at:start]) + Markup("<mark>{}</mark>").format(shown[start:end])
        at = end
    return html + escape(shown[at:])
