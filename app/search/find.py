"""Find records by the beginnings of what somebody types.

Every word has to be the beginning of a term of the document, or the end of one of its numbers. Only equality and
ranges of the one index decide, so that the database may use it for a partner as for staff (docs/adr/0019-search.md).
The texts are folded by the database on both sides: in small letters, without accents and signs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal, or_, select, text, union_all
from sqlalchemy.orm import Session

from app.core import principal
from app.search.kinds import Kind
from app.search.models import STAFF_SCOPE, SearchDocument, search_term

MAX_WORDS = 8
MAX_LENGTH = 200
#: the end of a number is looked for from this many characters on
SHORTEST_END = 3
#: a word that leads to so many records of a kind is asked of the records, not the other way round
BROAD = 5_000
#: sorts after every term that begins with what stands before it
_LAST = "\U0010ffff"
_TELEPHONE = re.compile(r"[\d\s()+./-]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as terms are written, and how an end of a number is looked for (None where the word is too short)."""

    text: str
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Ids of a kind, the best first, and whether there are others."""

    ids: list[int]
    more: bool


def scope() -> int:
    """Whose documents are searched: staff's, or those of the partner whose admin asks."""
    return principal.current().partner_id or STAFF_SCOPE


def words_of(session: Session, typed: str) -> list[Word]:
    """What somebody typed, as words to look for; at most MAX_WORDS, none where there is neither letter nor digit."""
    typed = typed.replace("\x00", " ")[:MAX_LENGTH]
    if _TELEPHONE.fullmatch(typed) and len(re.sub(r"\D", "", typed)) >= 7:
        typed = re.sub(r"\D", "", typed)  # a telephone number, in whatever groups its digits are written
    found: list[str] = session.execute(select(func.search_words(typed))).scalar_one()
    return [_word(word) for word in dict.fromkeys(found[:MAX_WORDS])]


def _word(word: str) -> Word:
    # the national form of a telephone number ends as the international one does
    tail = word.lstrip("0") if word.isdigit() and len(word.lstrip("0")) >= 6 else word
    return Word(word, f"<{tail[::-1]}" if len(tail) >= SHORTEST_END else None)


_RANGES = """
unnest(CAST(:kinds AS smallint[]), CAST(:places AS int[])) k(kind, place)
JOIN unnest(CAST(:range_places AS int[]), CAST(:ranks AS smallint[]), CAST(:lows AS text[]), CAST(:highs AS text[]))
  g(place, rank, low, high) USING (place)
CROSS JOIN LATERAL (
  SELECT t.term, t.record_id FROM search_term t
  WHERE t.partner_id = :scope AND t.kind = k.kind AND t.rank = g.rank AND t.term >= g.low AND t.term < g.high {narrow}
  ORDER BY t.partner_id, t.kind, t.rank, t.term, t.record_id LIMIT :rows
) t
"""
_NARROW = """
  AND EXISTS (SELECT FROM search_document d WHERE d.kind = t.kind AND d.record_id = t.record_id
    AND d.partner_id = :scope AND NOT EXISTS (
      SELECT FROM unnest(CAST(:starts AS text[]), CAST(:ends AS text[])) w(start, ending)
      WHERE strpos(' ' || d.title || ' ' || d.other, w.start) = 0
        AND (w.ending IS NULL OR strpos(' ' || d.title || ' ' || d.other, w.ending) = 0)))
"""
_HITS = "SELECT k.kind, place, g.rank, t.term, t.record_id FROM "
_FIND = text(_HITS + _RANGES.format(narrow=""))
_FIND_ALL = text(_HITS + _RANGES.format(narrow=_NARROW))
_COUNT = text("SELECT k.kind, place, count(*) FROM " + _RANGES.format(narrow="") + " GROUP BY k.kind, place")  # noqa: S608


def find(session: Session, words: Sequence[Word], kinds: Sequence[Kind], *, limit: int) -> dict[Kind, Found]:
    """At most ``limit`` records of each kind that fit every word, kinds without any left out.

    Ordered: a term of the record's own name or number before others, what is typed whole before longer terms.
    """
    if not words or not kinds:
        return {}
    asked = dict.fromkeys(kinds, 0)
    if len(words) > 1:
        asked = _rarest(session, words, kinds)
    found: dict[Kind, Found] = {}
    rows = limit * 6
    while asked:
        parameters = _parameters(words, asked, rows)
        if len(words) > 1:
            parameters["starts"] = [f" {word.text}" for word in words]
            parameters["ends"] = [f" {word.end}" if word.end else None for word in words]
        seen = session.execute(_FIND_ALL if len(words) > 1 else _FIND, parameters).all()
        # where one record's many terms have filled what was asked for, more is asked for
        asked = _collect(asked, seen, found, limit=limit, rows=rows)
        rows *= 20
    return {kind: found[kind] for kind in kinds if kind in found}


def _collect(
    asked: dict[Kind, int], seen: Sequence[Any], found: dict[Kind, Found], *, limit: int, rows: int
) -> dict[Kind, int]:
    again = {}
    for kind, place in asked.items():
        own = sorted((row.rank, row.term.startswith("<"), row.term, row.record_id) for row in seen if row.kind == kind)
        ids = list(dict.fromkeys(record_id for *_, record_id in own))
        if len(ids) <= limit and _was_cut(own, rows):
            again[kind] = place
        elif ids:
            found[kind] = Found(ids[:limit], more=len(ids) > limit)
    return again


def _was_cut(own: Sequence[tuple[int, bool, str, int]], rows: int) -> bool:
    counts: dict[tuple[int, bool], int] = {}
    for rank, end, *_ in own:
        counts[rank, end] = counts.get((rank, end), 0) + 1
    return any(count >= rows for count in counts.values())


def _rarest(session: Session, words: Sequence[Word], kinds: Sequence[Kind]) -> dict[Kind, int]:
    """Of each kind that every word leads to, the place of the word that leads to fewest."""
    counts: dict[Kind, dict[int, int]] = {kind: {} for kind in kinds}
    pairs = [(kind, place) for kind in kinds for place in range(len(words))]
    for kind, place, count in session.execute(_COUNT, _parameters(words, pairs, BROAD)):
        counts[Kind(kind)][place] = count
    return {
        kind: min(of_kind, key=lambda place: (of_kind[place], place))
        for kind, of_kind in counts.items()
        if len(of_kind) == len(words)
    }


def _parameters(
    words: Sequence[Word], asked: dict[Kind, int] | Sequence[tuple[Kind, int]], rows: int
) -> dict[str, Any]:
    pairs = list(asked.items()) if isinstance(asked, dict) else list(asked)
    ranges = [each for place, word in enumerate(words) for each in _ranges(place, word)]
    return {
        "scope": scope(),
        "rows": rows,
        "kinds": [int(kind) for kind, _ in pairs],
        "places": [place for _, place in pairs],
        "range_places": [place for place, *_ in ranges],
        "ranks": [rank for _, rank, _ in ranges],
        "lows": [low for *_, low in ranges],
        "highs": [low + _LAST for *_, low in ranges],
    }


def _ranges(place: int, word: Word) -> list[tuple[int, int, str]]:
    found = [(place, 0, word.text), (place, 1, word.text)]
    return [*found, (place, 1, word.end)] if word.end else found


# --- lists


@dataclass(frozen=True, slots=True)
class Matching:
    """What a list's search box asks for: a condition on a column of ids, and whether very many rows fit it."""

    words: tuple[Word, ...]
    kind: Kind
    of: int
    rarest: int
    broad: bool

    def condition(self, ids: Any) -> ColumnElement[bool]:
        """Whether a record whose id is in this column fits every word."""
        if not self.words:
            return literal(False)
        narrow = [self.words[self.rarest]] if not self.broad else []
        if not self.broad and len(self.words) == 1:
            return ids.in_(self._ids(narrow[0]))  # type: ignore[no-any-return]
        whole = literal(" ") + SearchDocument.title + literal(" ") + SearchDocument.other
        document = exists(
            select(1)
            .where(SearchDocument.kind == int(self.kind), SearchDocument.record_id == ids)
            .where(SearchDocument.partner_id == self.of)
            .where(*(_in(whole, word) for word in self.words))
        )
        return document if self.broad else ids.in_(self._ids(narrow[0])) & document

    def _ids(self, word: Word) -> Select[Any]:
        term = search_term.c
        parts = [
            select(term.record_id).where(
                term.partner_id == self.of, term.kind == int(self.kind), term.rank == rank,
                term.term >= low, term.term < low + _LAST,
            )
            for _, rank, low in _ranges(0, word)
        ]  # fmt: skip
        return select(union_all(*parts).subquery().c.record_id)


def _in(whole: Any, word: Word) -> ColumnElement[bool]:
    found = [func.strpos(whole, f" {word.text}") > 0]
    return or_(*found, func.strpos(whole, f" {word.end}") > 0) if word.end else found[0]


def matching(session: Session, typed: str, kind: Kind) -> Matching:
    """How a list of this kind is narrowed to what fits every word that was typed."""
    words = words_of(session, typed)
    counts = {}
    if words:
        pairs = [(kind, place) for place in range(len(words))]
        counts = {row[1]: row[2] for row in session.execute(_COUNT, _parameters(words, pairs, BROAD))}
    rarest = min(range(len(words)), key=lambda place: counts.get(place, 0), default=0)
    return Matching(tuple(words), kind, scope(), rarest, broad=counts.get(rarest, 0) >= BROAD)
