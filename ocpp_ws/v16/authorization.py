"""Authorize (OCPP 1.6, 4.1)."""

from __future__ import annotations

from typing import Any

from app.charging import authorizations
from ocpp_ws.connection import StationConnection
from ocpp_ws.holding import hold_for_card
from ocpp_ws.served import now_of, served
from ocpp_ws.v16.values import id_tag_of, tag_info


def authorize(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Decide whether a tag may charge here, and say so."""
    of = served(connection)
    now = now_of(connection)
    answer = of.transact(
        lambda session: authorizations.authorize(
            session,
            station=of.station,
            id_tag=id_tag_of(payload),
            source=authorizations.source_of(of.station),
            now=now,
        )
    )
    answer = hold_for_card(of, answer, now)
    reason = str(answer.decision.reason) if answer.decision.reason else None
    return {"idTagInfo": tag_info(answer.accepted, reason, answer.expires_at, answer.parent)}
