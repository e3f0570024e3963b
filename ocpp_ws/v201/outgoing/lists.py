"""Local authorisation lists and reservations (OCPP 2.0.1 part 2, blocks D and H)."""

from __future__ import annotations

from typing import Any

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import read_reservation
from ocpp_ws.outgoing import Outgoing, Payload, present, with_result
from ocpp_ws.v201.values import id_token

_STATUSES = {"accepted": "Accepted", "blocked": "Blocked", "expired": "Expired"}
CARD = "ISO14443"


def _entry(entry: Payload) -> Payload:
    """``info`` None takes the tag off the list; otherwise it has status, and perhaps expires_at and parent."""
    info: dict[str, Any] | None = entry.get("info")
    token = {"idToken": id_token(entry["id_tag"], kind=CARD)}
    if info is None:
        return token
    parent = info.get("parent")
    return {
        **token,
        "idTokenInfo": present(
            {
                "status": _STATUSES[info["status"]],
                "cacheExpiryDateTime": info.get("expires_at"),
                "groupIdToken": id_token(parent) if parent else None,
            }
        ),
    }


def _list(request: Payload) -> Payload:
    payload: Payload = {
        "versionNumber": request["version"],
        "updateType": "Full" if request["full"] else "Differential",
    }
    if request.get("entries"):
        payload["localAuthorizationList"] = [_entry(entry) for entry in request["entries"]]
    return payload


def _read_version(response: Payload) -> Answer:
    """0: the list is empty, or there is none."""
    return Answer(ActionStatus.ANSWERED, response, facts={"version": response.get("versionNumber")})


def _reserve(request: Payload) -> Payload:
    parent = request.get("parent")
    return present(
        {
            "id": request["reservation_id"],
            "expiryDateTime": request["expires_at"],
            "idToken": id_token(request["id_tag"]),
            "evseId": request["network_id"] or None,
            "groupIdToken": id_token(parent) if parent else None,
        }
    )


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.SEND_LOCAL_LIST: Outgoing(
        "SendLocalList",
        _list,
        with_result({"Accepted": "accepted", "VersionMismatch": "version_mismatch", "Failed": "failed"}),
    ),
    CommandName.GET_LOCAL_LIST_VERSION: Outgoing("GetLocalListVersion", lambda r: {}, _read_version),
    CommandName.RESERVE: Outgoing(
        "ReserveNow",
        _reserve,
        read_reservation,
    ),
    CommandName.CANCEL_RESERVATION: Outgoing("CancelReservation", lambda r: {"reservationId": r["reservation_id"]}),
}
