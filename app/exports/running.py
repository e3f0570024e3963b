"""Running an export in the background: its rows become a file, a piece at a time, while its page shows how far it is.

A worker that dies leaves nothing: the file is written in one transaction, and whoever comes next begins anew. What is
exported is found by the page itself (``Source``), with what the admin may see at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core import settings
from app.core.audit import record_change
from app.core.clock import zone
from app.core.db import allow_minutes
from app.core.files import store_file
from app.core.mail import queue_mail
from app.core.models import Admin
from app.exports import background
from app.exports.models import ExportJob

log = structlog.get_logger(__name__)

#: so many exports run at the same time; the others wait their turn
AT_ONCE = 2
MAX_BYTES = 8 * 1024**3
#: an admin who waited longer than this for a file has gone to do something else
MAIL_AFTER = timedelta(minutes=1)
_TELL_EVERY = timedelta(seconds=1)
_MINUTES = 20

#: gives a transaction of its own at each call, also within another one
Transact = Callable[[], AbstractContextManager[Session]]


class NotAllowed(Exception):
    """The admin may not export this any more; the message says what."""


class _Stopped(Exception):
    """It was cancelled, or another worker has begun it anew."""


@dataclass(frozen=True)
class Opened:
    """An export that can be read: its name, about how many rows it has, and its bytes; in the end, how many rows."""

    name: str
    total: int | None
    chunks: Generator[bytes, None, int]


#: opens what a job asks for, as its admin, for as long as the context lasts; what is written meanwhile is written by
#: the product itself. Raises NotAllowed
Source = Callable[[ExportJob], AbstractContextManager[Opened]]


def run(transact: Transact, *, job_id: int, source: Source, clock: Callable[[], datetime]) -> None:
    """Write one export's file; nothing to do where somebody else is at it."""
    with transact() as session:
        job = background.claim(session, job_id=job_id, now=clock())
        if job is None:
            return
        session.expunge(job)
    try:
        _write(transact, job, source, clock)
    except _Stopped:
        log.info("export.stopped", export_id=job.id)
    except SQLAlchemyError as error:  # the database's trouble: its first line is for the admin, the rest for the log
        _fail(transact, job, str(error.__cause__ or error).partition("\n")[0], clock())
        log.exception("export.failed", export_id=job.id)
    except NotAllowed as refusal:
        _fail(transact, job, str(refusal), clock())
    except Exception as error:  # it would fail at the same place for ever: whoever waits for it is told
        log.exception("export.failed", export_id=job.id)
        _fail(transact, job, str(error).partition("\n")[0] or type(error).__name__, clock())


def _fail(transact: Transact, job: ExportJob, error: str, now: datetime) -> None:
    with transact() as session:
        background.fail(session, job_id=job.id, attempt=job.attempts, error=error, now=now)


def _write(transact: Transact, job: ExportJob, source: Source, clock: Callable[[], datetime]) -> None:
    counted: list[int] = []
    with source(job) as opened, transact() as session:
        allow_minutes(session, _MINUTES)
        chunks = _followed(transact, job, opened, counted, clock)
        file = store_file(
            session,
            name=opened.name,
            content_type="text/csv; charset=utf-8",
            chunks=chunks,
            max_bytes=MAX_BYTES,
            now=clock(),
            partner_id=job.partner_id,
        )
        now = clock()
        if not background.finish(
            session, job_id=job.id, attempt=job.attempts, rows=counted[-1], file_id=file.id, now=now
        ):
            raise _Stopped
        admin = session.get(Admin, job.admin_id)
        _note(session, job, admin, counted[-1])
        if admin is not None and now - job.created_at > MAIL_AFTER:
            _mail(session, job, admin, counted[-1], now)


def _followed(
    transact: Transact, job: ExportJob, opened: Opened, counted: list[int], clock: Callable[[], datetime]
) -> Iterator[bytes]:
    """The chunks, while each second it is told how far they are, and looked whether they are still wanted."""
    rows, told_at = -1, clock()  # the header is a line, and no row
    try:
        while True:
            try:
                chunk = next(opened.chunks)
            except StopIteration as over:
                counted.append(over.value)
                return
            yield chunk
            rows += chunk.count(b"\n")
            if clock() - told_at >= _TELL_EVERY:
                told_at = clock()
                _tell(transact, job, max(0, rows), opened.total, told_at)
    finally:
        opened.chunks.close()


def _tell(transact: Transact, job: ExportJob, rows: int, total: int | None, now: datetime) -> None:
    with transact() as session:
        wanted = background.progress(session, job_id=job.id, attempt=job.attempts, rows=rows, total=total, now=now)
    if not wanted:
        raise _Stopped


def _note(session: Session, job: ExportJob, admin: Admin | None, rows: int) -> None:
    """Who took what out of the house, for the audit."""
    after = {"filters": "; ".join(job.narrowed) or "none", "columns": ", ".join(job.columns) or "all", "rows": rows}
    record_change(
        session,
        actor=admin,
        event="export",
        object_type="list",
        object_id=job.page,
        label=job.title,
        before={},
        after=after,
    )
    session.flush()


def _mail(session: Session, job: ExportJob, admin: Admin, rows: int, now: datetime) -> None:
    keep = settings.get_int(session, "export.keep_hours")
    company = settings.get_text(session, "system.company_name")
    until = (now + timedelta(hours=keep)).astimezone(zone(settings.get_text(session, "system.timezone")))
    queue_mail(
        session,
        key=f"export:{job.id}",
        recipient=admin.email,
        subject=f"Your export of {job.title} is ready",
        body=f"Your export of {job.title} is ready: {rows:,} rows.\n\nDownload it under My exports, in the menu of "
        f"your account, before {until:%d %b %Y %H:%M %Z}. Then it is deleted.\n\n--\n{company}\n",
        now=now,
    )
