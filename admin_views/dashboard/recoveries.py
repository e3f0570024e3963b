"""The history behind the faults list: every auto-recovery and every lost connection, of all charge points or of one."""

from __future__ import annotations

from typing import Any

from flask_admin.form import BaseForm
from sqlalchemy.orm import joinedload

from admin_views import formats
from admin_views.assets.logs import of_station
from admin_views.assets.parts import LiveList, OffMenu
from admin_views.base import BaseView, Facts
from admin_views.dashboard import care
from admin_views.widgets.cells import pill
from app.charging.fault_queries import ATTEMPTS
from app.charging.models import Outage, Recovery
from app.charging.recovery import texts as fault_texts
from app.core.db import db


def _part(view: Any, context: Any, obj: Recovery, name: str) -> Any:
    return fault_texts.part_at_fault(obj)


def _fault(view: Any, context: Any, obj: Recovery, name: str) -> Any:
    return care.fault(obj)


def _tried(view: Any, context: Any, obj: Recovery, name: str) -> Any:
    return care.tried(obj)


def _mailed(view: Any, context: Any, obj: Any, name: str) -> Any:
    return formats.when(getattr(obj, name), missing="Not mailed")


def _lasted(view: Any, context: Any, obj: Outage, name: str) -> Any:
    return formats.duration(obj.ended_at - obj.began_at) if obj.ended_at is not None else formats.NOTHING


def _state(view: Any, context: Any, obj: Outage, name: str) -> Any:
    return pill("offline", text="Not connected") if obj.ended_at is None else pill("available", text="Over")


class _HistoryView(OffMenu, LiveList, BaseView):
    """Rows that nobody changes, newest first."""

    resource, section = "assets.charge_point", None
    live_topic = "charge_points"
    can_create = can_edit = can_delete = False
    has_history = False
    count_cap = 10_000
    form_columns = ()
    column_default_sort = ("began_at", True)

    def scaffold_form(self) -> Any:
        """None is needed."""
        return BaseForm


class RecoveryView(_HistoryView):
    """What auto-recovery did. Manual, "Enable Auto-Recovery"."""

    singular, plural = "Auto-Recovery", "Auto-Recoveries"
    icon = "refresh-alert"
    description = "Every fault that was worked on: what was tried, and what came of it."
    empty_hint = "Faults of Active charge points with Auto-Recovery enabled are worked on after half a minute."

    column_list = ("began_at", "charge_point", "part", "fault", "status", "tried", "outcome", "ended_at", "mailed_at")
    column_labels = {
        "id": "ID",
        "began_at": "Began at",
        "ended_at": "Ended at",
        "charge_point": "Charge Point",
        "charge_point.name": "Charge Point",
        "part": "At fault",
        "fault": "Fault",
        "status": "Status",
        "tried": "What was tried",
        "outcome": "Outcome",
        "mailed_at": "Mailed at",
        "error_code": "Error",
        "error_info": "Info",
    }
    column_pills = ("status",)
    column_formatters = {"part": _part, "fault": _fault, "tried": _tried, "mailed_at": _mailed}
    column_sortable_list = ("began_at", "ended_at", "status", "mailed_at")
    column_searchable_list = ("charge_point.name", "error_code", "error_info", "outcome")
    search_hint = "Search charge point, error, outcome"
    column_filters = ("began_at", "status", "error_code", "ended_at", *of_station(Recovery))
    column_export_list = (
        "id",
        "began_at",
        "ended_at",
        ("charge_point", "charge_point.name"),
        ("charge_point_id", "charge_point.identifier"),
        ("at_fault", fault_texts.part_at_fault),
        "error_code",
        "error_info",
        "status",
        ("tried", care.tried_text),
        "outcome",
        "mailed_at",
    )
    load_options = (*ATTEMPTS, joinedload(Recovery.charge_point))
    details_load_options = load_options
    details_tabs = (
        Facts(
            "General",
            ("charge_point", "part", "fault", "status", "outcome", "began_at", "ended_at", "mailed_at", "tried"),
        ),
    )


class OutageView(_HistoryView):
    """Lost connections. Manual, "Charge Point details", Connection."""

    singular, plural = "Outage", "Outages"
    icon = "wifi-off"
    description = "Every time an Active or Out of order charge point was not connected for long."
    empty_hint = "A charge point that gives no sign of life for long appears here."
    can_view_details = False

    column_list = ("began_at", "charge_point", "state", "ended_at", "lasted", "mailed_at", "back_mailed_at")
    column_labels = {
        "began_at": "Last sign of life",
        "ended_at": "Connected again",
        "charge_point": "Charge Point",
        "charge_point.name": "Charge Point",
        "state": "State",
        "lasted": "Lasted",
        "mailed_at": "Mailed at",
        "back_mailed_at": "“Connected again” mailed at",
    }
    column_formatters = {"state": _state, "lasted": _lasted, "mailed_at": _mailed, "back_mailed_at": _mailed}
    column_sortable_list = ("began_at", "ended_at", "mailed_at")
    column_searchable_list = ("charge_point.name",)
    search_hint = "Search charge point"
    column_filters = ("began_at", "ended_at", *of_station(Outage))
    column_export_list = (
        "id",
        ("charge_point", "charge_point.name"),
        ("charge_point_id", "charge_point.identifier"),
        "began_at",
        "ended_at",
        "mailed_at",
        "back_mailed_at",
    )
    load_options = (joinedload(Outage.charge_point),)


def history_views() -> list[Any]:
    """The pages of the history."""
    return [
        RecoveryView(Recovery, db, endpoint="recovery", url="/dashboard/recoveries"),
        OutageView(Outage, db, endpoint="outage", url="/dashboard/outages"),
    ]
