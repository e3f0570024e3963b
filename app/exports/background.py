"""Exports in the background: asked for, claimed by a worker, followed, cancelled, deleted.

Every change of state is a conditional UPDATE: of two that come at once one finds nothing to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app.core import events, settings
from app.core.files import delete_file
from app.core.models import HOUSE_PARTNER_ID, Admin
from app.exports.models import UNFINISHED, ExportJob, ExportStatus

#: announced when an export waits to be run, and at each change that a page shows
ASKED, CHANGED = "export.asked", "export.changed"
#: a worker says this often that it lives; without a sign for this long another one begins anew
LEASE = timedelta(seconds=60)
#: an export whose workers died this often is given up: it may be what kills them
MAX_ATTEMPTS = 3
#: of one admin, at the same time
MAX_UNFINISHED = 5
BATCH = 50


class TooManyExports(Exception):
    """The admin has enough exports under way; the message says what to do."""


def ask(
    session: Session,
    *,
    admin: Admin,
    page: str,
    title: str,
    request: dict[str, Any],
    narrowed: Sequence[str],
    columns: Sequence[str],
    bom: bool,
    now: datetime,
) -> ExportJob:
    """Put an export in the queue. Flushes. Raises TooManyExports."""
    under_way = session.scalar(
        select(func.count()).where(ExportJob.admin_id == admin.id, ExportJob.status.in_(UNFINISHED))
    )
    if (under_way or 0) >= MAX_UNFINISHED:
        raise TooManyExports(f"{MAX_UNFINISHED} of your exports are under way. Wait for one, or cancel one.")
    job = ExportJob(
        partner_id=admin.partner_id or HOUSE_PARTNER_ID,
        admin_id=admin.id,
        page=page,
        title=title,
        request=request,
        narrowed=list(narrowed),
        columns=list(columns),
        bom=bom,
        created_at=now,
    )
    session.add(job)
    session.flush()
    _tell(session, job.id, job.partner_id, ASKED)
    return job


def _tell(session: Session, export_id: int, partner_id: int, name: str = CHANGED) -> None:
    events.announce(session, name, partner_id=partner_id, export_id=export_id)


def _change(session: Session, job_id: int, *conditions: Any, **values: Any) -> bool:
    """Change a row where all conditions hold; whether there was one."""
    changed = session.execute(
        update(ExportJob)
        .where(ExportJob.id == job_id, *conditions)
        .values(**values)
        .returning(ExportJob.partner_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is not None:
        _tell(session, job_id, changed.partner_id)
    return changed is not None


def cancel(session: Session, *, job_id: int, now: datetime) -> bool:
    """Cancel one that is not over; its worker notices within a second. False when it is over. Flushes."""
    status = ExportStatus.CANCELLED
    return _change(session, job_id, ExportJob.status.in_(UNFINISHED), status=status, finished_at=now)


def due(session: Session, *, now: datetime, limit: int) -> list[int]:
    """What waits, or was begun by a worker that gives no sign any more; the oldest first."""
    abandoned = ExportJob.lease_until < now
    return list(
        session.scalars(
            select(ExportJob.id)
            .where(
                ExportJob.status.in_(UNFINISHED),
                or_(ExportJob.status == ExportStatus.WAITING, abandoned),
            )
            .order_by(ExportJob.id)
            .limit(limit)
        )
    )


def claim(session: Session, *, job_id: int, now: datetime) -> ExportJob | None:
    """Begin one, or begin anew what a dead worker left; None when somebody else is at it, or it is over. Flushes."""
    job = session.scalars(
        select(ExportJob)
        .where(ExportJob.id == job_id, ExportJob.status.in_(UNFINISHED))
        .with_for_update(of=ExportJob, skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if job is None or (job.status is ExportStatus.RUNNING and job.lease_until is not None and job.lease_until >= now):
        return None
    if job.attempts >= MAX_ATTEMPTS:
        fail(session, job_id=job_id, attempt=job.attempts, error="It was interrupted too often.", now=now)
        return None
    job.status, job.attempts = ExportStatus.RUNNING, job.attempts + 1
    job.started_at, job.lease_until, job.rows_done = now, now + LEASE, 0
    session.flush()
    _tell(session, job.id, job.partner_id)
    return job


def _mine(attempt: int) -> tuple[Any, Any]:
    return ExportJob.status == ExportStatus.RUNNING, ExportJob.attempts == attempt


def progress(session: Session, *, job_id: int, attempt: int, rows: int, total: int | None, now: datetime) -> bool:
    """How far it is, and that its worker lives. False when it was cancelled or somebody else has begun it anew."""
    return _change(session, job_id, *_mine(attempt), rows_done=rows, rows_total=total, lease_until=now + LEASE)


def finish(session: Session, *, job_id: int, attempt: int, rows: int, file_id: int, now: datetime) -> bool:
    """It has a file. False as of ``progress``: then the file is to be forgotten."""
    keep = timedelta(hours=settings.get_int(session, "export.keep_hours"))
    return _change(
        session,
        job_id,
        *_mine(attempt),
        status=ExportStatus.FINISHED,
        rows_done=rows,
        rows_total=rows,
        file_id=file_id,
        finished_at=now,
        expires_at=now + keep,
    )


def fail(session: Session, *, job_id: int, attempt: int, error: str, now: datetime) -> bool:
    """Say that it could not be written, and why."""
    return _change(session, job_id, *_mine(attempt), status=ExportStatus.FAILED, error=error[:1000], finished_at=now)


def expire(session: Session, *, now: datetime) -> int:
    """Delete the files of exports that were kept long enough, a batch. Returns how many. Flushes."""
    rows = session.execute(
        select(ExportJob.id, ExportJob.file_id)
        .where(ExportJob.status == ExportStatus.FINISHED, ExportJob.expires_at <= now)
        .order_by(ExportJob.id)
        .limit(BATCH)
        .with_for_update(of=ExportJob, skip_locked=True)
    ).all()
    for job_id, file_id in rows:
        _change(session, job_id, status=ExportStatus.EXPIRED, file_id=None)
        delete_file(session, file_id=file_id)
    session.flush()
    return len(rows)
