"""What the screens of firmware and diagnostics share: sizes, downloads, and cells that follow what is under way."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, make_response, request, url_for
from flask_admin import expose
from markupsafe import Markup
from werkzeug.datastructures import Headers

from admin_views import formats
from admin_views.base import pill
from app.core.db import db
from app.core.files import StoredFile, stream_file

_UNITS = ("bytes", "kB", "MB", "GB")


def file_size(size_bytes: int | None) -> Any:
    """A file's size: 512 bytes, 1.4 MB."""
    if size_bytes is None:
        return formats.NOTHING
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{formats.number(size, 0 if unit == 0 or size >= 100 else 1)} {_UNITS[unit]}"


def base_url() -> str:
    """Where stations reach us: SYNC_PUBLIC_URL."""
    return str(current_app.config["SYNC"].public_url)


def download(file: StoredFile) -> Response:
    """A stored file as a download: never shown in the browser, whatever is in it."""
    headers = Headers()
    headers.set("Content-Disposition", "attachment", filename=file.name)
    headers["Content-Length"] = str(file.size_bytes)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    headers["Cache-Control"] = "no-store"
    pieces = stream_file(db.engine, file_id=file.id, start=0, end=file.size_bytes)
    return Response(pieces, headers=headers, content_type="application/octet-stream", direct_passthrough=True)


def charge_point_link(view: Any, context: Any, obj: Any, name: str) -> Any:
    """The charge point a row belongs to."""
    return str(obj.charge_point) if context is None else obj.charge_point


class FollowsState:
    """Joined before BaseView: the cell of ``status`` asks again while something is under way.

    ``settled(obj)`` says when nothing more is to come; the page around it then fetches what else has changed.
    """

    def settled(self, obj: Any) -> bool:
        """Whether the row has reached its end."""
        raise NotImplementedError

    def state_cell(self, context: Any, obj: Any) -> Any:
        """The status as a pill, alive while it may change."""
        if context is None:
            return obj.status
        shown = pill(obj.status)
        if self.settled(obj):
            return shown
        url = url_for(f"{self.endpoint}.state_view", id=obj.id)
        trigger = f"charge_point-{obj.charge_point_id} from:body, every 10s"
        return Markup('<span hx-get="{}" hx-trigger="{}" hx-target="this" hx-swap="outerHTML">{}</span>').format(
            url, trigger, shown
        )

    @expose("/state/")
    def state_view(self) -> Any:
        """The status of one row now."""
        obj = self.get_one(request.args.get("id"))
        response = make_response(str(self.state_cell({}, obj)))
        if self.settled(obj):
            response.headers["HX-Trigger"] = "record-changed"
        return response


def status_cell(view: Any, context: Any, obj: Any, name: str) -> Any:
    """The formatter of such a status column."""
    return view.state_cell(context, obj)
