"""The Diagnostic Requests log: what was asked of a charge point, and the file it brought.

Manual, "Logs", e, and "Get Diagnostics".
"""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy.orm import joinedload

from admin_views.assets.logs import LogView, of_station
from admin_views.assets.transfers import FollowsState, charge_point_link, download, file_size, status_cell
from admin_views.base import Outcome, ReasonForm, RecordAction
from app.charging.models import DiagnosticsRequest, TransferStatus
from app.charging.upkeep import diagnostics
from app.core.actions import open_action
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import ActionStatus, Admin


def file_link(view: Any, context: Any, obj: DiagnosticsRequest, name: str) -> Any:
    """The file that came, to be downloaded."""
    if context is None:
        return obj.file.name if obj.file else None
    if obj.file is None:
        return None
    url = view.get_url(f"{view.endpoint}.file_view", id=obj.id)
    return Markup('<a href="{}" download>{}</a> <span class="text-secondary">{}</span>').format(
        url, obj.file.name, file_size(obj.file.size_bytes)
    )


def delete_file(obj: DiagnosticsRequest, form: ReasonForm, *, reason: str, actor: Admin) -> Any:
    """Delete the file; the request stays in the log."""
    if obj.file is None:
        return Outcome(str(obj), "Finished", "There is no file")
    action = open_action(
        db.session(),
        name="Delete diagnostics file",
        target_type="charge_point",
        target_id=obj.charge_point_id,
        target_label=str(obj.charge_point),
        charge_point_id=obj.charge_point_id,
        partner_id=obj.partner_id,
        info=obj.file.name,
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        now=utcnow(),
    )
    diagnostics.forget_file(db.session(), row=obj, detail=f"the file was deleted by {actor.name}")
    return action


class DiagnosticsRequestView(FollowsState, LogView):
    """Diagnostics and logs asked of charge points."""

    resource = "assets.diagnostics"
    singular, plural = "Diagnostic Request", "Diagnostic Requests"
    icon = "file-download"
    column_list = (
        "id",
        "charge_point",
        "kind",
        "requested_at",
        "status",
        "file",
        "detail",
        "action.reason",
        "action.initiated_by",
        "logs_from",
        "logs_to",
    )
    column_labels = {
        "id": "ID",
        "charge_point": "Charge Point",
        "kind": "Requested",
        "requested_at": "Happened at",
        "logs_from": "Start time",
        "logs_to": "Stop time",
        "status": "Status",
        "detail": "Detail",
        "file": "File",
        "action.reason": "Reason",
        "action.initiated_by": "Initiated by",
    }
    column_formatters = {"status": status_cell, "file": file_link, "charge_point": charge_point_link}
    column_sortable_list = ("id", "requested_at", "status")
    column_default_sort = ("id", True)
    column_filters = ("requested_at", "status", "kind", *of_station(DiagnosticsRequest))
    column_export_list = (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        "kind",
        "requested_at",
        ("start_time", "logs_from"),
        ("stop_time", "logs_to"),
        "status",
        "detail",
        ("file_name", "file.name"),
        ("file_size_bytes", "file.size_bytes"),
        ("file_sha256", "file.sha256"),
        ("file_received_at", "received_at"),
        ("reason", "action.reason"),
        ("initiated_by", "action.initiated_by"),
    )
    load_options = (joinedload(DiagnosticsRequest.file), joinedload(DiagnosticsRequest.charge_point))
    actions = (
        RecordAction(
            "delete_file",
            "Delete Files",
            delete_file,
            permission="delete",
            icon="trash",
            danger=True,
            help="The files are deleted for good; the requests stay in the log.",
        ),
    )

    def list_context(self, page: Any) -> dict[str, Any]:
        """Files can be deleted, therefore rows can be selected."""
        return {**super().list_context(page), "selectable": bool(self.actions_for("bulk"))}

    def settled(self, obj: DiagnosticsRequest) -> bool:
        """The file is here, or nothing more is expected."""
        return obj.received_at is not None or obj.status in (TransferStatus.NOTHING, TransferStatus.FAILED)

    @expose("/file/")
    def file_view(self) -> Any:
        """The file a charge point brought, as a download: who knows what is in it."""
        self.require("view")
        obj = self.get_one(request.args.get("id"), options=self.load_options)
        return download(obj.file) if obj.file is not None else abort(404)
