"""A file that a station brings: read from the request as it comes, bounded, and kept aside until it is whole.

It waits in a nameless temporary file: nothing of a broken upload is left, not even after a power cut, and no
database session is open while a slow station sends.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote

import gevent
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData

READ_BYTES = 32 * 1024
COPY_BYTES = 256 * 1024
#: a station that sends nothing for this long has gone
SILENT_S = 60.0
#: what is in a multipart body around the file
MULTIPART_EXTRA_BYTES = 64 * 1024

Read = Callable[[int], bytes]


class BodyError(Exception):
    """The upload cannot be used; ``status`` is what to answer."""

    status = 400


class BodyTooLarge(BodyError):
    """More bytes than are allowed."""

    status = 413


class BodyBroken(BodyError):
    """The connection ended, or nothing came, before the body was whole."""

    status = 408


@dataclass
class Brought:
    """An upload that has arrived whole."""

    content: IO[bytes]
    size: int
    name: str | None

    def chunks(self) -> Iterator[bytes]:
        """Its bytes from the beginning."""
        self.content.seek(0)
        while chunk := self.content.read(COPY_BYTES):
            yield chunk

    def close(self) -> None:
        """Let go of the bytes."""
        self.content.close()


def receive(environ: dict[str, Any], *, max_bytes: int) -> Brought:
    """Read the file in a request's body: raw, or the first file of a form. Close it when done.

    Raises BodyError and what derives from it.
    """
    length, chunked = _length(environ)
    if length is not None and length > max_bytes + MULTIPART_EXTRA_BYTES:
        raise BodyTooLarge(f"At most {max_bytes:,} bytes are accepted")
    content = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the caller)
    try:
        source = _reader(environ, length)
        kind, options = parse_options_header(environ.get("CONTENT_TYPE"))
        if kind == "multipart/form-data" and options.get("boundary"):
            name, size = _form_file(source, options["boundary"], content, max_bytes)
        else:
            _, disposition = parse_options_header(environ.get("HTTP_CONTENT_DISPOSITION"))
            name, size = disposition.get("filename"), _copy(source, content, max_bytes)
        if not size:
            said = "" if length or chunked else ": it has neither Content-Length nor chunks"
            raise BodyError(f"The upload is empty{said}")
        return Brought(content, size, name)
    except BaseException:
        content.close()
        raise


def _length(environ: dict[str, Any]) -> tuple[int | None, bool]:
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    text = environ.get("CONTENT_LENGTH") or ""
    return (None if chunked or not re.fullmatch(r"\d{1,18}", text) else int(text)), chunked


def _reader(environ: dict[str, Any], length: int | None) -> Iterator[bytes]:
    """The body as it comes, letting others work between the pieces."""
    read: Read = environ["wsgi.input"].read
    left = length
    while left is None or left > 0:
        piece = _read(read, READ_BYTES if left is None else min(READ_BYTES, left))
        if not piece:
            if left:
                raise BodyBroken("The upload ended before it was whole")
            return
        if left is not None:
            left -= len(piece)
        yield piece
        gevent.sleep(0)


def _read(read: Read, count: int) -> bytes:
    try:
        with gevent.Timeout(SILENT_S):
            return read(count)
    except gevent.Timeout:
        raise BodyBroken(f"Nothing came for {SILENT_S:.0f} seconds") from None
    except OSError as error:  # the server's input: the connection ended, or its chunks are malformed
        raise BodyBroken(f"The upload broke off: {error}") from None


def _copy(source: Iterator[bytes], content: IO[bytes], max_bytes: int) -> int:
    size = 0
    for piece in source:
        size = _keep(content, piece, size, max_bytes)
    return size


def _keep(content: IO[bytes], piece: bytes, size: int, max_bytes: int) -> int:
    size += len(piece)
    if size > max_bytes:
        raise BodyTooLarge(f"At most {max_bytes:,} bytes are accepted")
    content.write(piece)
    return size


def _form_file(source: Iterator[bytes], boundary: str, content: IO[bytes], max_bytes: int) -> tuple[str | None, int]:
    """The first file of a multipart form; everything else in it is passed over."""
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), max_form_memory_size=None, max_parts=100)
    name: str | None = None
    size, seen, inside, whole = 0, 0, False, False
    try:
        for piece in source:
            seen += len(piece)
            if seen > max_bytes + MULTIPART_EXTRA_BYTES:
                raise BodyTooLarge(f"At most {max_bytes:,} bytes are accepted")
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                if isinstance(event, File) and name is None:
                    name, inside = unquote(event.filename or ""), True
                elif isinstance(event, Data) and inside:
                    size = _keep(content, event.data, size, max_bytes)
                    inside = event.more_data
                    whole = not inside
            if isinstance(event, Epilogue):
                break
    except (ValueError, RequestEntityTooLarge) as error:
        raise BodyError(f"The form cannot be read: {error}") from None
    if name is None:
        raise BodyError("The form contains no file")
    if not whole:
        raise BodyBroken("The upload ended before it was whole")
    for _ in source:  # whatever follows the form
        pass
    return name or None, size
