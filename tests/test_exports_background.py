"""Exports in the background: state by state, event by event; by their own admin only; restarted after a kill."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.clock import utcnow
from app.core.db import separate_transaction
from app.core.files import StoredFile, file_bytes
from app.core.models import Admin, AuditEntry, Mail, Role
from app.exports import background, running
from app.exports.models import TRANSITIONS, ExportJob, ExportStatus
from jobs import tasks
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_dashboard import signed_in

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
USERS = "/crm/users/export/csv/"


@pytest.fixture
def boss(session: Session) -> Admin:
    found = make.admin(session)
    session.commit()
    return found


@pytest.fixture
def olga(clean: Flask, boss: Admin) -> Visitor:
    return signed_in(clean, boss)


def ask(session: Session, admin: Admin, **values: Any) -> ExportJob:
    asked: dict[str, Any] = {"args": [], "rowid": [], "all_matching": False}
    job = background.ask(
        session, admin=admin, page="user", title="Users", request=values.pop("request", asked), narrowed=(),
        columns=values.pop("columns", ()), bom=False, now=values.pop("now", NOW),
    )  # fmt: skip
    session.commit()
    return job


def rows(*chunks: bytes) -> Generator[bytes, None, int]:
    yield from chunks
    return sum(chunk.count(b"\n") for chunk in chunks) - 1


def source_of(*chunks: bytes) -> running.Source:
    @contextmanager
    def opened(_job: ExportJob) -> Iterator[running.Opened]:
        yield running.Opened("users.csv", 2, rows(*chunks))

    return opened


def fresh(session: Session, job: ExportJob) -> ExportJob:
    session.rollback()
    session.refresh(job)
    return job


# --- state × event


def begin(session: Session, job: ExportJob) -> bool:
    return background.claim(session, job_id=job.id, now=NOW) is not None


def begin_late(session: Session, job: ExportJob) -> bool:
    return background.claim(session, job_id=job.id, now=NOW + timedelta(minutes=2)) is not None


def finish(session: Session, job: ExportJob) -> bool:
    file = StoredFile(name="a.csv", content_type="text/csv", size_bytes=0, sha256="", created_at=NOW)
    session.add(file)
    session.flush()
    return background.finish(session, job_id=job.id, attempt=job.attempts, rows=1, file_id=file.id, now=NOW)


def fail(session: Session, job: ExportJob) -> bool:
    return background.fail(session, job_id=job.id, attempt=job.attempts, error="no", now=NOW)


def cancel(session: Session, job: ExportJob) -> bool:
    return background.cancel(session, job_id=job.id, now=NOW)


def expire(session: Session, job: ExportJob) -> bool:
    return background.expire(session, now=NOW + timedelta(hours=49)) == 1


WAYS: dict[ExportStatus, tuple[Callable[[Session, ExportJob], bool], ...]] = {
    ExportStatus.WAITING: (),
    ExportStatus.RUNNING: (begin,),
    ExportStatus.FINISHED: (begin, finish),
    ExportStatus.FAILED: (begin, fail),
    ExportStatus.CANCELLED: (cancel,),
    ExportStatus.EXPIRED: (begin, finish, expire),
}
EVENTS = {
    begin: ExportStatus.RUNNING,
    begin_late: ExportStatus.RUNNING,
    finish: ExportStatus.FINISHED,
    fail: ExportStatus.FAILED,
    cancel: ExportStatus.CANCELLED,
    expire: ExportStatus.EXPIRED,
}
#: (state, event) pairs that change something; all others find nothing to do
CHANGES = {
    (ExportStatus.WAITING, begin),
    (ExportStatus.WAITING, begin_late),
    (ExportStatus.WAITING, cancel),
    (ExportStatus.RUNNING, begin_late),
    (ExportStatus.RUNNING, finish),
    (ExportStatus.RUNNING, fail),
    (ExportStatus.RUNNING, cancel),
    (ExportStatus.FINISHED, expire),
}


def test_each_state_and_event(session: Session, boss: Admin) -> None:
    for state, way in WAYS.items():
        for event, after in EVENTS.items():
            job = ask(session, boss)
            for step in way:
                assert step(session, job)
                session.flush()
                session.refresh(job)
            assert job.status is state
            changed = event(session, job)
            session.flush()
            session.refresh(job)
            assert changed == ((state, event) in CHANGES), (state, event)
            assert job.status is (after if changed else state), (state, event)
            assert not changed or after in TRANSITIONS[state], (state, event)
            session.rollback()
            session.delete(session.get(ExportJob, job.id))
            session.commit()


# --- running


def test_it_is_written_noted_and_expires_with_its_file(session: Session, boss: Admin) -> None:
    job = ask(session, boss)
    running.run(separate_transaction, job_id=job.id, source=source_of(b"id\n1\n", b"2\n"), clock=lambda: NOW)
    job = fresh(session, job)
    assert (job.status, job.rows_done, job.percent, job.expires_at) == (
        ExportStatus.FINISHED, 2, 100, NOW + timedelta(hours=48),
    )  # fmt: skip
    assert job.file_id is not None
    assert file_bytes(session, file_id=job.file_id) == b"id\n1\n2\n"
    entry = session.scalars(select(AuditEntry).where(AuditEntry.event == "export")).one()
    assert (entry.object_label, entry.after["rows"], entry.admin_id) == ("Users", 2, boss.id)
    assert session.scalars(select(Mail)).all() == []
    assert background.expire(session, now=NOW + timedelta(hours=47)) == 0
    assert background.expire(session, now=NOW + timedelta(hours=48)) == 1
    session.commit()
    assert fresh(session, job).status is ExportStatus.EXPIRED
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 0


def test_who_waits_long_is_mailed(session: Session, boss: Admin) -> None:
    job = ask(session, boss, now=NOW - timedelta(minutes=2))
    running.run(separate_transaction, job_id=job.id, source=source_of(b"id\n"), clock=lambda: NOW)
    session.rollback()
    mail = session.scalars(select(Mail)).one()
    assert (mail.recipient, mail.key) == (boss.email, f"export:{job.id}")
    assert "My exports" in mail.body


def test_cancelled_while_it_runs_leaves_no_file(session: Session, boss: Admin) -> None:
    job = ask(session, boss)
    clock = iter([NOW + timedelta(seconds=2 * n) for n in range(99)])

    @contextmanager
    def source(_job: ExportJob) -> Iterator[running.Opened]:
        def chunks() -> Generator[bytes, None, int]:
            yield b"id\n"
            with separate_transaction() as other:
                assert background.cancel(other, job_id=job.id, now=NOW)
            for number in range(50):
                yield b"%d\n" % number
            raise AssertionError("it went on")

        yield running.Opened("users.csv", None, chunks())

    running.run(separate_transaction, job_id=job.id, source=source, clock=lambda: next(clock))
    assert fresh(session, job).status is ExportStatus.CANCELLED
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 0


def test_a_dead_workers_export_begins_anew_and_the_dead_one_cannot_finish_it(session: Session, boss: Admin) -> None:
    job = ask(session, boss)
    assert background.claim(session, job_id=job.id, now=NOW) is not None
    session.commit()
    assert background.due(session, now=NOW + timedelta(seconds=30), limit=9) == []
    late = NOW + timedelta(seconds=61)
    assert background.due(session, now=late, limit=9) == [job.id]
    assert background.claim(session, job_id=job.id, now=late) is not None
    assert not background.progress(session, job_id=job.id, attempt=1, rows=5, total=9, now=late)
    assert background.progress(session, job_id=job.id, attempt=2, rows=5, total=9, now=late)
    session.commit()
    for number in range(2, 4):
        later = late + timedelta(minutes=2 * number)
        claimed = background.claim(session, job_id=job.id, now=later)
        assert (claimed is None) == (number == 3)
    session.commit()
    assert (fresh(session, job).status, job.error) == (ExportStatus.FAILED, "It was interrupted too often.")


def test_an_error_is_told_and_leaves_no_file(session: Session, boss: Admin) -> None:
    job = ask(session, boss)

    @contextmanager
    def source(_job: ExportJob) -> Iterator[running.Opened]:
        def chunks() -> Generator[bytes, None, int]:
            yield b"id\n" * 100_000
            raise ValueError("the disk is full\nTraceback")

        yield running.Opened("users.csv", None, chunks())

    running.run(separate_transaction, job_id=job.id, source=source, clock=lambda: NOW)
    assert (fresh(session, job).status, job.error) == (ExportStatus.FAILED, "the disk is full")
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 0


# --- on screen, through the pages


def test_asked_followed_downloaded_by_its_admin_only(
    clean: Flask, session: Session, boss: Admin, olga: Visitor
) -> None:
    for number in range(3):
        make.user(session, f"u{number}@example.com")
    petra = make.admin(session, "Petra")
    session.commit()
    other = signed_in(clean, petra)
    asked = olga.send(f"{USERS}?search=u1", {"background": "1", "columns": ["email"]})
    assert (asked.status_code, asked.location) == (303, "/my-exports/")
    job = session.scalars(select(ExportJob)).one()
    assert "Search: u1" in olga.get("/my-exports/").get_data(as_text=True)
    assert f"id={job.id}" not in other.get("/my-exports/").get_data(as_text=True)
    assert olga.get(f"/my-exports/download/?id={job.id}").status_code == 404
    tasks.finish_export(job.id)
    job = fresh(session, job)
    assert (job.status, job.error) == (ExportStatus.FINISHED, None)
    got = olga.get(f"/my-exports/download/?id={job.id}")
    assert (got.get_data(), got.content_length) == (b"email\nu1@example.com\n", 21)
    assert "attachment" in got.headers["Content-Disposition"]
    for path in (f"download/?id={job.id}", "download/?id=999999", "download/?id=x", "download/"):
        assert other.get(f"/my-exports/{path}").status_code == 404
    assert other.send("/my-exports/cancel/", {"id": str(job.id)}).status_code == 404
    assert fresh(session, job).status is ExportStatus.FINISHED


def test_who_lost_the_role_gets_neither_file_nor_export(clean: Flask, session: Session) -> None:
    permissions = ["crm.user.view", "crm.user.export", "crm.rfid_tag.view", "crm.rfid_tag.export"]
    role = Role(name="Clerk", permission_names=permissions)
    session.add(role)
    session.flush()
    clerk = make.admin(session, "Clara", role_name="Clerk")
    session.commit()
    client = signed_in(clean, clerk)
    for _ in range(2):
        assert client.send(USERS, {"background": "1"}).status_code == 303
    first, second = session.scalars(select(ExportJob).order_by(ExportJob.id)).all()
    tasks.finish_export(first.id)
    assert client.get(f"/my-exports/download/?id={first.id}").status_code == 200
    role.permission_names = permissions[2:]
    session.commit()
    tasks.finish_export(second.id)
    assert (fresh(session, second).status, second.error) == (
        ExportStatus.FAILED,
        "Your role does not allow you to see this list.",
    )
    assert client.get(f"/my-exports/download/?id={first.id}").status_code == 404


def test_cancelling_and_too_many(session: Session, boss: Admin, olga: Visitor) -> None:
    for _ in range(background.MAX_UNFINISHED):
        assert olga.send(USERS, {"background": "1"}).status_code == 303
    assert olga.send(USERS, {"background": "1"}).status_code == 409
    job = session.scalars(select(ExportJob).order_by(ExportJob.id).limit(1)).one()
    assert olga.send("/my-exports/cancel/", {"id": str(job.id)}).status_code == 303
    assert fresh(session, job).status is ExportStatus.CANCELLED
    assert olga.send(USERS, {"background": "1"}).status_code == 303


def test_a_long_list_asks_first(session: Session, boss: Admin, olga: Visitor) -> None:
    settings.change_setting(session, key="export.background_rows", value=1000, actor=None)
    session.commit()
    assert "Export CSV</a>" in olga.get("/crm/users/").get_data(as_text=True)
    for number in range(1001):
        session.add(make.User(email=f"n{number}@example.com", created_at=utcnow()))
    session.commit()
    page = olga.get("/crm/users/").get_data(as_text=True)
    assert "Export CSV</a>" not in page
    assert "Export CSV…" in page
    dialog = olga.get("/crm/users/export/options/").get_data(as_text=True)
    assert 'name="background" value="1" checked' in dialog
    assert len(olga.get(USERS).get_data().splitlines()) == 1002
