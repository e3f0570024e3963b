"""Live screens: what happens anywhere in the product reaches open pages as server-sent events without data.

For authors of pages. An event only says "fetch yourself again": its data is a dot, what may be seen is decided by the
request that follows. A page connects once, naming the topics it cares for:

    <div id="live" hidden hx-sse:connect="{{ url_if('live.stream', topic=['charge_point-5', 'sessions']) }}"
         hx-swap="none"></div>

(``model/details.html`` does this for whatever ``live_topics(obj)`` returns; "charge_point:5" is understood too.)
Events bubble, so any card or cell on the page listens at the body and swaps only itself:

    <div id="status" hx-get="…/status/?id=5" hx-trigger="charge_point-5 from:body" hx-swap="outerHTML">

Topics, each also the event's name:
    charge_point-<id>  connection, hardware, fields, its sessions (not each reading) and its actions
    evse-<id>          sessions of it, its hardware when the event names the EVSE
    session-<id>       started, changed, metered, finished, billed
    action-<id>        an action was asked for or has its outcome
    user-<id>          a balance was credited
    export-<id>        an export in the background is further, or over
    charge_points, sessions, actions, authorizations    any of them; at most one a second
    dashboard          any charge point or session; at most one a second
Beside these, ``live`` is sent with every event. Without ``topic`` a stream sends all that the admin may see.
The same event comes at most every 300 ms, the first at once, the last never lost. After a break (sleeping laptop,
restart, hidden tab) every topic of the page is sent once, so cards catch up. Partners get events of their own rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, abort, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from admin_views import live_hub
from admin_views.live_hub import Browser, Hub
from admin_views.login import this_sign_in
from app.core import admin_sessions
from app.core.clock import utcnow
from app.core.db import db
from app.core.permissions import Permission

HEARTBEAT_S = 15.0
#: a stream ends after about this long; the browser comes back at once and is asked again who it is
LIFETIME_S = 600.0
MAX_TOPICS = 300

#: what a topic is about → any of these permissions is enough to be told
NEEDS: dict[str, tuple[Permission, ...]] = {
    "charge_point": (Permission.CHARGE_POINT_VIEW,),
    "charge_points": (Permission.CHARGE_POINT_VIEW,),
    "evse": (Permission.CHARGE_POINT_VIEW,),
    "session": (Permission.SESSION_VIEW,),
    "sessions": (Permission.SESSION_VIEW,),
    "action": (Permission.ACTION_VIEW, Permission.CHARGE_POINT_COMMAND, Permission.SESSION_STOP),
    "actions": (Permission.ACTION_VIEW,),
    "authorizations": (Permission.AUTHORIZATION_VIEW,),
    "reservation": (Permission.RESERVATION_VIEW,),
    "reservations": (Permission.RESERVATION_VIEW,),
    "user": (Permission.USER_VIEW,),
    "transaction": (Permission.TRANSACTION_VIEW,),
    "transactions": (Permission.TRANSACTION_VIEW,),
    "dashboard": (Permission.DASHBOARD_VIEW,),
    "export": tuple(Permission),  # everybody's own page asks for its own
}

log = structlog.get_logger(__name__)
blueprint = Blueprint("live", __name__)


@blueprint.get("/live")
def stream() -> Any:
    """The stream of one page. 401 without a session, 403 when the admin may see nothing of it."""
    if not current_user.is_authenticated:
        abort(Response(status=401))
    held = current_user.permissions
    kinds = frozenset(kind for kind, any_of in NEEDS.items() if held.intersection(any_of))
    asked = [live_hub.topic_name(text) for text in request.args.getlist("topic")[:MAX_TOPICS]]
    wanted = frozenset(topic for topic in asked if topic is not None and live_hub.kind_of(topic) in kinds)
    if not kinds or (asked and not wanted):
        abort(Response(status=403))
    here = this_sign_in()
    browser = Browser(
        admin_id=current_user.id,
        partner_id=current_user.partner_id,
        kinds=kinds,
        topics=wanted or None,
        sign_in=here.id if here is not None else None,
    )
    again = "Last-Event-ID" in request.headers
    hub: Hub = current_app.extensions["live"]
    # an open page must not hold a database connection: the generator below runs without a context
    db.session.remove()
    return Response(
        _events(hub, browser, catch_up=again),
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"},
    )


def _events(hub: Hub, browser: Browser, *, catch_up: bool) -> Iterator[bytes]:
    """The lines of a stream, until its time is up, its browser is dropped, or the process ends."""
    hub.add(browser)
    try:
        # the id makes the browser say "Last-Event-ID" when it comes back
        yield b"retry: 1000\nid: 1\n\n"
        if catch_up:
            browser.offer_all()
        lifetime_s = LIFETIME_S * random.uniform(0.8, 1.2)  # noqa: S311 (spreads the returns)
        ends_at = hub.clock() + lifetime_s
        while not browser.closed and hub.clock() < ends_at:
            hub.drop_ended()
            names = browser.take(timeout_s=min(HEARTBEAT_S, ends_at - hub.clock()))
            if names:
                yield b"".join(b"event: %s\ndata: .\n\n" % name.encode() for name in names)
            elif not browser.closed:
                yield b": still here\n\n"
    finally:
        hub.remove(browser)


def init_app(app: Flask) -> None:
    """Serve the streams; ``app.extensions["live"].close()`` ends them."""

    def ended(numbers: set[int]) -> set[int]:
        try:
            with app.app_context():
                return admin_sessions.ended(db.session(), numbers, now=utcnow()) if numbers else set()
        except SQLAlchemyError:  # the database is away: who may look is asked again in a moment
            log.warning("live.sign_ins_not_asked")
            return set()

    app.extensions["live"] = Hub(app.config["REDIS_URL"], ended=ended)
    app.register_blueprint(blueprint)
