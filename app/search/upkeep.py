"""Compare search documents with the records they are of, and write them anew: after a restore, or out of suspicion."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.search.kinds import MODELS, Kind
from app.search.models import SearchDocument, search_term

BATCH = 5_000

_DIFFERENT = """
SELECT count(*) FROM search_source_{name}(:ids) f
FULL JOIN (SELECT * FROM search_document WHERE kind = :kind AND record_id = ANY (:ids)) d USING (partner_id, record_id)
WHERE (f.title, f.other) IS DISTINCT FROM (d.title, d.other)
"""
#: a document's terms that have no row, and rows that no document has
_STRAY_TERMS = """
WITH written AS MATERIALIZED (
  SELECT partner_id, record_id, 0 AS rank, unnest(string_to_array(title, ' ')) AS term
  FROM search_document WHERE kind = :kind
  UNION SELECT partner_id, record_id, 1, unnest(string_to_array(other, ' ')) FROM search_document WHERE kind = :kind
),
kept AS MATERIALIZED (SELECT partner_id, record_id, rank, term FROM search_term WHERE kind = :kind)
SELECT (SELECT count(*) FROM (SELECT * FROM written WHERE term <> '' EXCEPT SELECT * FROM kept) missing)
  + (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM written) stray)
"""


def _batches(session: Session, kind: Kind) -> Iterator[list[int]]:
    """The ids of a kind's records and documents, so many at a time."""
    ids = MODELS[kind].id
    last = 0
    while True:
        records = select(ids.label("id")).where(ids > last).order_by(ids).limit(BATCH)
        documents = (
            select(SearchDocument.record_id)
            .where(SearchDocument.kind == int(kind), SearchDocument.record_id > last)
            .order_by(SearchDocument.record_id)
            .limit(BATCH)
        )
        found = sorted({*session.scalars(records), *session.scalars(documents)})[:BATCH]
        if not found:
            return
        yield found
        last = found[-1]


def differences(session: Session, kind: Kind) -> int:
    """How many documents and terms of a kind are not what they should be: 0 while the database keeps them."""
    statement = text(_DIFFERENT.format(name=kind.name.lower()))
    found = sum(
        session.execute(statement, {"ids": ids, "kind": int(kind)}).scalar_one() for ids in _batches(session, kind)
    )
    return int(found + session.execute(text(_STRAY_TERMS), {"kind": int(kind)}).scalar_one())


def rebuild(session: Session, kind: Kind) -> int:
    """Write a kind's documents from nothing; gives the number of records. Until the commit searches find the old."""
    session.execute(delete(search_term).where(search_term.c.kind == int(kind)))
    session.execute(delete(SearchDocument).where(SearchDocument.kind == int(kind)))
    refresh = getattr(func, f"search_refresh_{kind.name.lower()}")
    records = 0
    for ids in _batches(session, kind):
        session.execute(select(refresh(ids, False)))
        records += len(ids)
    return records
