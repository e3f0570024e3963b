"""The Communication Logs tab of a charge point: requests with their answers, the last 24 hours first.

Manual, "Communication Logs"; stations.md, line 24. Pages go by key; a live view asks for what is newer.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, request, stream_with_context
from flask_admin import expose

from admin_views import formats
from app.assets.models import ChargePoint
from app.charging import conversation
from app.charging.conversation import Exchange, Key, Show, Window
from app.charging.models.logs import Direction
from app.core.clock import utcnow
from app.core.db import allow_minutes

PER_PAGE = 50
LIVE_ROWS = 200
MAX_HOURS = 24 * 90
MAX_TEXT = 200
SPANS = {1: "Last hour", 24: "Last 24 hours", 168: "Last 7 days", 720: "Last 30 days", MAX_HOURS: "Last 90 days"}
SHOWS = {Show.ALL: "All messages", Show.ERRORS: "Errors only", Show.UNANSWERED: "Unanswered calls"}
SIDES = {"in": "Station", "out": "System"}
#: younger requests may still be answered
PATIENCE = timedelta(seconds=30)
#: how far the live view stays behind, so that most answers come with their requests
LIVE_LAG = timedelta(seconds=2)
EXPORT_HEADER = (
    "at",
    "charge_point_id",
    "from",
    "message",
    "message_id",
    "kind",
    "answer_ms",
    "answer_kind",
    "request",
    "answer",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Asked:
    """What the arguments ask for; whatever cannot be understood is left at its default."""

    hours: int
    until: datetime | None
    action: str
    side: str
    show: Show
    text: str

    def window(self, charge_point: ChargePoint, now: datetime) -> Window:
        """The frames they select."""
        until = self.until or now + timedelta(minutes=1)
        return Window(
            charge_point.id,
            since=(self.until or now) - timedelta(hours=self.hours),
            until=until,
            action=self.action,
            direction=Direction(self.side) if self.side else None,
            show=self.show,
            text=self.text,
        )

    def arguments(self) -> dict[str, str]:
        """For addresses: only what is not the default."""
        found = {
            "hours": "" if self.hours == 24 else str(self.hours),
            "until": "" if self.until is None else _local(self.until),
            "action": self.action,
            "side": self.side,
            "show": "" if self.show is Show.ALL else self.show.value,
            "text": self.text,
        }
        return {name: value for name, value in found.items() if value}


def asked() -> Asked:
    """The arguments of this request."""
    show = request.args.get("show", "")
    side = request.args.get("side", "")
    return Asked(
        hours=max(1, min(request.args.get("hours", 24, type=int), MAX_HOURS)),
        until=_moment(request.args.get("until", "")),
        action=request.args.get("action", "").replace("\x00", "")[:60],
        side=side if side in SIDES else "",
        show=Show(show) if show in set(Show) else Show.ALL,
        text=request.args.get("text", "").replace("\x00", "").strip()[:MAX_TEXT],
    )


def _moment(typed: str) -> datetime | None:
    """A date and time of the admin's zone as the browser sends it; None for anything else."""
    try:
        naive = datetime.fromisoformat(typed)
    except ValueError:
        return None
    if not 1970 < naive.year < 9000:
        return None
    return (naive if naive.tzinfo else naive.replace(tzinfo=formats.screen_zone())).astimezone(UTC)


def _local(moment: datetime) -> str:
    return moment.astimezone(formats.screen_zone()).strftime("%Y-%m-%dT%H:%M")


def key_text(key: Key) -> str:
    """A place in the log for addresses."""
    return f"{(key.at - _EPOCH) // _MICROSECOND}-{key.id}"


def key_of(typed: str) -> Key | None:
    """The place an address names; None when it names none."""
    micros, _, number = typed.partition("-")
    if not (micros.isdecimal() and number.isdecimal() and len(micros) <= 18 and len(number) <= 18):
        return None
    try:
        return Key(_EPOCH + int(micros) * _MICROSECOND, int(number))
    except OverflowError:
        return None


def communication_context(session: Any, charge_point: ChargePoint) -> dict[str, Any]:
    """What ``assets/_communication.html`` draws, by the arguments."""
    wanted, now = asked(), utcnow()
    window = wanted.window(charge_point, now)
    before, after = key_of(request.args.get("before", "")), key_of(request.args.get("after", ""))
    live = request.args.get("live") == "1" and wanted.until is None
    if live:
        before = after = None
        window = replace(window, until=now - LIVE_LAG)
    found = conversation.exchanges(session, window, before=before, after=after, limit=PER_PAGE + 1)
    more = len(found) > PER_PAGE
    if after is not None and len(found) <= PER_PAGE:
        # the newest page is always full
        after, found = None, conversation.exchanges(session, window, limit=PER_PAGE + 1)
        more = len(found) > PER_PAGE
    shown = found[-PER_PAGE:] if after is not None else found[:PER_PAGE]
    return {
        **_words(now),
        "exchanges": shown,
        "older": key_text(shown[-1].key) if shown and (more or after is not None) else None,
        "newer": key_text(shown[0].key) if shown and (before is not None or after is not None) else None,
        "asked": wanted,
        "until": _local(wanted.until) if wanted.until else "",
        "arguments": wanted.arguments(),
        "live": live,
        "newest": _live_key(session, window) if live else "",
        "heard": conversation.actions_heard(
            session, charge_point_id=charge_point.id, since=window.since, until=window.until
        ),
        "spans": SPANS,
        "shows": SHOWS,
        "sides": SIDES,
    }


def _live_key(session: Any, window: Window) -> str:
    newest = conversation.newest_key(session, window)
    return key_text(newest or Key(window.since, 0))


def _words(now: datetime) -> dict[str, Any]:
    return {"pretty": pretty, "waits_since": now - PATIENCE}


def pretty(payload: str) -> str:
    """A frame indented for reading; what is no JSON as it was."""
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return payload


class CommunicationPages:
    """Joined into the charge points' view: the tab, its live rows, and its export."""

    def communication_view(self: Any, number: int) -> str:
        """The tab."""
        obj = self.get_one(request.args.get("id"))
        context = communication_context(self.db_session, obj)
        return str(self.render("assets/_communication.html", model=obj, number=number, **context))

    @expose("/messages/live/")
    def messages_live_view(self: Any) -> Any:
        """Rows newer than ``after``, with the mark that asks for the next; 204 while there are none."""
        self.require("view")
        obj = self.get_one(request.args.get("id"))
        wanted, now = asked(), utcnow()
        after = key_of(request.args.get("after", ""))
        if after is None:
            abort(400, description="The address does not say from where on.")
        window = replace(wanted.window(obj, now), until=now - LIVE_LAG)
        found = conversation.exchanges(self.db_session, window, after=after, limit=LIVE_ROWS)
        if not found:
            return "", 204
        return self.render(
            "assets/_communication_live.html",
            model=obj,
            exchanges=found,
            newest=key_text(found[0].key),
            arguments=wanted.arguments(),
            **_words(now),
        )

    @expose("/messages/export/<any(csv, ndjson):form>/")
    def messages_export_view(self: Any, form: str) -> Response:
        """The whole window as it is filtered, streamed: CSV for spreadsheets, or a JSON object a line."""
        self.require("export")
        obj = self.get_one(request.args.get("id"))
        window = asked().window(obj, utcnow())
        session = self.db_session
        rows = _rows(obj.identifier, session, window, formats.system_zone())
        lines = _csv(rows) if form == "csv" else _ndjson(rows)
        today = utcnow().astimezone(formats.system_zone())
        name = f"messages-{_file_name(obj.identifier)}-{today:%Y-%m-%d-%H%M}.{form}"
        return Response(
            stream_with_context(lines),
            content_type="text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Accel-Buffering": "no",
                "Cache-Control": "no-store",
            },
        )


def _file_name(identifier: str) -> str:
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_.") else "_" for sign in identifier)[:80]


def _rows(identifier: str, session: Any, window: Window, in_zone: Any) -> Iterator[dict[str, Any]]:
    """One exchange after the other. The view's session has ended by then: it begins anew and is closed here."""
    try:
        allow_minutes(session, 15)
        for exchange in conversation.all_exchanges(session, window):
            yield _row(identifier, exchange, in_zone)
    finally:
        session.close()


def _row(identifier: str, exchange: Exchange, in_zone: Any) -> dict[str, Any]:
    first, answer = exchange.first, exchange.answer
    took = exchange.took
    values = (
        first.at.astimezone(in_zone).isoformat(timespec="milliseconds"),
        identifier,
        SIDES[first.direction.value].lower(),
        first.action,
        first.message_id,
        first.kind.value,
        None if took is None else round(took / timedelta(milliseconds=1), 1),
        answer.kind.value if answer is not None else None,
        first.payload,
        answer.payload if answer is not None else None,
    )
    return dict(zip(EXPORT_HEADER, values, strict=True))


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(EXPORT_HEADER)
    for row in rows:
        writer.writerow([formats.export_value(value) for value in row.values()])
        if buffer.tell() > 64 * 1024:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _ndjson(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        whole = {**row, "request": _parsed(row["request"]), "answer": _parsed(row["answer"])}
        yield json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"


def _parsed(payload: str | None) -> Any:
    """A frame as JSON; what is none as text."""
    try:
        return json.loads(payload) if payload is not None else None
    except (ValueError, RecursionError):
        return payload
