"""What an export in the background reads: the list's page itself, asked as the admin who wants it, when it runs.

So a role that was lost meanwhile counts, filters mean what they mean on the page, and a partner's admin reads through
the engine that shows its own rows only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask import Flask, g
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from admin_views.widgets.export import ExportMixin, Wanted
from app.core import principal
from app.core.db import db
from app.core.models import Admin
from app.exports.copying import CHUNK_BYTES
from app.exports.models import ExportJob
from app.exports.running import NotAllowed, Opened
from app.exports.stream import literal_sql

EXTENSION = "export_source"


def init_app(app: Flask) -> None:
    """Make the pages readable for the worker."""
    app.extensions[EXTENSION] = lambda job: open_job(app, job)


@contextmanager
def open_job(app: Flask, job: ExportJob) -> Iterator[Opened]:
    """The bytes of a job. Raises NotAllowed when its admin may not export this, or it cannot be asked any more."""
    view = next((each for each in app.extensions["admin"][0]._views if each.endpoint == job.page), None)
    if not isinstance(view, ExportMixin):
        raise NotAllowed("There is no such list any more.")
    asked = job.request
    form: dict[str, Any] = {"columns": list(job.columns), "bom": "1" if job.bom else "0"}
    if asked["rowid"]:
        form["rowid"] = asked["rowid"]
    query = MultiDict([(name, value) for name, value in asked["args"]])
    with ExitStack() as kept:
        # the request is over before the first byte: what is written meanwhile is not the admin's doing
        with app.test_request_context(f"{view.url}/", method="POST", query_string=query, data=form):
            principal.bind(principal.STAFF)
            admin = db.session.get(Admin, job.admin_id)
            if admin is None or not admin.is_active:
                raise NotAllowed("Your account is not active.")
            if admin.partner_id is not None:
                principal.bind(principal.Principal(admin.partner_id))
                admin = db.session.get(Admin, job.admin_id)
            g._login_user = admin
            name, total, chunks = _ask(view, kept)
        yield Opened(name, total, chunks)


def _ask(view: Any, kept: ExitStack) -> tuple[str, int | None, Generator[bytes, None, int]]:
    try:
        if not view.is_accessible():
            raise NotAllowed("Your role does not allow you to see this list.")
        view.require("export")
        wanted: Wanted = view.wanted()
    except HTTPException as refusal:
        words = "Your role does not allow you to export this list." if refusal.code == 403 else refusal.description
        raise NotAllowed(words or "This cannot be exported.") from refusal
    name, total = view.export_file_name(), _estimate(wanted)
    chunks = kept.enter_context(view.opened(wanted))
    if view.export_definition() is None:
        chunks = _taken(chunks, kept)
    return name, total, chunks


def _taken(chunks: Generator[bytes, None, int], kept: ExitStack) -> Generator[bytes, None, int]:
    """What Python writes, written while the request lasts, to a file without a name."""
    file = kept.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed with the job)
    while True:
        try:
            file.write(next(chunks))
        except StopIteration as over:
            rows: int = over.value
            break
    file.seek(0)

    def read() -> Generator[bytes, None, int]:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
        return rows

    return read()


def _estimate(wanted: Wanted) -> int | None:
    """About how many rows, as the planner thinks: counting them would take as long as writing them."""
    statement = literal_sql(wanted.query.enable_eagerloads(False).statement).replace("%", "%%")
    plan = wanted.query.session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}").scalar_one()
    return int(plan[0]["Plan"]["Plan Rows"]) or None
