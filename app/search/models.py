"""What records are found by. Kept by the database itself, in the transaction that changes the record (``ddl``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, SmallInteger, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

#: ``partner_id`` of what staff finds; beside it a partner's own rows, for what it may find
STAFF_SCOPE = 0


class SearchDocument(Base):
    """The terms of one record, separated by blanks: of its own name and number, and of what else leads to it."""

    __tablename__ = "search_document"

    kind: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    record_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    partner_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(Text)
    other: Mapped[str] = mapped_column(Text)


#: One row per term of each document, compared byte by byte; its one index is what every search walks. ``rank`` 0: of
#: the record's own name or number; 1: of something else. A term that begins with ``<`` is a number written backwards,
#: by which it is found by its end. No key: a row too many would do no harm, and must never be what refuses a record.
search_term = Table(
    "search_term",
    Base.metadata,
    Column("partner_id", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("term", Text(collation="C"), nullable=False),
    Column("record_id", BigInteger, nullable=False),
    Index("ix_search_term", "partner_id", "kind", "rank", "term", "record_id"),
)
