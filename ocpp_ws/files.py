"""`/files/<token>/<name>`: where stations fetch firmware from us and bring their diagnostics (stations.md, line 22).

Served by every server process, also one for stations only. The token in the address is all that is asked for; answers
are plain text, for whoever reads the station's log. The database is never held while a station's network is waited
for.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from flask import Blueprint, Flask, Response, request
from gevent.lock import BoundedSemaphore
from prometheus_client import Counter
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.charging.models import FileTicket
from app.charging.upkeep import diagnostics, file_exchange, firmware
from app.charging.upkeep.file_exchange import TicketError, TicketOver
from app.core.clock import utcnow
from app.core.db import db, transaction
from app.core.files import FileGone, FileTooLarge, StoredFile, stream_file
from ocpp_ws.body import BodyError, BodyTooLarge, Brought, receive
from ocpp_ws.ranges import Part, Unsatisfiable, wanted_part
from ocpp_ws.unwanted import LEAVE_BODY

log = structlog.get_logger("ocpp_ws.files")

TRANSFERS = Counter("sync_station_files_total", "Files exchanged with stations", ["direction", "outcome"])
TRANSFERRED = Counter("sync_station_file_bytes_total", "Bytes of files exchanged with stations", ["direction"])

blueprint = Blueprint("files", __name__)
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
#: uploads that are written to the database at once; each takes a connection for a moment
_storing = BoundedSemaphore(4)


@blueprint.route("/files/<path:path>", methods=METHODS)
def exchange(path: str) -> Response:
    """A station's request: GET and HEAD fetch, PUT and POST bring."""
    token, _, name = path.strip("/").partition("/")
    try:
        with transaction() as session:
            ticket = file_exchange.find_ticket(session, token=token, now=utcnow())
            fetches = ticket.file_id is not None
            session.expunge(ticket)
        allowed = ("GET", "HEAD") if fetches else ("PUT", "POST")
        if request.method not in allowed:
            return _refuse(405, f"{' or '.join(allowed)} is understood here", Allow=", ".join(allowed))
        return _give(ticket) if fetches else _take(ticket, token, name)
    except TicketError as refusal:
        return _refuse(410 if isinstance(refusal, TicketOver) else 404, str(refusal))


def _refuse(status: int, message: str, **headers: str) -> Response:
    direction = "out" if request.method in ("GET", "HEAD") else "in"
    TRANSFERS.labels(direction, str(status)).inc()
    log.info("files.refused", method=request.method, status=status, reason=message, remote=request.remote_addr)
    if direction == "in" and LEAVE_BODY in request.environ:
        request.environ[LEAVE_BODY]()
        headers["Connection"] = "close"
    answer = Response(f"{message}\n", status, content_type="text/plain; charset=utf-8")
    answer.headers.update(headers)
    return answer


# ---------------------------------------------------------------------- to the station


def _give(ticket: FileTicket) -> Response:
    """The file, or the part of it that is asked for."""
    assert ticket.file_id is not None
    with transaction() as session:
        file = session.get_one(StoredFile, ticket.file_id)
        size, sha256, kind = file.size_bytes, file.sha256, file.content_type
    tag = f'"{sha256}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "no-store", "X-Checksum-SHA256": sha256}
    if request.if_none_match.contains(sha256):
        return Response(status=304, headers=headers)
    # If-Range: only if the file is still the one whose beginning the station has
    unchanged = request.headers.get("If-Range", tag).strip() == tag
    try:
        part = wanted_part(request.headers.get("Range"), size) if unchanged and request.method == "GET" else None
    except Unsatisfiable:
        return _refuse(416, "The file is shorter", **{"Content-Range": f"bytes */{size}"})
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    whole = part or Part(0, size)
    headers["Content-Length"] = str(whole.end - whole.start)
    status = 206 if part is not None else 200
    if request.method == "HEAD":
        return Response(status=status, headers=headers, content_type=kind)
    _note_fetching(ticket)
    body = _pieces(db.engine, ticket, whole, size)
    return Response(body, status, headers, content_type=kind, direct_passthrough=True)


def _note_fetching(ticket: FileTicket) -> None:
    with transaction() as session:
        now = utcnow()
        row = session.get(FileTicket, ticket.id)
        if row is not None and row.first_used_at is None:
            row.first_used_at = now
        if ticket.firmware_update_id is not None:
            firmware.note_fetching(session, update_id=ticket.firmware_update_id, complete=False, now=now)


def _pieces(engine: Engine, ticket: FileTicket, part: Part, size: int) -> Iterator[bytes]:
    """The bytes, and an account of them when the station has them or has gone. Runs outside of the request."""
    assert ticket.file_id is not None
    sent = 0
    try:
        for piece in stream_file(engine, file_id=ticket.file_id, start=part.start, end=part.end):
            yield piece
            sent += len(piece)
            TRANSFERRED.labels("out").inc(len(piece))
    except FileGone:
        log.warning("files.gone", file_id=ticket.file_id, charge_point_id=ticket.charge_point_id)
        raise
    finally:
        complete = part.start + sent == size
        TRANSFERS.labels("out", "complete" if complete else "partial").inc()
        log.info("files.sent", charge_point_id=ticket.charge_point_id, start=part.start, bytes=sent, of=size)
    if complete and ticket.firmware_update_id is not None:
        with Session(engine) as session, session.begin():
            firmware.note_fetching(session, update_id=ticket.firmware_update_id, complete=True, now=utcnow())


# ---------------------------------------------------------------------- from the station


def _take(ticket: FileTicket, token: str, name: str) -> Response:
    """A diagnostics file: kept aside until it is whole, then stored at once."""
    assert ticket.max_bytes is not None and ticket.diagnostics_id is not None
    with transaction() as session:
        diagnostics.note_uploading(session, diagnostics_id=ticket.diagnostics_id, now=utcnow())
    try:
        brought = receive(request.environ, max_bytes=ticket.max_bytes)
    except BodyTooLarge as error:
        with transaction() as session:
            diagnostics.note_too_large(session, diagnostics_id=ticket.diagnostics_id, now=utcnow())
        return _refuse(error.status, str(error))
    except BodyError as error:
        return _refuse(error.status, str(error))
    except OSError as error:  # our own disk: it is the station's turn to try again
        log.exception("files.not_kept", error=str(error))
        return _refuse(503, "The file cannot be kept now; try again later", **{"Retry-After": "60"})
    try:
        return _store(ticket, token, _name(name) or brought.name, brought)
    finally:
        brought.close()


def _store(ticket: FileTicket, token: str, name: str | None, brought: Brought) -> Response:
    try:
        with _storing, transaction() as session:
            stored = diagnostics.receive_file(session, token=token, name=name, chunks=brought.chunks(), now=utcnow())
            stored_name = stored.name
    except FileTooLarge as error:  # the ticket allows less than what was read
        return _refuse(413, str(error))
    TRANSFERS.labels("in", "complete").inc()
    TRANSFERRED.labels("in").inc(brought.size)
    log.info("files.received", charge_point_id=ticket.charge_point_id, name=stored_name, bytes=brought.size)
    return Response("Received\n", 201, content_type="text/plain; charset=utf-8")


def _name(path: str) -> str | None:
    """What the station has appended to the address of the folder it was given."""
    _, slash, appended = path.strip("/").partition("/")
    return appended.rpartition("/")[2] if slash else None


def register(app: Flask) -> None:
    """Serve them. No form of ours leads here: the token in the address takes the place of the CSRF check."""
    app.extensions["csrf"].exempt(blueprint)
    app.register_blueprint(blueprint)
