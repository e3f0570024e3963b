"""Local authorisation lists and reservations (OCPP 1.6, 5.1, 5.10, 5.13, 5.15)."""

from __future__ import annotations

from typing import Any

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import read_reservation
from ocpp_ws.outgoing import Outgoing, Payload, present, with_result

_STATUSES = {"accepted": "Accepted", "blocked": "Blocked", "expired": "Expired"}


def _entry(entry: Payload) -> Payload:
    """``info`` None takes the tag off the list; otherwise it has status (accepted | blocked | expired), and perhaps
    expires_at and parent.
    """
    info: dict[str, Any] | None = entry.get("info")
    if info is None:
        return {"idTag": entry["id_tag"]}
    return {
        "idTag": entry["id_tag"],
        "idTagInfo": present(
            {
                "status": _STATUSES[info["status"]],
                "expiryDate": info.get("expires_at"),
                "parentIdTag": info.get("parent"),
            }
        ),
    }


def _list(request: Payload) -> Payload:
    payload: Payload = {
        "listVersion": request["version"],
        "updateType": "Full" if request["full"] else "Differential",
    }
    if request.get("entries"):
        payload["localAuthorizationList"] = [_entry(entry) for entry in request["entries"]]
    return payload


def _read_version(response: Payload) -> Answer:
    """-1: the station does not support local lists; 0: its list is empty."""
    return Answer(ActionStatus.ANSWERED, response, facts={"version": response.get("listVersion")})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.SEND_LOCAL_LIST: Outgoing(
        "SendLocalList",
        _list,
        with_result(
            {
                "Accepted": "accepted",
                "NotSupported": "not_supported",
                "VersionMismatch": "version_mismatch",
                "Failed": "failed",
            }
        ),
    ),
    CommandName.GET_LOCAL_LIST_VERSION: Outgoing("GetLocalListVersion", lambda r: {}, _read_version),
    CommandName.RESERVE: Outgoing(
        "ReserveNow",
        lambda r: present(
            {
                "connectorId": r["network_id"],
                "expiryDate": r["expires_at"],
                "idTag": r["id_tag"],
                "parentIdTag": r.get("parent"),
                "reservationId": r["reservation_id"],
            }
        ),
        read_reservation,
    ),
    CommandName.CANCEL_RESERVATION: Outgoing("CancelReservation", lambda r: {"reservationId": r["reservation_id"]}),
}
