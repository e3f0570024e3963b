"""The Dashboard: cards and the map of locations. Manual, "Dashboard"."""

from __future__ import annotations

from typing import Any

from flask import abort, redirect
from flask_admin import expose
from flask_login import current_user

from admin_views.base import PageView
from admin_views.widgets.chrome import menu


class Dashboard(PageView):
    """The page an admin lands on."""

    resource = "dashboard.home"
    title = "Dashboard"
    icon = "layout-dashboard"

    @expose("/")
    def index(self) -> Any:
        """All cards that the admin may see."""
        return self.render("dashboard/page.html")

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        """Whose role has no dashboard (Analyst) lands on the first page it has."""
        if current_user.is_authenticated and name == "index":
            first = next((entries[0] for _, entries in menu(self) if entries), None)
            return redirect(first.url) if first else abort(403)
        return super().inaccessible_callback(name, **kwargs)


def views() -> list[Any]:
    """The section's pages; the first is the product's index."""
    return [Dashboard(endpoint="dashboard", url="/", static_url_path="/static")]
