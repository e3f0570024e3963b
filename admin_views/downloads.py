"""Who downloaded which list: every CSV that leaves the house is in the audit, whatever page sends it."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, request
from flask_login import current_user

from admin_views import formats
from app.core import principal
from app.core.audit import record_change
from app.core.db import separate_transaction

EVENT, KIND = "export", "list"
#: of an address, what is no filter
_OWN = ("bom", "csrf_token", "page", "page_size", "rowid", "url")
_LONGEST = 300


def list_name() -> str:
    """What the admin calls the list that was asked for."""
    views = current_app.extensions["admin"][0]._views
    view = next((each for each in views if each.endpoint == request.blueprint), None)
    return str(getattr(view, "plural", "") or getattr(view, "title", "") or formats.words(request.blueprint or "list"))


def note_download(response: Response) -> Response:
    """Write the entry once a CSV is about to be sent; in a transaction of its own, as the list is still being read."""
    if response.mimetype != "text/csv" or response.status_code != 200 or not current_user.is_authenticated:
        return response
    name, asked = list_name(), _asked()
    # a partner's admin may read its rows but write no audit: that is done on its behalf
    with principal.on_behalf(), separate_transaction() as session:
        record_change(
            session,
            actor=current_user._get_current_object(),
            event=EVENT,
            object_type=KIND,
            object_id=(request.blueprint or "list")[:60],
            label=name,
            before={},
            after=asked,
        )
    return response


def _asked() -> dict[str, Any]:
    """Which rows: the filters of the address, or how many were selected."""
    found: dict[str, Any] = {
        key[:60]: value[:_LONGEST] for key, value in request.args.items() if key not in _OWN and value
    }
    selected = request.form.getlist("rowid")
    if selected:
        found["selected"] = len(selected)
    return found or {"rows": "all"}


def init_app(app: Flask) -> None:
    """Look at every answer."""
    app.after_request(note_download)
