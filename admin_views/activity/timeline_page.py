"""The timeline on a session's page: lanes and curve on one axis, and a table of everything, narrowed by checkboxes.

product.md, "Beyond the manual", 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import abort, request
from flask_admin import expose

from admin_views import formats
from admin_views.assets.messages import key_of, key_text, pretty
from admin_views.base import url_if
from app.assets.models import ChargePoint
from app.charging import conversation
from app.charging.conversation import Key, Window
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession
from app.charging.timeline.entries import Entry, Kind, Timeline
from app.charging.timeline.session_timeline import Asked, session_timeline
from app.core.clock import utcnow

#: who may see what of a timeline, beside the session itself
PERMISSIONS = {
    Kind.MESSAGE: "assets.charge_point.view",
    Kind.STATUS: "assets.charge_point.view",
    Kind.CONNECTION: "assets.charge_point.view",
    Kind.AUTHORIZATION: "activity.authorization.view",
    Kind.RESERVATION: "activity.reservation.view",
    Kind.MONEY: "payments.transaction.view",
    Kind.ACTION: "activity.action.view",
}
#: shown unless asked for otherwise: readings are in the curve
AT_FIRST = frozenset(Kind) - {Kind.METER}
ICONS = {
    Kind.SESSION: "bolt",
    Kind.STATUS: "charging-pile",
    Kind.CONNECTION: "plug-connected",
    Kind.AUTHORIZATION: "shield-check",
    Kind.RESERVATION: "calendar-event",
    Kind.MONEY: "credit-card",
    Kind.ACTION: "history",
    Kind.MESSAGE: "messages",
    Kind.METER: "chart-line",
}
#: the drawing's own units: a lane is WIDTH wide, stretched to the page
WIDTH = 1000
CURVE_HEIGHT = 100
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Bar:
    """A state on a lane, in the drawing's units."""

    x: float
    width: float
    label: str
    tone: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on a lane."""

    x: float
    label: str
    tone: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One line above the curve."""

    title: str
    icon: str
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines of the curve as SVG points, with the highest value of each."""

    title: str
    points: str
    highest: str
    css: str


class Drawing:
    """A timeline's axis and lanes, in the drawing's units."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._length = max(1.0, (timeline.until - timeline.since).total_seconds())

    def x(self, at: datetime) -> float:
        """Where a moment is."""
        share = (at - self._timeline.since).total_seconds() / self._length
        return round(WIDTH * min(1.0, max(0.0, share)), 1)

    def lanes(self) -> Iterator[Lane]:
        """States first, then the moments of each kind there are."""
        for title, spans, kind in (
            ("Connection", self._timeline.connection, Kind.CONNECTION),
            ("EVSE", self._timeline.status, Kind.STATUS),
        ):
            bars = tuple(
                Bar(self.x(each.since), round(self.x(each.until) - self.x(each.since), 1), each.label, each.tone.value)
                for each in spans
            )
            if bars:
                yield Lane(title, ICONS[kind], bars=bars)
        for kind, entries in self._timeline.marks.items():
            if entries:
                marks = tuple(Mark(self.x(each.at), _mark(each), each.tone.value) for each in entries)
                yield Lane(kind.label, ICONS[kind], marks=marks)

    def curves(self) -> Iterator[Curve]:
        """Power, energy and battery, each in its own scale from 0."""
        curve = self._timeline.curve
        if len(curve) < 2:
            return
        lines = (
            ("Power", [(each.at, each.power_w) for each in curve], formats.power, "power"),
            ("Energy", [(each.at, each.energy_wh) for each in curve], formats.energy, "energy"),
            ("Battery", [(each.at, each.soc_percent) for each in curve], _percent, "battery"),
        )
        for title, values, words, css in lines:
            known = [(at, value) for at, value in values if value is not None]
            if len(known) < 2:
                continue
            highest = max(value for _, value in known)
            scale = Decimal(100) if css == "battery" else highest or Decimal(1)
            heights = (round(CURVE_HEIGHT * (1 - float(value / scale)), 1) for _, value in known)
            points = " ".join(f"{self.x(at)},{y}" for (at, _), y in zip(known, heights, strict=True))
            yield Curve(title, points, str(words(highest)), css)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Up to eight round times of the admin's clock."""
        days = 86400 * max(1, int(self._length // (8 * 86400)))
        step = next((each for each in _STEPS_S if self._length / each <= 8), days)
        here = formats.local(self._timeline.since)
        day = here.replace(hour=0, minute=0, second=0, microsecond=0)
        first = int((here - day).total_seconds() // step) + 1
        pattern = "%H:%M" if step < 86400 else "%d %b"
        at = day + timedelta(seconds=first * step)
        while at <= formats.local(self._timeline.until):
            yield round(self.x(at) / WIDTH * 100, 1), at.strftime(pattern)
            at += timedelta(seconds=step)


def _percent(value: Decimal) -> str:
    return f"{value:.0f}%"


def _mark(entry: Entry) -> str:
    return f"{formats.local(entry.at):%H:%M:%S} {entry.title}"


class TimelinePart:
    """Joined into the sessions' view: the timeline's partial, and the contents of a message."""

    @expose("/timeline/")
    def timeline_view(self: Any) -> str:
        """The timeline, by the arguments ``kind`` (several), ``shown``, ``all_messages`` and ``page``."""
        obj = self.get_one(request.args.get("id"))
        return str(self.render("activity/_timeline.html", model=obj, **self.timeline_context(obj)))

    def timeline_context(self: Any, obj: ChargingSession) -> dict[str, Any]:
        """What ``activity/_timeline.html`` draws."""
        may_see = frozenset(kind for kind in Kind if kind not in PERMISSIONS or self.may(PERMISSIONS[kind]))
        chosen = frozenset(kind for kind in Kind if kind.value in request.args.getlist("kind"))
        asked = Asked(
            kinds=chosen if request.args.get("shown") == "1" else AT_FIRST,
            may_see=may_see,
            whole_station=request.args.get("all_messages") == "1",
            page=max(0, min(request.args.get("page", 0, type=int), 10_000)),
        )
        timeline = session_timeline(self.db_session(), obj, asked=asked, now=utcnow())
        drawing = Drawing(timeline)
        return {
            "timeline": timeline,
            "kinds": [
                (kind, ICONS[kind], timeline.counts.get(kind, 0), kind in asked.kinds)
                for kind in Kind
                if kind in may_see
            ],
            "icons": ICONS,
            "asked": asked,
            "lanes": list(drawing.lanes()),
            "curves": list(drawing.curves()),
            "ticks": list(drawing.ticks()),
            "width": WIDTH,
            "curve_height": CURVE_HEIGHT,
            "running": obj.status in RUNNING,
            "link_of": self.timeline_link,
            "frame_key": lambda frame: key_text(Key(*frame)),
        }

    def timeline_link(self: Any, entry: Entry) -> str | None:
        """The page of what an entry is about, for who may open it."""
        if entry.link is None:
            return None
        page = self.sibling(entry.link.page)
        if page is None or not page.is_accessible():
            return None
        return url_if(f"{entry.link.page}.details_view", id=entry.link.id)

    @expose("/timeline/message/")
    def timeline_message_view(self: Any) -> str:
        """A message of the session's charge point with its answer, word for word."""
        self.require(PERMISSIONS[Kind.MESSAGE])
        obj = self.get_one(request.args.get("id"))
        key = key_of(request.args.get("frame", ""))
        if key is None:
            abort(404)
        station = self.db_session.query(ChargePoint).filter(ChargePoint.id == obj.charge_point_id).one_or_none()
        window = Window(obj.charge_point_id, since=key.at, until=key.at + timedelta(microseconds=1))
        found = conversation.exchanges(self.db_session(), window, limit=50)
        exchange = next((each for each in found if each.key == key), None)
        if station is None or exchange is None:
            abort(404)
        return str(self.render("activity/_timeline_message.html", model=obj, exchange=exchange, pretty=pretty))
