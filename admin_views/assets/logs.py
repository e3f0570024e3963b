"""What stations said and how they were connected. Manual, "Logs". Reached from the charge point's page."""

from __future__ import annotations

import json
from typing import Any

from flask_admin.form import BaseForm
from markupsafe import Markup
from sqlalchemy import func, select

from admin_views.assets.parts import IsWhere, OffMenu, TextWhere
from admin_views.base import BaseView
from app.assets.models import ChargePoint
from app.charging.models import (
    CommunicationLog,
    DeviceEvent,
    HardwareStatusLog,
    NetworkStatusLog,
    StrayMessage,
)
from app.charging.upkeep.device_events import SEVERITIES, TRIGGERS
from app.core.db import db

STATION_LABELS = {
    "at": "Happened at",
    "charge_point_id": "Charge Point",
    "status": "Status",
    "detail": "Detail",
    "network_id": "EVSE",
    "evse_id": "EVSE",
    "error_code": "Error",
    "info": "Info",
    "vendor_error_code": "Vendor error",
    "reported_at": "Station's time",
    "note": "Why it fits nothing",
}
#: counting stops here: these tables grow without end
COUNT_CAP = 1000


def of_station(model: Any) -> tuple[TextWhere, IsWhere]:
    """Filters by the charge point a log row belongs to."""

    def among(condition: Any) -> Any:
        return model.charge_point_id.in_(select(ChargePoint.id).where(condition))

    return (
        TextWhere(model.id, "Charge Point", lambda like: among(ChargePoint.name.ilike(like, escape="\\"))),
        IsWhere(model.id, "Charge Point ID", lambda text: among(func.lower(ChargePoint.identifier) == text.lower())),
    )


def folded(view: Any, context: Any, obj: Any, name: str) -> Any:
    """JSON, folded."""
    value = getattr(obj, name)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    if context is None:
        return text
    return Markup('<details><summary>{}</summary><pre class="frame" tabindex="0">{}</pre></details>').format(
        text[:60], text
    )


def by_evse(view: Any, context: Any, obj: HardwareStatusLog, name: str) -> Any:
    """Which EVSE, by the station's number; 0 is the station."""
    return "Station" if obj.network_id == 0 else f"EVSE {obj.network_id}"


class LogView(OffMenu, BaseView):
    """Base of the logs: rows that nobody changes, newest first."""

    resource, section, icon = "assets.charge_point", "Assets", "history"
    can_create = can_edit = can_delete = False
    can_view_details = False
    has_history = False
    count_cap = COUNT_CAP
    column_labels = STATION_LABELS
    column_default_sort = ("at", True)
    form_columns = ()

    def list_context(self, page: Any) -> dict[str, Any]:
        """Rows of a log are not selected: what matches is exported as a whole."""
        return {**super().list_context(page), "selectable": False}

    def scaffold_form(self) -> Any:
        """None is needed."""
        return BaseForm


class HardwareStatusLogView(LogView):
    """Changes of what the hardware says of itself."""

    singular, plural = "Hardware Status Log", "Hardware Status Logs"
    column_list = ("at", "network_id", "status", "error_code", "vendor_error_code", "info", "reported_at")
    column_pills = ("status",)
    column_formatters = {"network_id": by_evse}
    column_sortable_list = ("at",)
    column_filters = ("at", "status", "error_code", "network_id", *of_station(HardwareStatusLog))
    column_export_list = (
        "at",
        "charge_point_id",
        "network_id",
        "status",
        "error_code",
        "vendor_error_code",
        "info",
        "reported_at",
    )


class NetworkStatusLogView(LogView):
    """Changes of the connection."""

    singular, plural = "Network Status Log", "Network Status Logs"
    column_list = ("at", "status", "detail")
    column_pills = ("status",)
    column_sortable_list = ("at",)
    column_filters = ("at", "status", *of_station(NetworkStatusLog))
    column_export_list = ("at", "charge_point_id", "status", "detail")


class CommunicationLogView(LogView):
    """Every message, as it was on the wire."""

    singular, plural = "Communication Log", "Communication Logs"
    column_list = ("at", "direction", "kind", "action", "message_id", "payload")
    column_labels = {**STATION_LABELS, "message_id": "Message ID", "payload": "Frame", "kind": "Kind"}
    column_formatters = {"payload": folded}
    column_sortable_list = ("at",)
    column_filters = ("at", "action", "direction", "kind", "message_id", *of_station(CommunicationLog))
    column_export_list = ("at", "charge_point_id", "direction", "kind", "message_id", "action", "payload")


class StrayMessageView(LogView):
    """Messages that fit no session: kept and confirmed, because stations repeat for ever what is not."""

    singular, plural = "Stray Message", "Stray Messages"
    column_list = ("at", "action", "note", "payload")
    column_formatters = {"payload": folded}
    column_sortable_list = ("at",)
    column_filters = ("at", "action", "note", *of_station(StrayMessage))
    column_export_list = ("id", "at", "charge_point_id", "action", "note", "payload")


def severity(view: Any, context: Any, obj: DeviceEvent, name: str) -> Any:
    """In words, with its number."""
    value = obj.severity
    return None if value is None else f"{value}: {SEVERITIES.get(value, 'unknown')}"


class DeviceEventView(LogView):
    """What stations that have a device model report of their variables by themselves."""

    singular, plural = "Device Event", "Device Events"
    empty_hint = "What a charge point reports by itself appears here: values beyond a limit, changes, faults."
    column_list = ("at", "key", "value", "severity", "cleared", "trigger", "technical_info", "reported_at")
    column_labels = {
        **STATION_LABELS,
        "key": "Variable",
        "value": "Value",
        "severity": "Severity",
        "cleared": "Cleared",
        "trigger": "Why",
        "technical_code": "Code",
        "technical_info": "Info",
    }
    column_formatters = {
        "severity": severity,
        "trigger": lambda view, context, obj, name: TRIGGERS.get(obj.trigger, obj.trigger),
    }
    column_sortable_list = ("at",)
    column_filters = ("at", "key", "severity", "cleared", *of_station(DeviceEvent))


def log_views() -> list[Any]:
    """The pages of the logs."""
    return [
        HardwareStatusLogView(HardwareStatusLog, db, endpoint="hardware_status_log"),
        NetworkStatusLogView(NetworkStatusLog, db, endpoint="network_status_log"),
        CommunicationLogView(CommunicationLog, db, endpoint="communication_log"),
        StrayMessageView(StrayMessage, db, endpoint="stray_message"),
        DeviceEventView(DeviceEvent, db, endpoint="device_event"),
    ]
