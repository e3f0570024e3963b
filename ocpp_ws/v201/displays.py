"""Messages on displays, as stations report them (OCPP 2.0.1 part 2, block O)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from app.charging.upkeep.device_events import clean
from app.charging.upkeep.displays import MOST_MESSAGES, Message, ReportedMessage, keep_messages
from ocpp_ws.common_calls import utc_text
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.parts import Wanted, gather, wanted_by

#: theirs → ours
PRIORITIES: Final = {"AlwaysFront": "always_front", "InFront": "in_front", "NormalCycle": "normal_cycle"}
STATES: Final = {"Charging": "charging", "Faulted": "faulted", "Idle": "idle", "Unavailable": "unavailable"}
FORMATS: Final = {"UTF8": "plain", "ASCII": "ascii", "HTML": "html", "URI": "uri"}


def notify_display_messages(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyDisplayMessages: gather a part; keep the messages when no more is to come.

    Only a whole report that we asked for says that there are no others.
    """
    of, now = served(connection), now_of(connection)
    found = gather(of, "displays", payload, payload.get("messageInfo") or (), most=MOST_MESSAGES)
    if found is None:
        return {}
    of.transact(
        lambda session: keep_messages(
            session,
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            messages=_messages(found.entries),
            whole=found.whole and wanted_by(payload["requestId"]) is Wanted.FULL,
            now=now,
        )
    )
    return {}


def _messages(entries: list[dict[str, Any]]) -> Iterator[ReportedMessage]:
    """Those that can be named; what has no number that fits is left out."""
    for entry in entries:
        number, text = entry.get("id"), entry.get("message") or {}
        if not isinstance(number, int) or not 0 <= number < 2**31:
            continue
        yield ReportedMessage(
            number=number,
            session_reference=clean(entry["transactionId"], 80) if entry.get("transactionId") else None,
            message=Message(
                content=clean(text.get("content") or ""),
                text_format=FORMATS.get(str(text.get("format")), "plain"),
                priority=PRIORITIES.get(str(entry.get("priority")), "normal_cycle"),
                state=STATES.get(str(entry.get("state"))),
                language=clean(text["language"], 16) if text.get("language") else None,
                starts_at=_time(entry.get("startDateTime")),
                ends_at=_time(entry.get("endDateTime")),
            ),
        )


def _time(stamp: Any) -> datetime | None:
    text = utc_text(stamp) if stamp else None
    return datetime.fromisoformat(text) if text else None
