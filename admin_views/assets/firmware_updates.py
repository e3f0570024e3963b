"""Firmware updates: every one, with what the station said of it. Manual, "Update Firmware"."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import abort, request
from flask_admin import expose
from sqlalchemy.orm import joinedload

from admin_views.assets.logs import LogView, of_station
from admin_views.assets.transfers import FollowsState, charge_point_link, status_cell
from admin_views.base import Facts, url_if
from app.charging.models import FirmwareStatus, FirmwareUpdate
from app.charging.upkeep import firmware


def history(obj: FirmwareUpdate) -> list[dict[str, Any]]:
    """The steps of an update, newest first: when, what it was then, what the station called it."""
    found = []
    for entry in reversed(obj.history):
        status = FirmwareStatus(entry["status"])
        words = entry.get("reported")
        said = [words] if words and words != status.label else []
        found.append(
            {
                "at": datetime.fromisoformat(entry["at"]),
                "status": status,
                "words": "; ".join([*said, *([entry["note"]] if entry.get("note") else [])]),
            }
        )
    return found


def what(view: Any, context: Any, obj: FirmwareUpdate, name: str) -> Any:
    """The file, or the address elsewhere."""
    if obj.firmware_file is None:
        return obj.location
    return str(obj.firmware_file) if context is None else obj.firmware_file


class FirmwareUpdateView(FollowsState, LogView):
    """Every firmware update, with what the station said of it."""

    singular, plural = "Firmware Update", "Firmware Updates"
    icon = "versions"
    can_view_details = True
    details_template = "assets/details.html"
    status_template = "assets/_firmware_progress.html"
    column_list = (
        "id",
        "charge_point",
        "firmware",
        "status",
        "reported",
        "version_before",
        "version_after",
        "retrieve_at",
        "changed_at",
    )
    column_labels = {
        "id": "#",
        "charge_point": "Charge Point",
        "firmware": "Firmware",
        "reported": "Reported",
        "version_before": "Version before",
        "version_after": "Version after",
        "retrieve_at": "Retrieve at",
        "install_at": "Install at",
        "requested_at": "Requested at",
        "changed_at": "Last news",
        "signed": "Signed update",
        "location": "Address",
        "action.initiated_by": "Initiated by",
        "action.reason": "Reason",
        "action": "Action",
    }
    column_formatters = {"status": status_cell, "firmware": what, "charge_point": charge_point_link}
    column_sortable_list = ("id", "status", "retrieve_at", "changed_at")
    column_default_sort = ("id", True)
    column_filters = (
        "requested_at",
        "status",
        "signed",
        "version_before",
        "version_after",
        "firmware_file.name",
        *of_station(FirmwareUpdate),
    )
    column_export_list = (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        ("firmware", lambda obj: str(obj.firmware_file or "")),
        ("address", "location"),
        "signed",
        "status",
        "reported",
        "version_before",
        "version_after",
        "requested_at",
        "retrieve_at",
        "install_at",
        ("last_news_at", "changed_at"),
        ("initiated_by", "action.initiated_by"),
        ("reason", "action.reason"),
    )
    load_options = (joinedload(FirmwareUpdate.firmware_file), joinedload(FirmwareUpdate.charge_point))
    details_load_options = load_options
    details_tabs = (
        Facts(
            "General",
            (
                "charge_point",
                "firmware",
                "location",
                "signed",
                "requested_at",
                "retrieve_at",
                "install_at",
                "version_before",
                "version_after",
                "action.initiated_by",
                "action.reason",
                "action",
            ),
        ),
    )

    def settled(self, obj: FirmwareUpdate) -> bool:
        """Installed, failed or refused."""
        return obj.status in firmware.CLOSED

    def live_topics(self, obj: FirmwareUpdate) -> list[str]:
        """Whatever happens at its station."""
        return [f"charge_point-{obj.charge_point_id}"]

    def details_context(self, obj: FirmwareUpdate) -> dict[str, Any]:
        """The progress."""
        return {**super().details_context(obj), "update": obj, "steps": history(obj)}

    @expose("/card/")
    def card_view(self) -> Any:
        """The Firmware section of a charge point's Hardware tab: its newest update."""
        self.require("view")
        page = self.sibling("charge_point")
        if page is None or not page.is_accessible():
            abort(404)
        station = page.get_one(request.args.get("id"))
        newest = self.get_query().options(*self.load_options).filter(FirmwareUpdate.charge_point_id == station.id)
        update = newest.order_by(FirmwareUpdate.id.desc()).first()
        steps = history(update) if update is not None else []
        return self.render(
            "assets/_firmware_card.html",
            station=station,
            update=update,
            steps=steps,
            all_url=url_if("firmware_update.index_view", flt0_charge_point_id_is=station.identifier),
        )
