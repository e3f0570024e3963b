"""My exports: those in the background, of whoever looks, and nobody else's."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, flash, redirect, request, url_for
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select

from admin_views.base import PageView
from admin_views.widgets.access import is_htmx
from admin_views.widgets.export import ExportMixin
from app.core import principal
from app.core.clock import utcnow
from app.core.db import engine, separate_transaction
from app.core.db import session as current_session
from app.core.files import stream_file
from app.exports import background
from app.exports.models import UNFINISHED, ExportJob, ExportStatus

SHOWN = 50


class MyExportsView(PageView):
    """Progress, download and cancelling. What is in it asked for its own permission."""

    title, icon = "My exports", "download"

    def __init__(self) -> None:
        super().__init__(endpoint="my_exports", url="/my-exports")

    def is_accessible(self) -> bool:
        """For whoever may export anything at all."""
        return bool(current_user.is_authenticated) and any(
            permission.endswith(".export") for permission in current_user.permissions
        )

    def is_visible(self) -> bool:
        """In the menu of the account, not in the side menu."""
        return False

    def _own(self) -> ExportJob:
        """The export that is asked for; 404 for anybody else's."""
        number = request.values.get("id", "")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            abort(404)
        query = select(ExportJob).where(ExportJob.id == int(number), ExportJob.admin_id == current_user.id)
        return current_session().scalars(query).one_or_none() or abort(404)

    def _list_of(self, job: ExportJob) -> Any:
        """The page it is of, if the admin may still export it."""
        view = next((each for each in self.admin._views if each.endpoint == job.page), None)
        allowed = isinstance(view, ExportMixin) and view.is_accessible() and view.can_export  # type: ignore[attr-defined]
        return view if allowed else None

    def _context(self) -> dict[str, Any]:
        query = select(ExportJob).where(ExportJob.admin_id == current_user.id).order_by(ExportJob.id.desc())
        jobs = list(current_session().scalars(query.limit(SHOWN)))
        return {
            "jobs": jobs,
            "running": [job for job in jobs if job.status in UNFINISHED],
            "topics": [f"export-{job.id}" for job in jobs if job.status in UNFINISHED],
            "allowed": {job.id for job in jobs if self._list_of(job) is not None},
            "statuses": ExportStatus,
        }

    @expose("/")
    def index_view(self) -> Any:
        """The page; htmx gets the list only."""
        template = "export/_jobs.html" if is_htmx() and request.args.get("part") == "1" else "export/index.html"
        return self.render(template, **self._context())

    @expose("/cancel/", methods=("POST",))
    def cancel_view(self) -> Any:
        """Stop one that waits or runs."""
        job = self._own()
        with principal.on_behalf(), separate_transaction() as session:
            cancelled = background.cancel(session, job_id=job.id, now=utcnow())
        if not cancelled:
            flash("It was over already.", "warning")
        return redirect(url_for(".index_view"), code=303)

    @expose("/download/")
    def download_view(self) -> Any:
        """The file, while there is one and the admin may export such a list."""
        job = self._own()
        if job.status is not ExportStatus.FINISHED or job.file is None or self._list_of(job) is None:
            abort(404)
        file, size = job.file, job.file.size_bytes
        name = file.name.replace('"', "")
        chunks = stream_file(engine(), file_id=file.id, start=0, end=size)
        current_session().close()
        return Response(
            chunks,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(size),
                "X-Accel-Buffering": "no",
                "Cache-Control": "no-store",
            },
        )
