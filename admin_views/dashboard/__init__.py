"""DASHBOARD: the cards, the map of locations, and the stations with faults or no connection."""

from __future__ import annotations

from typing import Any

from admin_views.dashboard.faults import FaultsView
from admin_views.dashboard.page import Dashboard
from admin_views.dashboard.recoveries import history_views
from app.assets.models import ChargePoint
from app.core.db import db


def views() -> list[Any]:
    """The section's pages; the first is the product's index."""
    return [
        Dashboard(endpoint="dashboard", url="/", static_url_path="/static"),
        FaultsView(ChargePoint, db, endpoint="faults", url="/dashboard/faults"),
        *history_views(),
    ]
