"""Authorize (OCPP 2.0.1 part 2, block C). Contract certificates are decided on by their eMAID, as any other token."""

from __future__ import annotations

from typing import Any

from app.charging import authorizations
from ocpp_ws.connection import StationConnection
from ocpp_ws.holding import hold_for_card
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.values import id_token_of, token_info


def authorize(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Decide whether a token may charge here, and say so.

    Whether a contract certificate was revoked we have nobody to ask: the station is told that we cannot say (C07).
    """
    of = served(connection)
    now = now_of(connection)
    answer = of.transact(
        lambda session: authorizations.authorize(
            session,
            station=of.station,
            id_tag=id_token_of(payload.get("idToken")),
            source=authorizations.source_of(of.station),
            now=now,
        )
    )
    answer = hold_for_card(of, answer, now)
    reason = str(answer.decision.reason) if answer.decision.reason else None
    result: dict[str, Any] = {"idTokenInfo": token_info(answer.accepted, reason, answer.expires_at, answer.parent)}
    if payload.get("certificate") or payload.get("iso15118CertificateHashData"):
        result["certificateStatus"] = "NoCertificateAvailable"
    return result
