"""The part “Current profile” of a charge point's and an EVSE's page: the schedule last asked for, as a chart and in
numbers, and beneath it what the charge point told of its limits. Manual, "Get Composite Schedule".
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import request
from flask_admin import expose

from admin_views import formats
from admin_views.assets.charging_actions import speaks_newer
from app.assets.models import Evse
from app.charging.models import CompositeSchedule
from app.charging.plans import smart_charging, station_limits


class ScheduleMixin:
    """Joined before BaseView."""

    @expose("/schedule/")
    def schedule_view(self) -> str:
        """The schedule of the record."""
        obj = self.get_one(request.args.get("id"))
        at = {"charge_point_id": obj.id, "network_id": 0}
        if isinstance(obj, Evse):
            at = {"charge_point_id": obj.charge_point_id, "network_id": obj.network_id}
        found = smart_charging.latest_schedule(self.db_session, **at)
        steps = smart_charging.steps(found) if found is not None else []
        charge_point = obj.charge_point if isinstance(obj, Evse) else obj
        return self.render(
            "assets/_schedule.html",
            model=obj,
            charge_point_id=at["charge_point_id"],
            schedule=found,
            steps=steps,
            clock=_clock,
            told=station_limits.told(self.db_session, **at),
            words=station_limits,
            at_evse=isinstance(obj, Evse),
            may_ask=speaks_newer(charge_point)
            and not isinstance(obj, Evse)
            and self.may("assets.charge_point.command"),  # type: ignore[attr-defined]
            chart=json.dumps(chart_data(found, steps), separators=(",", ":")) if found is not None and steps else "",
        )


def chart_data(schedule: CompositeSchedule, steps: list[smart_charging.Step]) -> dict[str, Any]:
    """What static/js/schedule.js draws: a step line of limits over minutes, labelled in the admin's zone."""
    start = schedule.starts_at
    moments = [*(step.begins_at for step in steps), steps[-1].ends_at]
    limits = [step.limit for step in steps]
    return {
        "unit": schedule.unit,
        "labels": [formats.local(moment).strftime("%H:%M") for moment in moments],
        "minutes": [round((moment - start).total_seconds() / 60, 2) for moment in moments],
        "limits": [float(limit) for limit in (*limits, limits[-1])],
    }


def _clock(moment: datetime) -> str:
    return formats.local(moment).strftime("%H:%M:%S")
