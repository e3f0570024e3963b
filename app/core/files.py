"""Files kept in the database, in pieces: every process can read them, a backup has them, nothing else is to be shared.

Firmware, diagnostics and pictures; the largest are a few hundred megabytes, so that they are written and read in
pieces and never held in memory whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import cast

import psycopg
from sqlalchemy import BigInteger, Engine, ForeignKey, Integer, LargeBinary, String, delete, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.db import Base
from app.core.types import BigId, Text120, Text255

PIECE_BYTES = 256 * 1024


class FileTooLarge(ValueError):
    """More bytes than the limit; the message says how many are allowed."""


class StoredFile(Base):
    """A file's facts; its bytes are in ``stored_file_piece``. ``sha256`` is of the whole, as hex digits."""

    __tablename__ = "stored_file"

    id: Mapped[BigId]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"), server_default=text("1"), index=True)
    name: Mapped[Text255]
    content_type: Mapped[Text120]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __str__(self) -> str:
        return self.name


class StoredFilePiece(Base):
    """One piece of a file, numbered from 0; all but the last have ``PIECE_BYTES``."""

    __tablename__ = "stored_file_piece"

    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


def store_file(
    session: Session,
    *,
    name: str,
    content_type: str,
    chunks: Iterable[bytes],
    max_bytes: int,
    now: datetime,
    partner_id: int = 1,
) -> StoredFile:
    """Write a file piece by piece and flush. ``chunks`` may be of any size.

    Raises FileTooLarge beyond ``max_bytes``; the caller rolls back.
    """
    row = StoredFile(
        partner_id=partner_id,
        name=name[:255],
        content_type=content_type[:120],
        size_bytes=0,
        sha256="",
        created_at=now,
    )
    session.add(row)
    session.flush()
    digest, size = hashlib.sha256(), 0
    for number, piece in enumerate(_pieces(chunks)):
        size += len(piece)
        if size > max_bytes:
            raise FileTooLarge(f"the file has more than {max_bytes} bytes")
        digest.update(piece)
        # written at once and not kept in the identity map: a file may be larger than memory is to spare
        session.execute(
            StoredFilePiece.__table__.insert().values(file_id=row.id, number=number, data=piece)  # type: ignore[attr-defined]
        )
    row.size_bytes, row.sha256 = size, digest.hexdigest()
    session.flush()
    return row


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        while len(rest) >= PIECE_BYTES:
            yield bytes(rest[:PIECE_BYTES])
            del rest[:PIECE_BYTES]
    if rest:
        yield bytes(rest)


def read_file(session: Session, *, file_id: int, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """A file's bytes from ``start`` up to, not including, ``end``; one piece in memory at a time."""
    number = start // PIECE_BYTES
    at = number * PIECE_BYTES
    while end is None or at < end:
        data = session.scalar(
            select(StoredFilePiece.data).where(StoredFilePiece.file_id == file_id, StoredFilePiece.number == number)
        )
        if data is None:
            return
        first = max(0, start - at)
        last = len(data) if end is None else min(len(data), end - at)
        yield data[first:last]
        at += len(data)
        number += 1
        if len(data) < PIECE_BYTES:
            return


def file_bytes(session: Session, *, file_id: int) -> bytes:
    """A small file whole."""
    return b"".join(read_file(session, file_id=file_id))


class FileGone(Exception):
    """The file was deleted while it was being read."""


def stream_file(engine: Engine, *, file_id: int, start: int, end: int) -> Iterator[bytes]:
    """A file's bytes from ``start`` up to, not including, ``end``, for a reader that may be slow.

    Each piece is read by itself, so that no connection waits for the reader's network. Raises FileGone.
    """
    at = start
    while at < end:
        number, offset = divmod(at, PIECE_BYTES)
        data = _piece(engine, file_id, number)[offset : offset + end - at]
        if not data:
            raise FileGone(f"stored file {file_id} ends at {at}")
        yield data
        at += len(data)


def _piece(engine: Engine, file_id: int, number: int) -> bytes:
    """One piece, empty when there is none. Binary: as hexadecimal text, the default, it takes seven times as long."""
    connection = engine.raw_connection()
    try:
        driver = cast("psycopg.Connection[tuple[bytes]]", connection.driver_connection)
        with driver.cursor(binary=True) as cursor:
            query = "SELECT data FROM stored_file_piece WHERE file_id = %s AND number = %s"
            row = cursor.execute(query, (file_id, number)).fetchone()
        driver.rollback()
        return row[0] if row else b""
    finally:
        connection.close()


def delete_file(session: Session, *, file_id: int) -> None:
    """Delete a file with its pieces. Raises IntegrityError while something needs it."""
    session.execute(delete(StoredFile).where(StoredFile.id == file_id))
