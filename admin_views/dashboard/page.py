"""The Dashboard's page, its cards one by one, and the map's data."""

from __future__ import annotations

from typing import Any

from flask import abort, jsonify, redirect, request
from flask_admin import expose
from flask_login import current_user

from admin_views.base import PageView
from admin_views.dashboard import arrangement, cards, worldmap
from admin_views.widgets.cells import details_url
from admin_views.widgets.chrome import menu
from app.core.db import db
from app.core.models import Admin
from app.core.permissions import Permission
from app.dashboard import choices, sites
from app.dashboard.periods import Period


class Dashboard(PageView):
    """The page an admin lands on. Manual, "Dashboard"."""

    resource = "dashboard.home"
    title = "Dashboard"
    icon = "layout-dashboard"

    @expose("/")
    def index(self) -> Any:
        """The cards that the admin may see and wants to, and the map, in its order."""
        admin = _me()
        board = arrangement.fill(db.session(), admin)
        with_map = arrangement.MAP in board.names
        return self.render(
            "dashboard/page.html",
            board=board,
            map=worldmap.draw(db.session(), admin.locale) if with_map else None,
            topics=sorted(board.topics | ({"charge_points"} if with_map else set())),
            periods=list(Period),
        )

    @expose("/dashboard/customise/", methods=("GET", "POST"))
    def customise(self) -> Any:
        """Which cards are shown, and in which order: an admin's own choice. POST does one change and keeps it."""
        admin = _me()
        if request.method == "POST":
            try:
                arrangement.change(db.session(), admin, request.form)
            except arrangement.NotUnderstood as error:
                abort(400, description=str(error))
            db.session.commit()
        arranged = arrangement.arranged(db.session(), admin)
        template = "dashboard/_arrange.html" if request.method == "POST" else "dashboard/customise.html"
        return self.render(template, arranged=arranged)

    @expose("/dashboard/cards/<key>/", methods=("GET", "POST"))
    def card(self, key: str) -> Any:
        """The inside of one card; POST keeps the period chosen for it."""
        admin = _me()
        card = cards.find(db.session(), admin, key)
        if card is None:
            abort(404)
        if request.method == "POST":
            period = next((period for period in Period if period.value == request.form.get("period")), None)
            if period is None or not card.has_period:
                abort(400, description="That period is not offered.")
            choices.choose(db.session(), admin=admin, card=key, period=period)
            db.session.commit()
        only = key if key.startswith(cards.REVENUE) else ""
        [shown] = cards.Board(db.session(), admin).shown([card], only=only)[card.name]
        return self.render(f"dashboard/_{card.kind}.html", shown=shown)

    @expose("/dashboard/map/pins.json")
    def pins(self) -> Any:
        """How the locations stand, or (``?all=1``) where they are too: for an open map."""
        self.require(Permission.LOCATION_VIEW)
        if request.args.get("all") == "1":
            return jsonify(worldmap.pins(db.session(), _me().locale))
        return jsonify(worldmap.statuses(db.session()))

    @expose("/dashboard/map/locations/<int:number>/")
    def place(self, number: int) -> Any:
        """The tooltip of a pin."""
        self.require(Permission.LOCATION_VIEW)
        site = sites.site(db.session(), location_id=number) if number < 2**63 else None
        if site is None:
            abort(404)
        return self.render("dashboard/_site.html", site=site, url=details_url(site.location))

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        """Whose role has no dashboard (Analyst) lands on the first page it has."""
        if current_user.is_authenticated and name == "index":
            first = next((entries[0] for _, entries in menu(self) if entries), None)
            return redirect(first.url) if first else abort(403)
        return super().inaccessible_callback(name, **kwargs)


def _me() -> Admin:
    admin = current_user._get_current_object()
    if not isinstance(admin, Admin):
        abort(401)
    return admin
